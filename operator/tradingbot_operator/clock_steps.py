"""Notices when the wall clock is set, or a machine wakes up.

Timers run by a clock that counts neither, so what was due at a time of day has to be reckoned anew.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

logger = logging.getLogger(__name__)

INTERVAL = 5.0
TOLERANCE = 1.0
"""Seconds; a clock that is slewed moves by less in an interval."""


async def tell_of_clock_steps(clock: Callable[[], datetime], stepped: Callable[[], None]) -> None:
    """Call `stepped` whenever `clock` has moved by more or less than the time that has passed."""
    loop = asyncio.get_running_loop()

    def reading() -> tuple[datetime, float]:
        return clock(), loop.time()

    last = reading()
    while True:
        await asyncio.sleep(INTERVAL)
        now = reading()
        step = (now[0] - last[0]).total_seconds() - (now[1] - last[1])
        if abs(step) > TOLERANCE:
            logger.warning("the wall clock has moved by %.1f s; all timers are set anew", step)
            stepped()
        last = now
