"""What one process of a machine does at a time, while others wait for it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradingbot_dev.progress import Progress


@contextmanager
def exclusive(lock: Path, progress: Progress, *, what: str) -> Iterator[None]:
    """Held by one process at a time; the kernel lets go of it however that process ends.

    Whoever has to wait says so: for `what`, and for which process.
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
