"""Ends and removes everything of the node, in whatever state it is; also that of a killed run.

What belongs to the node is told by its folder: processes carry it in their environment, pods are
in its control groups, and mounts lie inside it. Nothing else is touched.

`python -m tradingbot_node.leftovers` waits until the test run that started it is gone, however it
went, and does it then.
"""

import os
import shutil
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tradingbot_dev.exclusive import exclusive
from tradingbot_dev.processes import ProcessTable
from tradingbot_dev.progress import Progress

from tradingbot_node import cgroups, netns
from tradingbot_node.mounts import unmount_below
from tradingbot_node.places import FOLDER, LOCK

PLANE = FOLDER / "control-plane"
_LOG_LINKS = Path("/var/log/containers")


def end_everything() -> None:
    """As if the power went: no process, mount or network of the node is left. Its files are."""
    table = ProcessTable(run=PLANE / "run", log=PLANE / "log")
    table.end_strays()  # the kubelet too, so that nothing starts again
    cgroups.kill_all()
    unmount_below(FOLDER)
    netns.remove()
    cgroups.remove()
    for pid_file in table.run.glob("*.pid"):
        pid_file.unlink()


def remove() -> None:
    """That, and its files. Fast where there is nothing."""
    end_everything()
    shutil.rmtree(FOLDER, ignore_errors=True)
    _unlink_dangling_logs()


def only_one(progress: Progress) -> AbstractContextManager[None]:
    """One node on a machine: a second run waits."""
    return exclusive(LOCK, progress, what="another run with a node")


def _unlink_dangling_logs() -> None:
    """The kubelet links each log from this folder of the machine, wherever it keeps them."""
    for link in _LOG_LINKS.glob("*.log") if _LOG_LINKS.is_dir() else ():
        if link.is_symlink() and link.readlink().is_relative_to(FOLDER):
            link.unlink()


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    parent = os.getppid()
    sys.stdin.read()
    # A run that lives has the lock, and waits for this. If it was killed, the next may have begun.
    asked = os.getppid() == parent
    with nullcontext() if asked else only_one(Progress()):
        remove()


if __name__ == "__main__":
    main()
