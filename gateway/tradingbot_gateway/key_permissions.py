"""Asks the exchange now and then what the gateway's key may do. No dialect.

A gateway needs no key that may withdraw. One that may is a warning: it trades all the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tradingbot_gateway.errors import UnreachableError
from tradingbot_gateway.gate import Gate

log = logging.getLogger(__name__)

_SECONDS = 3600.0
_FIRST_PAUSE = 15.0


async def follow_permissions(gate: Gate, may_withdraw: Callable[[], Awaitable[bool]]) -> None:
    """Ask at once and every hour, for ever; sooner after a failure.

    `may_withdraw` raises UnreachableError. What an exchange has not answered is not warned of.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            found = await may_withdraw()
        except UnreachableError as error:
            log.warning("what the key may do is not known: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _SECONDS)
        else:
            if found and not gate.key_may_withdraw:
                log.warning("the exchange's API key may withdraw or transfer: use one that may not")
            gate.key_may_withdraw = found
            pause = _FIRST_PAUSE
            await asyncio.sleep(_SECONDS)
