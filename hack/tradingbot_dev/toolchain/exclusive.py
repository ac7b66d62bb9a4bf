"""A lock between processes of one machine."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradingbot_dev.progress import Progress


@contextmanager
def exclusive(lock: Path, progress: Progress, *, what: str) -> Iterator[None]:
    """Hold the lock. The kernel releases it however this process ends.

    A process that has to wait reports for `what` and for which pid.
    """
    with lock.open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.seek(0)
            progress.step(f"waiting for {what} (pid {held.read().strip()})")
            fcntl.flock(held, fcntl.LOCK_EX)
        held.seek(0)
        held.truncate()
        held.write(str(os.getpid()))
        held.flush()
        yield
