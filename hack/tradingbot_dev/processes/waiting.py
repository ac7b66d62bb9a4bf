"""Wait for a condition with a deadline, and stop at once when it cannot become true any more."""

import time
from collections.abc import Callable, Iterable

from tradingbot_dev.errors import NotReadyError
from tradingbot_dev.processes.table import POLL_SECONDS, ProcessTable, tail

STUCK_SECONDS = 180.0
"""The deadline of a test that is stuck. It costs nothing in a test that passes, and a short one
fails a test whose machine is busy. A time that the product promises has a name of its own."""


def wait_until(
    ready: Callable[[], bool],
    *,
    what: str,
    seconds: float = STUCK_SECONDS,
    every: float = POLL_SECONDS,
    table: ProcessTable | None = None,
    needs: Iterable[str] = (),
) -> None:
    """Poll `ready`, with a pause of `every` seconds.

    Raises NotReadyError after `seconds`, and ProcessDiedError at once if one of the processes that
    it `needs` has ended.
    """
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
        time.sleep(every)
