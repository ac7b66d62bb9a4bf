"""End and remove everything of the node, in whatever state it is, also after a killed run.

What belongs to the node is found by its directory: processes have it in their environment, pods are
in its control groups, and mounts are inside it. Nothing else is changed.

`python -m tradingbot_node.host.leftovers` waits until the test run that started it has ended,
however it ended, and then cleans up.
"""

import os
import shutil
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tradingbot_dev.processes.table import ProcessTable
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.exclusive import exclusive

from tradingbot_node.host import cgroups, netns
from tradingbot_node.host.mounts import unmount_below
from tradingbot_node.host.places import DIRECTORY, LOCK

PLANE = DIRECTORY / "control-plane"
_LOG_LINKS = Path("/var/log/containers")


def end_everything() -> None:
    """End everything except files, as if power failed: processes, mounts, the network."""
    table = ProcessTable(run=PLANE / "run", log=PLANE / "log")
    table.end_strays()  # the kubelet too, so that nothing starts again
    cgroups.kill_all()
    unmount_below(DIRECTORY)
    netns.remove()
    cgroups.remove()
    for pid_file in table.run.glob("*.pid"):
        pid_file.unlink()


def remove() -> None:
    """End everything and remove the files. Fast if there is no node."""
    end_everything()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    _unlink_dangling_logs()


def only_one(progress: Progress) -> AbstractContextManager[None]:
    """Hold the lock of the machine's only node. A second run waits."""
    return exclusive(LOCK, progress, what="another run with a node")


def _unlink_dangling_logs() -> None:
    """Remove the links to the pods' logs that the kubelet creates in this fixed directory."""
    for link in _LOG_LINKS.glob("*.log") if _LOG_LINKS.is_dir() else ():
        if link.is_symlink() and link.readlink().is_relative_to(DIRECTORY):
            link.unlink()


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    parent = os.getppid()
    sys.stdin.read()
    # A live parent holds the lock and waits for this. After a killed one the next may have begun.
    asked = os.getppid() == parent
    with nullcontext() if asked else only_one(Progress()):
        remove()


if __name__ == "__main__":
    main()
