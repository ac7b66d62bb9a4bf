"""The markets that the bot trades: their rules, and quotes of them and of what values them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from tradingbot_exchange.engine.types import Instrument, Level

from tradingbot_gateway.gate import Gate
from tradingbot_gateway.risk.types import Market, Quote

Levels = tuple[tuple[Decimal, Decimal], ...]
"""Price and quantity, best first."""


@dataclass(frozen=True, slots=True)
class Depth:
    """The best levels of both sides, and when they were received, by the machine's clock."""

    bids: Levels
    asks: Levels
    time: int


OnDepth = Callable[[str, Depth], None]
"""Takes the exchange's name of a symbol and its book."""


class Instruments(Protocol):
    """What the exchange trades, by its own names."""

    async def get(self, name: str) -> Instrument:
        """Return an instrument. Raises the dialect's error for a name that is not known."""

    def known(self) -> Mapping[str, Instrument]:
        """Return what has been read so far."""

    def has_to_ask(self, name: str) -> bool:
        """Whether `get` asks the exchange: a name is not known, and could be one."""


class Feed(Protocol):
    """Quotes of symbols, by the exchange's names."""

    async def follow(self, name: str) -> None:
        """Follow a symbol from now on; its book is known when this returns."""


class Markets:
    """Gives the gate the markets and quotes that it needs for a symbol, before it has to judge."""

    def __init__(
        self,
        gate: Gate,
        instruments: Instruments,
        feed: Feed,
        *,
        unknown: type[Exception],
        before_reading: Callable[[], Awaitable[None]],
        name: Callable[[str], str] = str,
        stop_slippage: Decimal | None = None,
    ) -> None:
        """`unknown`: what `instruments` raise for a name that is not known.

        `before_reading` counts a request that an order of the bot causes, as one of the bot's own.
        It waits, or raises the dialect's error. `name` returns the exchange's name of a core's
        symbol. `stop_slippage`: that of each market.
        """
        self.name = name
        self.unknown = unknown
        self._before_reading = before_reading
        self._stop_slippage = stop_slippage
        self._gate = gate
        self._instruments = instruments
        self._feed = feed
        self._ready: set[str] = set()

    async def for_order(self, name: str) -> Instrument:
        """Return an instrument by the exchange's name, once the gate can judge orders of it.

        Quotes are followed only of what may be entered: a bot that tries every symbol must not use
        up the exchange's limits. Raises the error `unknown`, UnreachableError.
        """
        if self._instruments.has_to_ask(name):
            await self._before_reading()
        instrument = await self._instruments.get(name)
        limits = self._gate.limits
        may_enter = (
            instrument.quote == limits.money
            if limits.allowed_symbols is None
            else instrument.symbol in limits.allowed_symbols
        )
        if may_enter:
            if name not in self._ready:
                await self._before_reading()
            return await self.ready(name)
        self._list(instrument)
        return instrument

    async def ready(self, name: str) -> Instrument:
        """Return an instrument by the exchange's name, once its quotes are followed.

        Raises the error `unknown`, UnreachableError.
        """
        instrument = await self._instruments.get(name)
        if name not in self._ready:
            self._list(instrument)
            self._ready.add(name)
            if instrument.quote != self._gate.limits.money:
                await self.value(instrument.quote)
            await self._feed.follow(name)
        return instrument

    def _list(self, instrument: Instrument) -> None:
        market = Market.of(instrument, stop_slippage=self._stop_slippage)
        self._gate.listed({instrument.symbol: market})

    async def value(self, asset: str) -> Instrument | None:
        """Return the market in which an asset is worth money, or None if there is none.

        Raises UnreachableError.
        """
        try:
            return await self.ready(self.name(f"{asset}-{self._gate.limits.money}"))
        except self.unknown:
            return None

    def symbol(self, name: str) -> str | None:
        """Return the core's symbol of an exchange's name, if it has been read."""
        found = self._instruments.known().get(name)
        return None if found is None else found.symbol

    def quoted(self, name: str, depth: Depth) -> None:
        """Hand a book to the gate."""
        symbol = self.symbol(name)
        if symbol is not None:
            bids = tuple(Level(price, quantity) for price, quantity in depth.bids)
            asks = tuple(Level(price, quantity) for price, quantity in depth.asks)
            self._gate.quoted(Quote(symbol=symbol, bids=bids, asks=asks, time=depth.time))
