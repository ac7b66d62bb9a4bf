"""The machine that a benchmark ran on, and the versions of what it measured."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.common.peer import pinned_versions


def hardware() -> dict[str, Any]:
    """Return the machine and the version of Python."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def machine(go_version: str, packages: tuple[str, ...]) -> dict[str, Any]:
    """Return the machine, and the versions of Python, Go, the peer and these packages."""
    return hardware() | {
        "go": go_version,
        "peer": pinned_versions(),
        "server": {name: version(name) for name in packages},
    }
