"""A long run of many bots under random work: does the operator keep up, and stay small?

    python e2e/soak.py --minutes 30 --bots 500

Users create, edit, pause and delete bots, children vanish, bots lose and are halted. Each minute
has a line; at the end, when the work has stopped and all is settled, the verdict: the operator's
memory is flat, its queues are empty, and each bot is as declared. The exit code is 0 if so.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "hack"))

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from person import Object, sample, sample_bot
from prometheus_client.parser import text_string_to_metric_families
from simulated_bots import SimulatedBots
from tradingbot_dev.control_plane.apiclient import http_answer
from tradingbot_dev.control_plane.plane import temporary_control_plane
from tradingbot_dev.product.system import OPERATOR, System
from urllib3.exceptions import HTTPError

NAMESPACE = "soak"
GROUP: dict[str, Any] = {
    "group": "trading.io",
    "version": "v1",
    "namespace": NAMESPACE,
    "plural": "tradingbots",
}
WARM_UP = 0.3
"""Part of the run after which memory is compared: until then caches fill."""

FLAT_MIB_PER_HOUR = 10.0
NOISE_MIB = 3.0
"""What memory may differ by from one look to the next and mean nothing."""

SETTLE_SECONDS = 180.0


@dataclass
class Work:
    """What users do to the bots, one random thing after the other, in a thread of its own."""

    objects: client.CustomObjectsApi
    core: client.CoreV1Api
    apps: client.AppsV1Api
    bots: SimulatedBots
    names: list[str]
    per_second: float
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        kinds: dict[Callable[[str], object], int] = {
            self.create: 20,  # mostly of one that is there: refused
            self.edit: 10,
            self.delete: 3,
            self.report: 20,
            self.lose: 1,
            self.damage: 3,
        }
        due = time.monotonic()
        while not self.stopping.is_set():
            (what,) = self.dice.choices(tuple(kinds), tuple(kinds.values()))
            try:
                what(self.dice.choice(self.names))
                self.done[what.__name__] += 1
            except ApiException as error:
                self.refused[error.status or 0] += 1
            except HTTPError:
                self.refused[0] += 1
            due = max(due + 1 / self.per_second, time.monotonic() - 1)
            self.stopping.wait(max(0.0, due - time.monotonic()))

    def create(self, name: str) -> None:
        bot = {**sample_bot(updatePolicy="Immediate"), "metadata": {"name": name}}
        self.objects.create_namespaced_custom_object(**GROUP, body=bot)
        self.bots.set(NAMESPACE, name)

    def edit(self, name: str) -> None:
        change: Object = self.dice.choice(
            (
                {"riskManagement": {"dailyLossLimit": str(self.dice.randint(100, 900))}},
                {"strategy": {"image": f"ghcr.io/example/arb:{self.dice.randint(1, 99)}"}},
                {"paused": self.dice.random() < 0.2},
            )
        )
        self.objects.patch_namespaced_custom_object(**GROUP, name=name, body={"spec": change})

    def delete(self, name: str) -> None:
        self.objects.delete_namespaced_custom_object(**GROUP, name=name)

    def report(self, name: str) -> None:
        pnl, positions = self.dice.randint(-90, 500), self.dice.randint(0, 3)
        self.bots.set(NAMESPACE, name, day_pnl=str(pnl), open_positions=positions)

    def lose(self, name: str) -> None:
        self.bots.set(NAMESPACE, name, day_pnl="-5000")

    def damage(self, name: str) -> None:
        if self.dice.random() < 0.5:
            self.apps.delete_namespaced_deployment(name, NAMESPACE)
        else:
            self.core.delete_namespaced_config_map(f"{name}-config", NAMESPACE)


@dataclass(frozen=True)
class Operator:
    """The operator's process, seen from outside."""

    system: System

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        identity = self.system.plane.table.running(OPERATOR)
        if identity is None:
            raise SystemExit(f"the operator has ended; see {self.system.log_file(OPERATOR)}")
        status = Path(f"/proc/{identity.pid}/status").read_text()
        (line,) = (one for one in status.splitlines() if one.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def metric(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of a metric, by the values of their labels."""
        answer = http_answer(self.system.program(OPERATOR).ports[-1], "/metrics")
        if answer is None:
            return {}
        return {
            tuple(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
            if sample.name == name
        }

    @property
    def backlog(self) -> float | None:
        """Keys that are due, None if it does not say."""
        depths = self.metric("tradingbot_operator_queue_depth")
        return sum(depths.values()) if depths else None


@dataclass(frozen=True)
class Growth:
    """How the operator's memory went, from samples of (seconds, MiB)."""

    samples: tuple[tuple[float, float], ...]

    @property
    def _warm(self) -> tuple[tuple[float, float], ...]:
        begin = WARM_UP * self.samples[-1][0]
        return tuple(one for one in self.samples if one[0] >= begin)

    @property
    def per_hour(self) -> float:
        """MiB per hour after the warm-up: the line of least squares."""
        warm = self._warm
        times, sizes = [one[0] for one in warm], [one[1] for one in warm]
        time_mean, size_mean = sum(times) / len(times), sum(sizes) / len(sizes)
        spread = sum((one - time_mean) ** 2 for one in times)
        together = sum((t - time_mean) * (m - size_mean) for t, m in warm)
        return 3600 * together / spread if spread else 0.0

    @property
    def over_run(self) -> float:
        """What that line rises by from the end of the warm-up to the end, in MiB."""
        warm = self._warm
        return self.per_hour * (warm[-1][0] - warm[0][0]) / 3600

    @property
    def flat(self) -> bool:
        """In a run of a few minutes a slope means nothing unless it has come to something."""
        return self.per_hour <= FLAT_MIB_PER_HOUR or self.over_run <= NOISE_MIB


def problems_of(bot: Object, deployment: Object | None, config_map: Object | None) -> list[str]:
    """What of a bot is not as declared."""
    spec, status = bot["spec"], bot.get("status", {})
    if "deletionTimestamp" in bot["metadata"]:
        return ["still being deleted"]
    if status.get("observedGeneration") != bot["metadata"]["generation"]:
        return ["its newest generation was not reconciled"]
    halted = "haltedSince" in status.get("risk", {})
    expected = "Paused" if spec.get("paused") else "Halted" if halted else "Running"
    found = []
    if status["phase"] != expected:
        found.append(f"{status['phase']}, not {expected}")
    if deployment is None or config_map is None:
        return [*found, "a child is missing"]
    pod = deployment["spec"]["template"]["spec"]["containers"][0]
    if deployment["spec"]["replicas"] != int(expected == "Running"):
        found.append(f"{deployment['spec']['replicas']} replicas while {expected}")
    if pod["image"] != spec["strategy"]["image"]:
        found.append(f"runs {pod['image']}")
    limit = json.loads(config_map["data"]["bot.json"])["risk"]["dailyLossLimit"]
    if limit != spec["riskManagement"]["dailyLossLimit"]:
        found.append(f"has the limit {limit}")
    return found


def not_as_declared(system: System) -> list[str]:
    """Every bot that is not, and every child whose bot is gone."""
    kinds = "tradingbot,deployment,configmap"
    selector = ("get", kinds, "-n", NAMESPACE, "-o", "json")
    items = json.loads(system.plane.kubectl(*selector, check=True).stdout)["items"]
    stored: dict[tuple[str, str], Object] = {
        (one["kind"], one["metadata"]["name"]): one for one in items
    }
    names = {name for kind, name in stored if kind == "TradingBot"}
    found = []
    for name in sorted(names):
        children = stored.get(("Deployment", name)), stored.get(("ConfigMap", f"{name}-config"))
        problems = problems_of(stored["TradingBot", name], *children)
        found += [f"{name}: {problem}" for problem in problems]
    orphans = {name for kind, name in stored if kind == "Deployment"} - names
    return [*found, *(f"{name}: a Deployment without its bot" for name in sorted(orphans))]


def settled(system: System, operator: Operator) -> list[str]:
    """Wait until all is as declared and nothing is queued; what is not by then."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = not_as_declared(system)
        if (backlog := operator.backlog) != 0:
            found.append(f"{backlog} keys are queued")
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(2)


def line(begun: float, operator: Operator, work: Work) -> str:
    results = operator.metric("tradingbot_operator_reconciles_total")
    errors = sum(value for labels, value in results.items() if "error" in labels)
    phases = {
        labels[0]: value for labels, value in operator.metric("tradingbot_operator_bots").items()
    }
    counts = " ".join(f"{phase}={count:.0f}" for phase, count in sorted(phases.items()))
    return (
        f"{(time.monotonic() - begun) / 60:5.1f} min  {operator.memory:6.1f} MiB"
        f"  queued {operator.backlog or 0:.0f}"
        f"  reconciles {sum(results.values()):.0f} ({errors:.0f} failed)"
        f"  edits {sum(work.done.values())}  {counts}"
    )


def soak(system: System, bots: SimulatedBots, options: Any) -> int:
    operator = Operator(system)
    connection = config.new_client_from_config(str(system.plane.kubeconfig))
    core = client.CoreV1Api(connection)
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    core.create_namespaced_secret(NAMESPACE, sample("secret.yaml"))
    work = Work(
        client.CustomObjectsApi(connection),
        core,
        client.AppsV1Api(connection),
        bots,
        [f"bot-{number}" for number in range(options.bots)],
        options.rate,
        random.Random(options.seed),
    )
    for name in work.names:
        work.create(name)
    print(f"{options.bots} bots were made; work of seed {options.seed} begins", flush=True)
    thread = threading.Thread(target=work.run, daemon=True)
    thread.start()
    begun = time.monotonic()
    samples, next_line = [], begun + min(60.0, 20.0 * options.minutes)
    while time.monotonic() < begun + 60 * options.minutes:
        samples.append((time.monotonic() - begun, operator.memory))
        if time.monotonic() >= next_line:
            print(line(begun, operator, work), flush=True)
            next_line += min(60.0, 20.0 * options.minutes)
        time.sleep(1)
    work.stopping.set()
    thread.join(timeout=30)
    left = settled(system, operator)
    print(line(begun, operator, work))
    return verdict(Growth(tuple(samples)), left, work)


def verdict(growth: Growth, left: list[str], work: Work) -> int:
    """Print what came of it; the exit code."""
    print("done:", ", ".join(f"{count} {what}" for what, count in sorted(work.done.items())))
    print("refused:", dict(work.refused), "(404 and 409: there was none, or one already)")
    slope = f"{growth.per_hour:+.1f} MiB/h after the warm-up, {growth.over_run:+.1f} MiB in all"
    print(f"memory: {slope}: {'flat' if growth.flat else 'GROWING'}")
    for one in left[:20]:
        print(f"NOT SETTLED: {one}")
    good = growth.flat and not left
    print("passed" if good else f"FAILED: {len(left)} not as declared")
    return 0 if good else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--bots", type=int, default=500)
    parser.add_argument("--rate", type=float, default=10.0, help="random changes a second")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    options = parser.parse_args()
    with SimulatedBots() as bots, temporary_control_plane(audit=False) as plane:
        system = System(plane, {"TRADINGBOT_OPERATOR_RISK_URL": bots.risk_url})
        system.start()
        return soak(system, bots, options)


if __name__ == "__main__":
    sys.exit(main())
