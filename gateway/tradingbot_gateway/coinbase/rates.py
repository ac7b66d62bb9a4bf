"""How many requests of the account's limit the gateway uses, and how many its bot.

Coinbase allows 30 in a second. Orders and cancels are sent at once; what is read waits for its
turn, and a bot that reads too much is refused before it uses up what the gateway needs.
"""

import asyncio

from tradingbot_exchange.coinbase.rate_limits import PerSecond

from tradingbot_gateway.answers import Wall

OWN_READS, BOT_READS = 14, 10
"""In a second."""
LIMITED_SECONDS = 1.0
"""After this pause, requests that the exchange refused for their rate are sent again."""

_WHO = ""


class Rate:
    """Counts one kind of request."""

    def __init__(self, limit: int, wall: Wall) -> None:
        self._counts = PerSecond(limit)
        self._wall = wall

    def take(self) -> bool:
        """Whether one more request may be sent in this second; if so, it counts."""
        return self._counts.take(_WHO, now_ms=self._wall()).allowed

    async def wait(self) -> None:
        """Return when one more request may be sent."""
        while True:
            if self.take():
                return
            await asyncio.sleep((1000 - self._wall() % 1000) / 1000)
