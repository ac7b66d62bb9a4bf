"""How many requests of Coinbase's limits the gateway uses, and how many its bot.

Coinbase allows an account 30 requests in a second, and an address 10 without a key; of an address
it takes 8 new WebSockets and 8 messages without a token in a second. A bot that uses them up would
take from the gateway what protective orders, cancels and prices need. So each has a share. What is
more than that waits for its turn, and is refused if that takes too long.
"""

import asyncio
from collections import deque

from tradingbot_exchange.coinbase.errors import RateLimitedError

from tradingbot_gateway.answers import Wall

OWN_READS, BOT_READS = 12, 8
"""In a second, of the 30 of the account."""
BOT_SENT = 6
"""Orders and cancels of the bot in a second. The other 4 are for those of the gateway."""
BOT_PUBLIC = 5
"""Requests without a key in a second, of the 10 of the address."""
BOT_MESSAGES = 4
"""Messages to market channels in a second, of the 8. The first of a connection opens it."""
READ_SECONDS, SENT_SECONDS = 2.0, 5.0
"""How long a read of the bot, and an order or a cancel, may wait for its turn."""
LIMITED_SECONDS = 1.0
"""After this pause, requests that the exchange refused for their rate are sent again."""
CONTROL = "RateLimit"

_SECOND_MS = 1000


class BotRateError(RateLimitedError):
    """A request of the bot that has waited for long enough. The exchange has not seen it."""

    control = CONTROL


class Rate:
    """Counts one kind of request: so many in any second, however the exchange divides the time."""

    def __init__(self, limit: int, wall: Wall) -> None:
        self._limit = limit
        self._wall = wall
        self._sent: deque[int] = deque()
        self._turn = asyncio.Lock()

    def take(self) -> bool:
        """Whether one more request may be sent now; if so, it counts."""
        now = self._wall()
        # Those of a time to come were sent before the clock was set.
        while self._sent and not now - _SECOND_MS < self._sent[0] <= now:
            self._sent.popleft()
        if len(self._sent) >= self._limit:
            return False
        self._sent.append(now)
        return True

    async def wait(self) -> None:
        """Return when one more request may be sent. Those that wait get their turns in order."""
        async with self._turn:
            while True:
                if self.take():
                    return
                await asyncio.sleep(max(self._sent[0] + _SECOND_MS - self._wall(), 1) / 1000)

    async def wait_briefly(self, seconds: float = READ_SECONDS) -> None:
        """Return when one more request may be sent. Raises BotRateError if that takes too long."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            raise BotRateError from None


class BotRates:
    """The bot's share of each limit."""

    def __init__(self, wall: Wall) -> None:
        self.reads = Rate(BOT_READS, wall)
        self.sent = Rate(BOT_SENT, wall)
        self.public = Rate(BOT_PUBLIC, wall)
        self.messages = Rate(BOT_MESSAGES, wall)
