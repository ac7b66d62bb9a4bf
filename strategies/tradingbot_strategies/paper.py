"""Paper: orders meet the quotes of a real market on the matching engine in this process.

No order is sent. A resting order is filled when the market's best price crosses it, with as much as
is quoted there; positions and profit are then as real as the quotes.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import ASSET_UNIT, Instrument

from tradingbot_strategies.exchange import RawFill
from tradingbot_strategies.local import LocalAccount, market_of
from tradingbot_strategies.orders import NewCover, NewOrder, OrderState
from tradingbot_strategies.view import Closes, Market, Quote

HUGE = Decimal(10**9)


class MarketData(Protocol):
    """The part of an exchange that needs no account. Methods as in `exchange.Exchange`."""

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """Return those of the symbols that exist."""

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the best bid and ask of each symbol."""

    async def closes(self, symbol: str, interval: str, count: int) -> Closes:
        """Return the newest closed candles."""

    async def price_at(self, symbol: str, time: int) -> Decimal:
        """Return the close of the newest one-minute candle that had ended by `time`."""


class PaperStore(Protocol):
    """Keeps the simulated account over a restart."""

    def load(self) -> dict[str, object] | None:
        """Return the last state, None if there is none."""

    def save(self, state: dict[str, object]) -> None:
        """Keep a state."""


class PaperExchange:
    """An account that starts with `money`, beside a market that exists. An `exchange.Exchange`."""

    def __init__(
        self,
        market: MarketData,
        *,
        asset: str,
        money: Decimal,
        store: PaperStore,
        clock: Callable[[], int],
    ) -> None:
        self._market, self._asset, self._money = market, asset, money
        self._store, self._clock = store, clock
        self._account: LocalAccount | None = None
        self._saved = 0

    @property
    def account(self) -> LocalAccount:
        """The account. It exists once the markets were read."""
        if self._account is None:
            raise RuntimeError("markets() comes first")
        return self._account

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        """Return those of the symbols that exist, and open the account for them."""
        found = await self._market.markets(symbols)
        instruments = [instrument_of(market) for market in found.values()]
        state = self._store.load()
        if state is None:
            self._account = LocalAccount.open(
                instruments, self._clock, asset=self._asset, money=self._money
            )
        else:
            self._account = LocalAccount(Engine.restore(instruments, state), self._clock)
        return {instrument.symbol: market_of(instrument) for instrument in instruments}

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the market's quotes, after the account's orders have met them."""
        found = await self._market.quotes(symbols)
        for symbol, quote in found.items():
            self.account.quote(symbol, quote)
            self.account.reach(symbol, quote)
        self._save()
        return found

    async def closes(self, symbol: str, interval: str, count: int) -> Closes:
        """Return the market's closed candles."""
        return await self._market.closes(symbol, interval, count)

    async def price_at(self, symbol: str, time: int) -> Decimal:
        """Return the market's price at a time."""
        return await self._market.price_at(symbol, time)

    async def free(self, asset: str) -> Decimal:
        """Return what the account can spend."""
        return self.account.free(asset)

    async def open_orders(self, symbol: str) -> Sequence[OrderState]:
        """Return the open orders."""
        return self.account.open_orders(symbol)

    async def order_history(self, symbol: str) -> Sequence[OrderState]:
        """Return all orders."""
        return self.account.orders(symbol)

    async def fills(self, symbol: str, after: int) -> Sequence[RawFill]:
        """Return the fills with a higher number than `after`."""
        return self.account.fills(symbol, after)

    async def order(self, symbol: str, order_id: str) -> OrderState | None:
        """Return an order by its id."""
        del symbol
        return self.account.order(order_id)

    async def find(self, symbol: str, client_id: str) -> OrderState | None:
        """Return an order by its client id."""
        return self.account.find(symbol, client_id)

    async def submit(self, order: NewOrder) -> None:
        """Simulate an order."""
        self.account.submit(order)
        self._save()

    async def protect(self, cover: NewCover) -> None:
        """Simulate a protective order."""
        self.account.protect(cover)
        self._save()

    async def cancel(self, order: OrderState) -> OrderState:
        """Cancel a simulated order."""
        ended = self.account.cancel(order)
        self._save()
        return ended

    def _save(self) -> None:
        if self.account.changes != self._saved:
            self._saved = self.account.changes
            self._store.save(self.account.engine.snapshot())


def instrument_of(market: Market) -> Instrument:
    """Return a market as the engine needs it."""
    lot = market.lot
    if (market.tick * lot) % ASSET_UNIT:  # the engine counts in units of an asset
        lot = ASSET_UNIT / market.tick
    return Instrument(
        symbol=market.symbol,
        base=market.base,
        quote=market.quote,
        tick=market.tick,
        lot=lot,
        min_price=market.tick,
        max_price=HUGE // market.tick * market.tick,
        min_quantity=max(market.min_quantity, lot),
        max_quantity=HUGE // lot * lot,
        min_notional=market.min_notional,
        maker_fee=market.maker_fee,
        taker_fee=market.taker_fee,
    )
