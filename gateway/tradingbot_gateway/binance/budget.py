"""How much of the exchange's rate limits the bot may use, so that the gateway has the rest.

Binance counts request weight and new streams by address. A bot that reads too much would have the
address banned, and with it the exits, cancels and protective orders that the gateway must send.
"""

from collections import deque
from collections.abc import Callable

from tradingbot_gateway.binance.refusals import RefusalError

BOT_WEIGHT = 3000
"""Request weight in a minute, of the 6000 that an address has."""
BOT_SENT_WEIGHT = 4500
"""What the bot's reads, orders and cancels may weigh together in a minute."""
BOT_STREAMS = 100
"""New market streams in five minutes, of the 300 that an address has."""
SYMBOL_WEIGHT = 20
"""Of exchangeInfo; a book weighs less."""
CONTROL = "RateLimit"

_MINUTE_MS = 60_000
_STREAM_MS = 5 * _MINUTE_MS
_TOO_MANY = -1003


class Budget:
    """Counts what one bot has used. `now` returns the exchange's time in milliseconds."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._minute = -1
        self._used = 0
        self._streams: deque[int] = deque()

    def spend(self, weight: int, *, may_wait: bool) -> None:
        """Count a request. Raises RefusalError for one that has no room left.

        `may_wait`: a read. Orders and cancels have more room, which only a flood of them uses up.
        """
        now = self._now()
        if now // _MINUTE_MS != self._minute:
            self._minute, self._used = now // _MINUTE_MS, 0
        most = BOT_WEIGHT if may_wait else BOT_SENT_WEIGHT
        if self._used + weight > most:
            raise RefusalError(
                CONTROL,
                _TOO_MANY,
                f"Too much request weight used; a bot has {most} a minute of the address.",
                status=429,
                retry_after=-(-(_MINUTE_MS - now % _MINUTE_MS) // 1000),
            )
        self._used += weight

    async def reads_symbol(self) -> None:
        """Count a read of a symbol that the bot has not named before. Raises RefusalError."""
        self.spend(SYMBOL_WEIGHT, may_wait=True)

    def opens_stream(self) -> bool:
        """Whether one more stream may be opened; if so, it counts."""
        now = self._now()
        while self._streams and self._streams[0] <= now - _STREAM_MS:
            self._streams.popleft()
        if len(self._streams) >= BOT_STREAMS:
            return False
        self._streams.append(now)
        return True
