"""One node for all workers of a run.

The first worker that needs the node starts it. It ends the node once no other worker uses it.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tradingbot_node.cluster import Node, present_node, running_node

READY, STARTING, USED = "node", "starting", "used"


@contextmanager
def locked(path: Path, *, alone: bool) -> Iterator[None]:
    """Hold a lock, beside others that hold it or alone. The kernel releases it with the process."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@contextmanager
def shared_node(directory: Path, prepare: Callable[[Node], None]) -> Iterator[Node]:
    """Start and prepare the node, or use that of another worker with the same `directory`."""
    ready, starting, used = (directory / name for name in (READY, STARTING, USED))
    with starting.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if ready.exists():
            with locked(used, alone=False):
                fcntl.flock(file, fcntl.LOCK_UN)
                yield present_node()
            return
        with running_node() as node:
            prepare(node)
            ready.touch()
            fcntl.flock(file, fcntl.LOCK_UN)
            try:
                yield node
            finally:
                # From now on, nobody else begins to use it.
                fcntl.flock(file, fcntl.LOCK_EX)
                with locked(used, alone=True):
                    ready.unlink()
                    for made in directory.glob("made-*"):
                        made.unlink()


def made_once(directory: Path, name: str, make: Callable[[], str]) -> str:
    """Return what `make` has returned in the first worker that asked, while its node lives."""
    made = directory / f"made-{name}"
    with locked(directory / f"making-{name}", alone=True):
        if not made.exists():
            made.write_text(make())
        return made.read_text()
