"""Notices when the wall clock is set, or the machine wakes up from suspension.

Timers run by a clock that counts neither, so whatever is due at a time of day must be computed
again.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

logger = logging.getLogger(__name__)

INTERVAL = 5.0
TOLERANCE = 1.0
"""Seconds. A clock that is slewed moves by less than this in an interval."""


async def watch_for_clock_jumps(clock: Callable[[], datetime], on_jump: Callable[[], None]) -> None:
    """Call `on_jump` whenever `clock` has moved by more or less than the time that has passed."""
    loop = asyncio.get_running_loop()

    def reading() -> tuple[datetime, float]:
        return clock(), loop.time()

    last = reading()
    while True:
        await asyncio.sleep(INTERVAL)
        now = reading()
        jump = (now[0] - last[0]).total_seconds() - (now[1] - last[1])
        if abs(jump) > TOLERANCE:
            logger.warning("The wall clock has jumped by %.1f s; reconciling all bots", jump)
            on_jump()
        last = now
