"""The markets that the bot trades: their rules, and quotes of them and of what values them."""

from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.engine.types import Instrument, Level

from tradingbot_gateway.binance.feed import Depth, Feed
from tradingbot_gateway.binance.instruments import Instruments
from tradingbot_gateway.gate import Gate
from tradingbot_gateway.risk.types import Market, Quote


class Markets:
    """Gives the gate the markets and quotes that it needs for a symbol, before it has to judge."""

    def __init__(self, gate: Gate, instruments: Instruments, feed: Feed) -> None:
        self._gate = gate
        self._instruments = instruments
        self._feed = feed
        self._ready: set[str] = set()

    async def for_order(self, name: str) -> Instrument:
        """Return an instrument by Binance's name, once the gate can judge orders of it.

        Quotes are followed only of what may be entered: a bot that tries every symbol must not use
        up the exchange's limits. Raises ApiError (-1121), UnreachableError.
        """
        instrument = await self._instruments.get(name)
        limits = self._gate.limits
        may_enter = (
            instrument.quote == limits.money
            if limits.allowed_symbols is None
            else instrument.symbol in limits.allowed_symbols
        )
        if may_enter:
            return await self.ready(name)
        self._gate.listed({instrument.symbol: Market.of(instrument)})
        return instrument

    async def ready(self, name: str) -> Instrument:
        """Return an instrument by Binance's name, once its quotes are followed.

        Raises ApiError (-1121), UnreachableError.
        """
        instrument = await self._instruments.get(name)
        if name not in self._ready:
            self._gate.listed({instrument.symbol: Market.of(instrument)})
            self._ready.add(name)
            if instrument.quote != self._gate.limits.money:
                await self.value(instrument.quote)
            await self._feed.follow(name)
        return instrument

    async def value(self, asset: str) -> Instrument | None:
        """Return the market in which an asset is worth money, or None if there is none.

        Raises UnreachableError.
        """
        try:
            return await self.ready(asset + self._gate.limits.money)
        except ApiError:
            return None

    def name(self, symbol: str) -> str:
        """Return Binance's name of a core's symbol: `BTCUSDT` of `BTC-USDT`."""
        return symbol.replace("-", "")

    def symbol(self, name: str) -> str | None:
        """Return the core's symbol of a Binance's name, if it has been read."""
        found = self._instruments.known().get(name)
        return None if found is None else found.symbol

    def quoted(self, name: str, depth: Depth) -> None:
        """Hand a book to the gate."""
        symbol = self.symbol(name)
        if symbol is not None:
            bids = tuple(Level(price, quantity) for price, quantity in depth.bids)
            asks = tuple(Level(price, quantity) for price, quantity in depth.asks)
            self._gate.quoted(Quote(symbol=symbol, bids=bids, asks=asks, time=depth.time))
