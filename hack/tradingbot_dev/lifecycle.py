"""`make up`, `down`, `clean`, `status`, `restart`: the system on this machine, in `.local`."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev import components, manifests
from tradingbot_dev.assets import find_assets
from tradingbot_dev.controlplane import ControlPlane
from tradingbot_dev.errors import DiskSpaceError
from tradingbot_dev.manifests import ROOT
from tradingbot_dev.ports import Ports, demand_free
from tradingbot_dev.processes import ProcessTable, Program
from tradingbot_dev.progress import Progress, duration
from tradingbot_dev.system import NAMES, OPERATOR, REGISTRY, WEBHOOKS, System
from tradingbot_dev.waiting import wait_until

LOCAL = ROOT / ".local"
STOP_ORDER = ((OPERATOR, REGISTRY, WEBHOOKS), *components.STOP_ORDER)
SAMPLE_SECONDS = 30.0
# etcd preallocates its log, and the logs of a day's work are well below this.
STATE_BYTES = 500_000_000


@dataclass(frozen=True)
class Outcome:
    """What `up` did: the system, the processes that it started, whether it was the first time."""

    system: System
    started: tuple[str, ...]
    first: bool


def up(state: Path, *, progress: Progress) -> Outcome:
    """Brings everything that is not running to run, and applies the samples the first time.

    If anything fails, what this call started is stopped, and nothing else.
    """
    system = system_of(state, progress=progress)
    began = time.monotonic()
    plane = system.plane
    with only_one(state):
        _demand_room(state)
        programs = _programs(system)
        plane.table.end_strays(keep=[program.name for program in programs])
        demand_ports(plane.table, programs)
        started: list[str] = []
        try:
            progress.update("starting the control plane")
            started += plane.start()
            progress.update("starting webhooks, registry and operator")
            started += system.start()
            first = _apply_samples(system, progress)
        except BaseException:
            progress.clear()
            plane.table.stop(*(name for name in started if name in NAMES))
            plane.stop(only=started)
            raise
    progress.clear()
    if started:
        progress.step(f"started {', '.join(started)} in {duration(time.monotonic() - began)}")
    else:
        progress.step("everything is running already; nothing was changed")
    return Outcome(system, tuple(started), first)


def down(state: Path) -> list[str]:
    """Stops everything that `up` started; the names of those that were running."""
    stopped: list[str] = []
    with only_one(state):
        table = _table(state)
        for names in STOP_ORDER:
            stopped += table.stop(*names)
        # Workers that outlived a killed parent, processes whose pid file somebody removed.
        stopped += [f"process {pid}" for pid in table.end_strays()]
    return stopped


def clean(state: Path) -> list[str]:
    """`down`, and forgets all state; the names of those that were running."""
    stopped = down(state)
    shutil.rmtree(state, ignore_errors=True)
    return stopped


def restart(state: Path) -> list[str]:
    """Starts the product's own processes anew, so that they run the code as it is now."""
    table = _table(state)
    with only_one(state):
        return table.stop(OPERATOR, REGISTRY, WEBHOOKS)


def status(state: Path) -> dict[str, int | None]:
    """The pid of each process, None for one that does not run."""
    table = _table(state)
    names = [name for names in reversed(STOP_ORDER) for name in reversed(names)]
    return {
        name: found.pid if (found := table.running(name)) is not None else None for name in names
    }


def system_of(state: Path, *, progress: Progress | None = None) -> System:
    """The system whose state is in this folder, whether it runs or not."""
    ports = Ports.from_environment()
    return System(ControlPlane(directory=state, ports=ports, assets=find_assets(progress=progress)))


def demand_ports(table: ProcessTable, programs: list[Program]) -> None:
    """Raises PortTakenError before anything is started that would have to be stopped again."""
    for program in programs:
        if table.running(program.name) is None:
            for port in program.ports:
                demand_free(port, needed_by=program.name)


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Two at the same time would start everything twice. Released however the process ends.

    The folder above the state is what is locked: it outlives `clean`, and needs no file in it.
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
    return [program for wave in waves for program in wave] + [system.program(n) for n in NAMES]


def _demand_room(state: Path) -> None:
    free = shutil.disk_usage(state if state.exists() else state.parent).free
    if free < STATE_BYTES:
        raise DiskSpaceError(f"{free / 1e6:.0f} MB are free where {state} is: free some")


def _apply_samples(system: System, progress: Progress) -> bool:
    """Once in the life of this state: what the user then changed or deleted stays as it is."""
    applied = system.plane.directory / "samples-applied"
    if applied.exists():
        return False
    progress.update("applying the samples")
    for path in (manifests.SAMPLE_SECRET, manifests.SAMPLE_BOT, manifests.SAMPLE_REGISTRY):
        system.plane.kubectl("apply", "--filename", str(path), check=True)
    name = manifests.load(manifests.SAMPLE_BOT)["metadata"]["name"]
    catalogue = manifests.load(manifests.SAMPLE_REGISTRY)["metadata"]["name"]
    for what, ready in (
        (f"deployment/{name}", _rolled_out(system, name)),
        (f"assetregistry/{catalogue}", _synced(system, catalogue)),
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


def _rolled_out(system: System, name: str) -> Callable[[], bool]:
    path = f"/apis/apps/v1/namespaces/default/deployments/{name}"

    def ready() -> bool:
        answer = system.plane.client.get(path)
        found = answer.json() if answer is not None and answer.status == 200 else {}
        return bool(found.get("status", {}).get("availableReplicas"))

    return ready


def _synced(system: System, name: str) -> Callable[[], bool]:
    path = f"/apis/trading.io/v1/namespaces/default/assetregistries/{name}"

    def ready() -> bool:
        answer = system.plane.client.get(path)
        found = answer.json() if answer is not None and answer.status == 200 else {}
        seen = found.get("status", {}).get("observedGeneration")
        return seen is not None and seen == found["metadata"]["generation"]

    return ready
