"""One simulated exchange: an engine, a market around it, keys, faults and a clock.

A dialect sees only this: it reads the engine, sends requests to it through `apply`, and listens to
events. All of it runs in one event loop, so no call needs a lock.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import Event, Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """Prices of one interval. `start` is in milliseconds since the epoch."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of an account. The secret is in memory only.

    `secret` is the HMAC secret, or the PEM of a public key (Ed25519, EC P-256) that verifies.
    """

    name: str
    account: str
    secret: str
    permissions: frozenset[str] = frozenset({"read", "trade"})


Listener = Callable[[Sequence[Event]], None]


class Venue(Protocol):
    """What a dialect knows of its exchange."""

    @property
    def engine(self) -> Engine:
        """The engine. Change it through `apply` only."""

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        """By name."""

    def now(self) -> int:
        """Return the exchange's time, in milliseconds since the epoch, with skew and speed."""

    def market_time(self) -> int:
        """Return the matching engine's time: with speed, but without skew.

        Orders, trades and candles carry it, so compare it with theirs.
        """

    def client_time(self) -> int:
        """Return what a client's clock should show: real time with skew, but without speed.

        Compare timestamps of requests with it, and answer it where a client asks for the time. It
        equals `now()` at speed 1.
        """

    def apply(self, change: Callable[[Engine, int], tuple[object, list[Event]]]) -> object:
        """Bring the market up to now, call `change(engine, now)`, record it, notify listeners.

        Returns the first value. RefusedError passes through.
        """

    def advance(self) -> None:
        """Bring the market up to now. Call it before a query."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the events of each change; the result ends that."""

    def candles(self, symbol: str, interval_ms: int, *, start: int, end: int) -> list[Candle]:
        """Return the candles that begin in [start, end], oldest first; the last one may be open."""

    def trades(self, symbol: str, *, after_id: int = 0, limit: int = 1000) -> list[Trade]:
        """Return public trades with a higher id, or the newest ones if `after_id` is 0."""

    def credit(self, account: str, asset: str, amount: Decimal) -> None:
        """Deposit, or withdraw if negative."""
