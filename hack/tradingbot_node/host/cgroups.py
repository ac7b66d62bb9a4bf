"""The control groups of all pods: version 1, or the unified version 2."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tradingbot_dev.errors import NotReadyError

from tradingbot_node.host.places import CGROUP, SPARE

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
_KILL_SECONDS = 20.0


def create() -> None:
    """Create the node's group in every hierarchy. Raises OSError where that is not allowed."""
    switch = _ROOT / "cgroup.subtree_control"
    for controller in _CONTROLLERS if switch.exists() else ():
        with suppress(OSError):  # this kernel does not have it
            switch.write_text(f"+{controller}")
    for hierarchy in _hierarchies():
        (hierarchy / CGROUP).mkdir(exist_ok=True)


def create_spare() -> None:
    """Create the group of the second node inside that of the first one."""
    for hierarchy in _hierarchies():
        (hierarchy / SPARE.cgroup).mkdir(exist_ok=True)


def kill_all() -> None:
    """Kill every process of every pod, as the kernel lists them."""
    deadline = time.monotonic() + _KILL_SECONDS
    while pids := _members():
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise NotReadyError(f"could not kill processes of pods: {sorted(pids)}")
        time.sleep(0.02)


def remove(*, seconds: float = _KILL_SECONDS) -> None:
    """Remove the groups. Raises OSError if a group is not empty after `seconds`."""
    for group in _groups():
        # The kernel holds a group for a moment after its last process has ended.
        deadline = time.monotonic() + seconds
        while group.exists():
            try:
                group.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def _members() -> set[int]:
    found: set[int] = set()
    for group in _groups():
        with suppress(OSError):  # removed meanwhile
            found |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    # Processes of another pid namespace are listed as 0.
    return found - {0, os.getpid()}


def _groups() -> Iterator[Path]:
    """Yield the node's groups in every hierarchy, the innermost first."""
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / CGROUP, topdown=False):
            yield Path(directory)


def _hierarchies() -> list[Path]:
    """Return the mount points. Version 1 has one for each controller, version 2 a single one."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and Path(place).is_relative_to(_ROOT):
            found.append(Path(place))
    return found
