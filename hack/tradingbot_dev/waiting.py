"""Waiting for something real, with a deadline, noticing at once when it cannot come any more."""

import time
from collections.abc import Callable, Iterable

from tradingbot_dev.errors import NotReadyError
from tradingbot_dev.processes import POLL_SECONDS, ProcessTable, tail


def wait_until(
    ready: Callable[[], bool],
    *,
    what: str,
    seconds: float,
    table: ProcessTable | None = None,
    needs: Iterable[str] = (),
) -> None:
    """Polls `ready`. Raises at once if one of the processes it `needs` ends by itself."""
    deadline = time.monotonic() + seconds
    needed = tuple(needs)
    while not ready():
        for name in needed if table is not None else ():
            assert table is not None
            if table.running(name) is None:
                raise table.died(name)
        if time.monotonic() > deadline:
            log = table.log_file(needed[-1]) if table is not None and needed else None
            raise NotReadyError(
                f"{what} is not ready after {seconds:.0f} s" + (f"; see {log}" if log else ""),
                detail=tail(log) if log else "",
            )
        time.sleep(POLL_SECONDS)
