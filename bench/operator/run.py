"""One run: measure an operator on a new control plane, from no bots to many."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median

from tradingbot_dev.errors import ProcessDiedError

from bench.common.processes import Usage, usage_of
from bench.common.series import Say
from bench.operator.api import Request, Settling
from bench.operator.cluster import BOTS, CHILDREN, Cluster, bot_name
from bench.operator.process import Counts, total

Values = dict[str, float]
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
IDLE_AFTER = 35.0
"""Seconds after settling until all follow-up work is done."""
EDITS = 10
RESTORED = 100
SAMPLE_SECONDS = 1.0
_APISERVER = "apiserver_request_total"


@dataclass(frozen=True)
class RunPlan:
    """The size and the phases of a run."""

    bots: int
    idle_seconds: float
    """0 leaves this phase out."""

    @property
    def patience(self) -> float:
        """Maximum seconds of any step: some ten times what it takes."""
        return 120 + self.bots * 0.6


class WrongResultError(RuntimeError):
    """Raised when an operator has not done what is measured, so that the numbers mean nothing."""


@dataclass
class Memory:
    """The highest proportional set size, sampled every second."""

    peak_pss_mb: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)

    def watch(self, usage: Callable[[], Usage]) -> None:
        """Sample until `end`. The caller takes the last sample."""
        with suppress(ProcessDiedError):  # the phase reports it
            while not self._ended.wait(SAMPLE_SECONDS):
                self.note(usage())

    def note(self, usage: Usage) -> None:
        """Note one sample."""
        self.peak_pss_mb = max(self.peak_pss_mb, usage.pss_mb)

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()


@contextmanager
def _memory(usage: Callable[[], Usage]) -> Iterator[Memory]:
    memory = Memory()
    thread = threading.Thread(target=memory.watch, args=(usage,), daemon=True)
    thread.start()
    try:
        yield memory
        memory.note(usage())
    finally:
        memory.end()
        thread.join()


def run(cluster: Cluster, plan: RunPlan, say: Say) -> Values:
    """Run all phases in turn. Each starts when the operator is idle."""
    values: Values = {}
    for name, phase in (
        ("settle", _settle),
        ("idle", _idle),
        ("restart", _restart),
        ("edit", _edit),
        ("restore", _restore),
    ):
        if name == "idle" and not plan.idle_seconds:
            continue
        say(f"{cluster.operator.name}, {plan.bots} bots: {name}")
        values |= {f"{name}_{key}": value for key, value in phase(cluster, plan).items()}
    return values


def _settle(cluster: Cluster, plan: RunPlan) -> Values:
    """Measure from the first create until the status of every bot reports Running."""
    operator = cluster.operator
    operator.start()
    operator.await_ready()
    before = operator.await_quiet(seconds=30)
    with Settling(cluster.api, BOTS) as settling, _memory(operator.usage) as memory:
        plane = _control_plane_cpu(cluster)
        cpu, begun = operator.usage().cpu_seconds, time.perf_counter()
        cluster.create(plan.bots)
        created = time.perf_counter() - begun
        seconds = settling.wait(plan.bots, seconds=plan.patience, alive=operator.usage)
        seconds -= begun
        cpu = operator.usage().cpu_seconds - cpu
        plane = _control_plane_cpu(cluster) - plane
    after = operator.await_quiet(seconds=plan.patience)
    _demand_children(cluster, plan)
    return {
        "seconds": seconds,
        "create_seconds": created,
        "cpu_seconds": cpu,
        "control_plane_cpu_seconds": plane,
        "peak_rss_mb": operator.usage().peak_rss_mb,
        "peak_pss_mb": memory.peak_pss_mb,
        **_per_bot(before, after, plan.bots),
    }


def _control_plane_cpu(cluster: Cluster) -> float:
    table = cluster.plane.table
    running = [found for name in CONTROL_PLANE if (found := table.running(name)) is not None]
    return sum(usage_of(identity.pid).cpu_seconds for identity in running)


def _demand_children(cluster: Cluster, plan: RunPlan) -> None:
    found = len(cluster.children())
    if found != 3 * plan.bots:
        raise WrongResultError(f"{plan.bots} bots have {found} children, not three each")


def _per_bot(before: Counts, after: Counts, bots: int) -> Values:
    return {
        "requests_per_bot": (after.requests - before.requests) / bots,
        "writes_per_bot": (after.writes - before.writes) / bots,
        "reconciles_per_bot": (after.reconciles - before.reconciles) / bots,
    }


def _idle(cluster: Cluster, plan: RunPlan) -> Values:
    """Measure the cost of an operator that has nothing to do."""
    operator = cluster.operator
    time.sleep(IDLE_AFTER)
    before, counts, begun = operator.usage(), operator.counts(), time.perf_counter()
    time.sleep(plan.idle_seconds)
    after, later, seconds = operator.usage(), operator.counts(), time.perf_counter() - begun
    assert counts is not None
    assert later is not None
    return {
        "core": (after.cpu_seconds - before.cpu_seconds) / seconds,
        "requests_per_second": (later.requests - counts.requests) / seconds,
    }


def _restart(cluster: Cluster, plan: RunPlan) -> Values:
    """Restart over settled bots, and measure until each was reconciled."""
    operator = cluster.operator
    operator.stop()
    children, writes = cluster.children(), _child_writes(cluster)
    begun = time.perf_counter()
    operator.start()
    operator.await_ready()
    with _memory(operator.usage) as memory:
        seconds = operator.await_checked(plan.bots, begun=begun, seconds=plan.patience)
        cpu = operator.usage().cpu_seconds
    after = operator.await_quiet(seconds=plan.patience)
    changed = sum(
        child["resourceVersion"] != children[key]["resourceVersion"]
        for key, child in cluster.children().items()
    )
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_rss_mb": operator.usage().peak_rss_mb,
        "peak_pss_mb": memory.peak_pss_mb,
        "child_writes": _child_writes(cluster) - writes,
        "children_changed": changed,
        "writes": after.writes,
        "requests_per_bot": after.requests / plan.bots,
        "reconciles_per_bot": after.reconciles / plan.bots,
    }


def _child_writes(cluster: Cluster) -> int:
    """Write of children, by the API server's count. Nobody but the operator makes such ones."""
    return total(
        cluster.api.text("/metrics", accept="text/plain"),
        _APISERVER,
        lambda labels: (
            labels["resource"] in {"configmaps", "deployments", "services"}
            and labels["subresource"] == ""
            and labels["verb"] in {"APPLY", "PATCH", "POST"}
        ),
    )


def _edit(cluster: Cluster, plan: RunPlan) -> Values:
    """Change the limit of a bot, and measure until its bot.json has it; for some bots in turn."""
    times = []
    for number in range(EDITS):
        name, limit = bot_name(plan.bots * number // EDITS), f"{150 + number}"
        config_map = f"{CHILDREN['ConfigMap']}?fieldSelector=metadata.name={name}-config"
        patch = {"spec": {"riskManagement": {"dailyLossLimit": limit}}}
        with closing(cluster.api.watch(config_map)) as watch:
            begun = time.perf_counter()
            cluster.api.do(Request("PATCH", f"{BOTS}/{name}", patch))
            for event in watch:
                if f'"dailyLossLimit": "{limit}"' in event["object"]["data"]["bot.json"]:
                    times.append(time.perf_counter() - begun)
                    break
    cluster.operator.await_quiet(seconds=plan.patience)
    return {"seconds": median(times), "max_seconds": max(times)}


def _restore(cluster: Cluster, plan: RunPlan) -> Values:
    """Delete all children of some bots, and measure until all are restored."""
    bots = [bot_name(number) for number in range(min(RESTORED, plan.bots))]
    selector = f"trading.io/bot+in+({','.join(bots)})"
    before = cluster.children(selector)
    if len(before) != 3 * len(bots):
        raise WrongResultError(f"{len(before)} children of {len(bots)} bots")
    paths = [f"{CHILDREN[kind]}/{child['name']}" for kind, child in _with_kinds(before)]
    begun = time.perf_counter()
    cluster.api.do_all(Request("DELETE", path) for path in paths)
    deleted = time.perf_counter() - begun
    while not _all_new(before, cluster.children(selector)):
        if time.perf_counter() > begun + plan.patience:
            raise WrongResultError(f"deleted children are not restored after {plan.patience:.0f} s")
        time.sleep(0.02)
    return {"seconds": time.perf_counter() - begun, "delete_seconds": deleted}


def _with_kinds(children: dict[str, dict[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    for key, child in children.items():
        yield key.partition("/")[0], child


def _all_new(before: dict[str, dict[str, str]], now: dict[str, dict[str, str]]) -> bool:
    return before.keys() == now.keys() and all(
        child["uid"] != before[key]["uid"] for key, child in now.items()
    )
