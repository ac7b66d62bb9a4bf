"""The two sides of every comparison, and what their processes use, read from /proc."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ServerName = Literal["tradingbot", "go"]
NAMES: tuple[ServerName, ...] = ("tradingbot", "go")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """The core of the servers, and the core of the load generator."""

    server: int
    load: int

    @classmethod
    def choose(cls) -> "Cores":
        """Return the first and the last core of this process: one core may be both."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(server=usable[0], load=usable[-1])


@dataclass(frozen=True)
class Usage:
    """Resources that a process and its children have used so far."""

    cpu_seconds: float
    peak_rss_mb: float
    pss_mb: float
    processes: int


# Set before the program starts, so that all of its threads are on that core.
_PINNED = (
    "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])});"
    " os.execv(sys.argv[2], sys.argv[2:])"
)


def pinned(core: int, command: list[str]) -> list[str]:
    """Return `command` pinned to one core."""
    return [sys.executable, "-I", "-S", "-c", _PINNED, str(core), *command]


def usage_of(pid: int) -> Usage:
    """Return the usage of a process and its descendants, from /proc."""
    tree = list(_tree(pid))
    return Usage(
        cpu_seconds=sum(_cpu_seconds(pid) for pid in tree),
        peak_rss_mb=sum(_kilobytes(pid, "status", "VmHWM") for pid in tree) / 1024,
        pss_mb=sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in tree) / 1024,
        processes=len(tree),
    )


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))


def _cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) * _TICK


def _kilobytes(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
