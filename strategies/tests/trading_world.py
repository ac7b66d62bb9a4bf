"""A market that follows from a seed, an account at it, and everything that can go wrong between.

The market has three symbols of one triangle whose prices drift apart now and then. `Faulty` stands
between the trader and its account: answers are lost, requests refused, delayed or cut, and the
process is killed in the middle of a call.
"""

import json
import random
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tradingbot_exchange.engine.types import Side
from tradingbot_exchange.market.symbols import DialectName, default_symbols
from tradingbot_strategies.exchange import (
    NotAcceptedError,
    RawFill,
    UnavailableError,
    UnknownOutcomeError,
)
from tradingbot_strategies.local import BOT, LocalAccount, market_of
from tradingbot_strategies.orders import NewCover, NewOrder, OrderState
from tradingbot_strategies.paper import PaperExchange, PaperStore
from tradingbot_strategies.view import Closes, Market, Quote

MINUTE = 60_000
D = Decimal


class World:
    """Prices of the triangle. `step` moves them, and the time."""

    def __init__(self, seed: int, *, start: int, volatility: float = 0.003, apart: float = 0.004):
        self.random = random.Random(seed)
        self.now = start - 30 * MINUTE
        self._volatility, self._apart = volatility, apart
        self._prices = {"BTC-USDT": 60000.0, "ETH-USDT": 3000.0}
        self._history: dict[str, list[tuple[int, Decimal]]] = {}
        self.quotes: dict[str, Quote] = {}
        self.markets: dict[str, Market] = {
            s.instrument.symbol: market_of(s.instrument)
            for s in default_symbols(DialectName.BINANCE)
        }
        while self.now < start:
            self.step(MINUTE)

    def step(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds
        for symbol in self._prices:
            self._prices[symbol] *= 1 + self.random.gauss(0, self._volatility)
        both = self._prices["ETH-USDT"] / self._prices["BTC-USDT"]
        cross = both * (1 + self.random.gauss(0, self._apart))
        for symbol, price in {**self._prices, "ETH-BTC": cross}.items():
            self.set(symbol, D(price))

    def set(self, symbol: str, price: Decimal, *, size: Decimal | None = None) -> None:
        """Set the price of a symbol; without `size` the quantities are random and often small."""
        market = self.markets[symbol]
        value = D(self.random.choice([20, 60, 150, 2000]))
        in_money = price if symbol != "ETH-BTC" else price * D(self._prices["BTC-USDT"])
        bid = market.price_down(price * D("0.9998"))
        ask = max(market.price_up(price * D("1.0002")), bid + market.tick)
        quantity = market.quantity_down(value / in_money) if size is None else size
        self.quotes[symbol] = Quote(bid, quantity, ask, quantity, self.now)
        self._history.setdefault(symbol, []).append((self.now, bid))

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass at the same prices."""
        self.now += milliseconds
        for symbol, quote in self.quotes.items():
            self.quotes[symbol] = quote._replace(time=self.now)
            self._history[symbol].append((self.now, quote.bid))

    def price(self, symbol: str, price: str, *, size: str = "100") -> None:
        """Set the middle of a symbol, with `size` at the best bid and ask."""
        self.set(symbol, D(price), size=D(size))

    def at(self, symbol: str, time: int) -> Decimal:
        """Return the price at the end of the newest minute that had ended by `time`."""
        history = self._history[symbol]
        place = bisect_right(history, (time - time % MINUTE, D("Infinity"))) - 1
        return history[max(place, 0)][1]

    def minute_closes(self, symbol: str, count: int) -> Closes:
        """Return the newest closed minutes."""
        end = self.now - self.now % MINUTE
        return Closes(
            [self.at(symbol, end - MINUTE * back) for back in range(count - 1, -1, -1)],
            end - MINUTE,
        )


class WorldMarket:
    """The world as market data."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        return {s: self._world.markets[s] for s in symbols if s in self._world.markets}

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        return {symbol: self._world.quotes[symbol] for symbol in symbols}

    async def closes(self, symbol: str, interval: str, count: int) -> Closes:
        assert interval == "1m"
        return self._world.minute_closes(symbol, count)

    async def price_at(self, symbol: str, time: int) -> Decimal:
        return self._world.at(symbol, time)


class NoStore:
    """A store that keeps nothing: the account itself outlives the trader in these tests."""

    def load(self) -> dict[str, object] | None:
        return None

    def save(self, state: dict[str, object]) -> None:
        """Keep nothing."""


class MemoryStore:
    """A store that keeps the account as the text that a file would have."""

    def __init__(self) -> None:
        self._text = "null"

    def load(self) -> dict[str, object] | None:
        return json.loads(self._text)  # type: ignore[no-any-return]

    def save(self, state: dict[str, object]) -> None:
        self._text = json.dumps(state)


def account_in(
    world: World, *, money: str = "10000", store: PaperStore | None = None
) -> PaperExchange:
    """Return an account at the world's prices."""
    return PaperExchange(
        WorldMarket(world),
        asset="USDT",
        money=D(money),
        store=store or NoStore(),
        clock=lambda: world.now,
    )


class Killed(BaseException):
    """The process was killed in the middle of a call."""


class Faulty:
    """An exchange whose connection fails as often as `rate`. `before_sending` sees every order."""

    def __init__(
        self,
        exchange: PaperExchange,
        world: World,
        *,
        rate: float,
        before_sending: Callable[[NewOrder], None] = lambda _: None,
        after_looking: Callable[[], None] = lambda: None,
    ) -> None:
        self._exchange, self._world, self._rate = exchange, world, rate
        self._before_sending, self._after_looking = before_sending, after_looking
        self.on_the_way: list[tuple[int, NewOrder]] = []
        """Orders that arrive later than the sender thinks, with the time of their arrival."""

    def deliver(self) -> None:
        """Let orders arrive that were delayed until now."""
        due = [each for each in self.on_the_way if each[0] <= self._world.now]
        self.on_the_way = [each for each in self.on_the_way if each[0] > self._world.now]
        for _, order in due:
            self._carry_out(lambda order=order: self._exchange.account.submit(order))  # type: ignore[misc]

    def _carry_out(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except NotAcceptedError:
            return None

    def _chance(self, share: float = 1.0) -> bool:
        return self._world.random.random() < self._rate * share

    def _maybe_killed(self) -> None:
        if self._chance(0.3):
            raise Killed

    async def _read(self, answer: Awaitable[Any]) -> Any:
        self._maybe_killed_closing(answer)
        return await answer

    def _maybe_killed_closing(self, answer: Any) -> None:
        unavailable, killed = self._chance(0.2), self._chance(0.05)
        if unavailable or killed:
            answer.close()
            raise Killed if killed else UnavailableError("no answer")

    async def markets(self, symbols: Sequence[str]) -> Mapping[str, Market]:
        if self._exchange._account is None:
            return await self._exchange.markets(symbols)
        return {s: self._world.markets[s] for s in symbols if s in self._world.markets}

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        return await self._read(self._exchange.quotes(symbols))  # type: ignore[no-any-return]

    async def closes(self, symbol: str, interval: str, count: int) -> Closes:
        return await self._read(self._exchange.closes(symbol, interval, count))  # type: ignore[no-any-return]

    async def price_at(self, symbol: str, time: int) -> Decimal:
        return await self._exchange.price_at(symbol, time)

    async def free(self, asset: str) -> Decimal:
        self._after_looking()
        return await self._exchange.free(asset)

    async def open_orders(self, symbol: str) -> Sequence[OrderState]:
        return await self._read(self._exchange.open_orders(symbol))  # type: ignore[no-any-return]

    async def order_history(self, symbol: str) -> Sequence[OrderState]:
        return await self._exchange.order_history(symbol)

    async def fills(self, symbol: str, after: int) -> Sequence[RawFill]:
        return await self._read(self._exchange.fills(symbol, after))  # type: ignore[no-any-return]

    async def order(self, symbol: str, order_id: str) -> OrderState | None:
        return await self._read(self._exchange.order(symbol, order_id))  # type: ignore[no-any-return]

    async def find(self, symbol: str, client_id: str) -> OrderState | None:
        return await self._read(self._exchange.find(symbol, client_id))  # type: ignore[no-any-return]

    async def submit(self, order: NewOrder) -> None:
        self._before_sending(order)
        if self._chance(0.1):
            delay = self._world.random.choice([2_000, 5_000, 9_000])
            self.on_the_way.append((self._world.now + delay, order))
            raise UnknownOutcomeError("time-out")
        self._send(lambda: self._exchange.account.submit(order))

    async def protect(self, cover: NewCover) -> None:
        self._send(lambda: self._exchange.account.protect(cover))

    async def cancel(self, order: OrderState) -> OrderState:
        return self._send(lambda: self._exchange.account.cancel(order))  # type: ignore[no-any-return]

    def _send(self, action: Callable[[], Any]) -> Any:
        self._maybe_killed()
        if self._chance(0.5):
            raise NotAcceptedError("refused by the test")
        if self._chance(0.5):
            raise UnknownOutcomeError("the request was lost")
        answer = action()
        self._maybe_killed()
        if self._chance():
            raise UnknownOutcomeError("the answer was lost")
        return answer


def positions(account: LocalAccount) -> dict[str, Decimal]:
    """Return what the bot holds of each asset but money, out of the exchange's fills alone."""
    held: dict[str, Decimal] = {}
    for fill in account.engine.fills(BOT):
        base, quote = fill.symbol.split("-")
        sign = 1 if fill.side is Side.BUY else -1
        for asset, change in (
            (base, sign * fill.quantity),
            (quote, -sign * fill.quote_quantity),
            (fill.fee_asset, -fill.fee),
        ):
            held[asset] = held.get(asset, D(0)) + change
    held.pop("USDT", None)
    return held
