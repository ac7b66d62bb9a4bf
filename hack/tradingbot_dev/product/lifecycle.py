"""`make up`, `down`, `clean`, `status`, `restart`: the local system, in `.local`."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradingbot_dev.control_plane import components
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_dev.control_plane.ports import Ports, demand_free
from tradingbot_dev.errors import DiskSpaceError
from tradingbot_dev.pods.containers import State
from tradingbot_dev.pods.ending import end_all, process_names
from tradingbot_dev.processes.table import Identity, ProcessTable, Program
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product import demo, exchanges, manifests
from tradingbot_dev.product.demo import Demo
from tradingbot_dev.product.manifests import ROOT
from tradingbot_dev.product.system import NAMES, OPERATOR, REGISTRY, WEBHOOKS, System
from tradingbot_dev.progress import Progress, duration
from tradingbot_dev.toolchain import strategies_environment
from tradingbot_dev.toolchain.assets import find_assets

LOCAL = ROOT / ".local"
STOP_ORDER = ((OPERATOR, REGISTRY, WEBHOOKS, *exchanges.NAMES), *components.STOP_ORDER)
SAMPLE_SECONDS = 30.0
# etcd preallocates its log. The logs of a day are well below this.
STATE_BYTES = 500_000_000


@dataclass(frozen=True)
class Outcome:
    """What `up` did: the system, the started processes, whether it was the first time."""

    system: System
    started: tuple[str, ...]
    first: bool


def up(state: Path, *, progress: Progress) -> Outcome:
    """Start what is not running, and apply the samples the first time.

    On failure, everything that this call started is stopped, and nothing else.
    """
    system = system_of(state, progress=progress)
    began = time.monotonic()
    plane = system.plane
    with only_one(state):
        _demand_room(state)
        strategies_environment.STRATEGIES.install(progress=progress)
        programs = _programs(system)
        known = {program.name for program in programs} | set(process_names(plane.table))
        running = plane.table.all_running()
        before = {name: found for name, found in running.items() if name in known}
        plane.table.end_strays(keep=before.values())
        demand_ports(plane.table, programs)
        started: list[str] = []
        try:
            progress.update("starting the control plane")
            started += plane.start()
            progress.update("starting webhooks, registry and operator")
            started += system.start()
            progress.update("starting the simulated exchanges")
            started += Demo(system).exchanges.start()
            first = _apply_samples(system, progress)
            _apply_demo(system, progress)
        except BaseException:
            _undo(system, before, progress)
            raise
    progress.clear()
    if started:
        progress.step(f"started {', '.join(started)} in {duration(time.monotonic() - began)}")
    else:
        progress.step("everything is running already; nothing was changed")
    return Outcome(system, tuple(started), first)


def _undo(system: System, before: Mapping[str, Identity], progress: Progress) -> None:
    """Stop what runs now and did not run `before`. Print last: the terminal may be gone."""
    plane = system.plane
    new = plane.table.started_since(before)
    Demo(system).exchanges.stop(only=new)
    system.stop(only=new)
    plane.stop(only=new)
    # A process that was started a moment ago may have no pid file yet.
    plane.table.end_strays(keep=before.values())
    progress.step("stopped everything that this run had started")


def down(state: Path) -> list[str]:
    """Stop everything that `up` started. Return the names of those that were running."""
    with only_one(state):
        table = _table(state)
        # Pods end while everything that they need still runs; the agent would restart them.
        stopped = table.stop(components.LOCAL_PODS)
        stopped += end_all(State(state))
        for names in STOP_ORDER:
            stopped += table.stop(*names)
        # Workers that outlived a killed parent, processes whose pid file was removed.
        stopped += [f"process {pid}" for pid in table.end_strays()]
    return stopped


def clean(state: Path) -> list[str]:
    """Stop everything and remove the state. Return the names of those that were running."""
    stopped = down(state)
    shutil.rmtree(state, ignore_errors=True)
    return stopped


def restart(state: Path) -> list[str]:
    """Stop the processes of our own code, so that `up` starts them with the current code.

    The processes of pods stay: another agent continues with them. The simulated exchanges continue
    with their state.
    """
    table = _table(state)
    with only_one(state):
        return table.stop(components.LOCAL_PODS, OPERATOR, REGISTRY, WEBHOOKS, *exchanges.NAMES)


def status(state: Path) -> dict[str, int | None]:
    """Return the pid of each process, or None if it does not run."""
    table = _table(state)
    names = [name for names in reversed(STOP_ORDER) for name in reversed(names)]
    return {
        name: found.pid if (found := table.running(name)) is not None else None for name in names
    }


def system_of(state: Path, *, progress: Progress | None = None) -> System:
    """Return the system whose state is in this directory, whether it runs or not."""
    ports = Ports.from_environment()
    plane = ControlPlane(
        directory=state, ports=ports, assets=find_assets(progress=progress), local_pods=True
    )
    # The Lease shows `tradingbot doctor` whether the operator acts.
    return System(plane, {"TRADINGBOT_OPERATOR_LEADER_ELECTION": "true", **demo.SETTINGS})


def demand_ports(table: ProcessTable, programs: list[Program]) -> None:
    """Raise PortTakenError for a port that is taken, before anything is started."""
    for program in programs:
        if table.running(program.name) is None:
            for port in program.ports:
                demand_free(port, needed_by=program.name)


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the lock: two commands at once would start everything twice.

    The kernel releases it however the process ends. It is on the directory above the state, which
    outlives `clean`.
    """
    descriptor = os.open(state.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _table(state: Path) -> ProcessTable:
    return ProcessTable(run=state / "run", log=state / "log")


def _programs(system: System) -> list[Program]:
    waves = components.start_order(system.plane)
    return [
        *(program for wave in waves for program in wave),
        *(system.program(name) for name in NAMES),
        *(exchange.program for exchange in Demo(system).exchanges.all),
    ]


def _demand_room(state: Path) -> None:
    free = shutil.disk_usage(state if state.exists() else state.parent).free
    if free < STATE_BYTES:
        raise DiskSpaceError(
            f"{free / 1e6:.0f} MB are free on the disk of {state}: free some space"
        )


def _apply_samples(system: System, progress: Progress) -> bool:
    """Apply the samples once in the life of this state, so that later edits of the user stay.

    Returns whether they were applied.
    """
    applied = system.plane.directory / "samples-applied"
    if applied.exists():
        return False
    progress.update("applying the samples")
    for path in (manifests.SAMPLE_SECRET, manifests.SAMPLE_BOT, manifests.SAMPLE_REGISTRY):
        system.plane.kubectl("apply", "--filename", str(path), check=True)
    name = manifests.load(manifests.SAMPLE_BOT)["metadata"]["name"]
    asset_registry = manifests.load(manifests.SAMPLE_REGISTRY)["metadata"]["name"]
    for what, ready in (
        (f"deployment/{name}", _rolled_out(system, name)),
        (f"assetregistry/{asset_registry}", _synced(system, asset_registry)),
    ):
        progress.update(f"waiting for {what}")
        wait_until(
            ready,
            what=what,
            seconds=SAMPLE_SECONDS,
            table=system.plane.table,
            needs=(OPERATOR,),
        )
    applied.touch()
    return True


def _apply_demo(system: System, progress: Progress) -> None:
    """Apply the demo once in the life of this state, and wait until its bots report.

    It is applied again if the exchanges have other ports than before.
    """
    applied, bots = system.plane.directory / "demo-applied", Demo(system)
    addresses = "".join(f"{exchange.url}\n" for exchange in bots.exchanges.all)
    if applied.exists() and applied.read_text() == addresses:
        return
    progress.update("starting the bots of the demo")
    bots.apply()
    bots.await_reports()
    bots.await_refusal()
    applied.write_text(addresses)


def _rolled_out(system: System, name: str) -> Callable[[], bool]:
    path = f"/apis/apps/v1/namespaces/default/deployments/{name}"

    def ready() -> bool:
        found = _object_at(system, path)
        return bool(found.get("status", {}).get("availableReplicas"))

    return ready


def _synced(system: System, name: str) -> Callable[[], bool]:
    path = f"/apis/trading.io/v1/namespaces/default/assetregistries/{name}"

    def ready() -> bool:
        found = _object_at(system, path)
        observed = found.get("status", {}).get("observedGeneration")
        return observed is not None and observed == found["metadata"]["generation"]

    return ready


def _object_at(system: System, path: str) -> dict[str, Any]:
    """Return the object, or an empty one if there is none or no answer."""
    answer = system.plane.client.get(path)
    return answer.json() if answer is not None and answer.status == 200 else {}
