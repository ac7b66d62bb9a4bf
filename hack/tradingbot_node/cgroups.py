"""The control groups below which the kubelet puts all pods: version 1, or the unified version 2."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tradingbot_dev.errors import NotReadyError

from tradingbot_node.places import CGROUP

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
_KILL_SECONDS = 20.0


def create() -> None:
    """Makes the node's group in every hierarchy. Raises OSError where that is not allowed."""
    switch = _ROOT / "cgroup.subtree_control"
    for controller in _CONTROLLERS if switch.exists() else ():
        with suppress(OSError):  # one that this kernel does not have
            switch.write_text(f"+{controller}")
    for hierarchy in _hierarchies():
        (hierarchy / CGROUP).mkdir(exist_ok=True)


def kill_all() -> None:
    """Ends every process of every pod. The kernel knows them, whoever started them."""
    deadline = time.monotonic() + _KILL_SECONDS
    while pids := _members():
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise NotReadyError(f"processes of pods can't be killed: {sorted(pids)}")
        time.sleep(0.02)


def remove(*, seconds: float = _KILL_SECONDS) -> None:
    """Removes the groups. Raises OSError if one is not empty after so many seconds."""
    for group in _groups():
        # The kernel takes a moment to let go of a group whose last process has just ended.
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
        with suppress(OSError):  # gone meanwhile
            found |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    # Those of another pid namespace than ours show as 0.
    return found - {0, os.getpid()}


def _groups() -> Iterator[Path]:
    """The node's groups in every hierarchy, the innermost first."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / CGROUP, topdown=False):
            yield Path(folder)


def _hierarchies() -> list[Path]:
    """Where each is mounted. Version 1 has one for each controller, version 2 a single one."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and Path(place).is_relative_to(_ROOT):
            found.append(Path(place))
    return found
