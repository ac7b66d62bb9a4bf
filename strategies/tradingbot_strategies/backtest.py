"""Backtests: the `decide` that trades, on the matching engine, over a file of candles.

A strategy is asked once for each candle, when it closes. Its orders meet the prices of the next
candles in the order open, nearer extreme, other extreme, close (a rising candle touches its low
first), and an order is filled when a price reaches it. What takes is filled at the close, half a
spread away. The limits of bot.json apply, and protective orders rest at the engine.

The same file and settings give the same result. Money is decimal throughout.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from tradingbot_exchange.engine.types import Instrument, Side
from tradingbot_exchange.market.replay import Row

from tradingbot_strategies.account import Account, OwnFill
from tradingbot_strategies.catalog import Strategy
from tradingbot_strategies.exchange import NotAcceptedError
from tradingbot_strategies.intervals import milliseconds
from tradingbot_strategies.limits import Limits, permitted
from tradingbot_strategies.local import LocalAccount, market_of
from tradingbot_strategies.orders import ClientIds, NewCover, NewOrder, OrderState, Role
from tradingbot_strategies.plan import Cancel, Place, Step, as_resting, steps
from tradingbot_strategies.protection import exits
from tradingbot_strategies.view import ZERO, Closes, Position, Quote, Resting, Style, View, Wish

DAY = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a backtest runs."""

    strategy: Strategy
    limits: Limits
    instruments: Sequence[Instrument]
    """Of the strategy's symbols, with their fees."""
    money: Decimal
    """What the account begins with."""
    spread: Decimal
    """Between bid and ask, as a fraction of the price."""
    interval: int
    """Of the candles of the file, in milliseconds."""


class Point(NamedTuple):
    """The account when a candle closed."""

    time: int
    equity: Decimal
    price: Decimal
    """Of the first symbol."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that happened."""

    fills: Sequence[OwnFill]
    points: Sequence[Point]
    refused: int
    """Orders that the engine did not accept."""


def run(settings: Settings, candles: Iterable[tuple[str, Row]]) -> Outcome:
    """Run a strategy over candles, which are sorted by time."""
    simulation = _Simulation(settings)
    for time, group in groupby(candles, key=lambda candle: candle[1].time):
        simulation.candle(time, group)
    return simulation.outcome()


class Bounds(NamedTuple):
    """Prices at which the nearest of the bot's open orders in a symbol are met."""

    buy: Decimal
    sell: Decimal
    stop: Decimal


NO_BOUNDS = Bounds(buy=ZERO, sell=Decimal("Infinity"), stop=ZERO)


class _Simulation:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._needs = settings.strategy.needs
        self._now = 0
        self._local = LocalAccount.open(
            settings.instruments,
            lambda: self._now,
            asset=self._needs.money,
            money=settings.money,
        )
        self._markets = {i.symbol: market_of(i) for i in settings.instruments}
        self._account = Account(self._needs.money, day_start=0, price_of_fee=lambda _: ZERO)
        self._ids = ClientIds("", "backtest", started=0)
        self._tags: dict[str, str] = {}
        self._seen = dict.fromkeys(self._markets, 0)
        self._open: list[OrderState] = []
        self._resting: Sequence[Resting] = ()
        self._positions: Mapping[str, Position] = {}
        self._free = settings.money
        self._quotes: dict[str, Quote] = {}
        self._closes = _Closes(self._needs.candle_interval, settings.interval)
        self._fills: list[OwnFill] = []
        self._points: list[Point] = []
        self._day = -1
        self._day_equity = settings.money
        self._wishes: Sequence[Wish] | None = None
        self._asked: View | None = None
        """What `_wishes` are for."""
        self._no_bounds = dict.fromkeys(self._markets, NO_BOUNDS)
        self._bounds = self._no_bounds
        self._entries = True
        self._refused = 0

    def candle(self, time: int, group: Iterable[tuple[str, Row]]) -> None:
        """Play one candle of each symbol, then ask the strategy."""
        rows = dict(group)
        self._now = time
        changed = False
        for symbol, row in rows.items():
            if self._open and self._reached(symbol, row.low, row.high):
                changed |= self._play(symbol, row)
        self._now = time + self._settings.interval
        for symbol, row in rows.items():
            self._quotes[symbol] = self._quote(symbol, row.close, row.volume)
        first = rows.get(self._needs.symbols[0])
        if first is not None:
            self._closes.add(self._now, first.close)
        if len(self._quotes) < len(self._markets):
            return  # some symbol has no price yet
        equity = self._equity()
        self._points.append(Point(self._now, equity, self._quotes[self._needs.symbols[0]].bid))
        changed |= self._watch_day(equity)
        self._trade(changed=changed)

    def outcome(self) -> Outcome:
        """Return everything that has happened."""
        return Outcome(self._fills, self._points, self._refused)

    # The market

    def _reached(self, symbol: str, low: Decimal, high: Decimal) -> bool:
        """Whether an order of the bot meets a price from `low` to `high`."""
        bounds = self._bounds[symbol]
        return bounds.buy >= low or bounds.sell <= high or bounds.stop >= low

    def _play(self, symbol: str, row: Row) -> bool:
        """Let the market trade along a candle, and return whether the bot's orders were filled."""
        filled = False
        before = row.open
        extremes = (row.low, row.high) if row.close >= row.open else (row.high, row.low)
        for after in (row.open, *extremes, row.close):
            # A falling price meets each stop on its way, not only the end of the way.
            stops = {o.stop_price for o in self._open if o.symbol == symbol and o.stop_price}
            on_the_way = sorted((s for s in stops if after < s < before), reverse=True)
            for price in (*on_the_way, after):
                if self._reached(symbol, price, price):
                    if self._bounds[symbol].stop >= price:
                        self._local.quote(symbol, self._quote(symbol, price, row.volume))
                    self._local.trade(symbol, self._markets[symbol].price_down(price))
                    self._local.withdraw(symbol)
                    filled |= self._collect()
            before = after
        return filled

    def _quote(self, symbol: str, price: Decimal, volume: Decimal) -> Quote:
        market, half = self._markets[symbol], price * self._settings.spread / 2
        bid, ask = market.price_down(price - half), market.price_up(price + half)
        return Quote(bid, volume, max(ask, bid + market.tick), volume, self._now)

    # The bot

    def _watch_day(self, equity: Decimal) -> bool:
        """Begin a day, or halt at the daily loss limit. Return whether that changes anything."""
        before = self._entries
        if self._now // DAY != self._day:
            self._day, self._day_equity, self._entries = self._now // DAY, equity, True
        elif equity - self._day_equity <= -self._settings.limits.daily_loss_limit:
            self._entries = False
        return self._entries is not before

    def _trade(self, *, changed: bool) -> None:
        strategy = self._settings.strategy
        for _ in range(len(self._markets) + 1):  # a cycle has a trade in each market
            view = self._view()
            if not changed and self._asked and strategy.unchanged(view, self._asked):
                return
            wishes = strategy.decide(view)
            same = wishes == self._wishes
            self._wishes, self._asked = wishes, view
            if same and not changed:
                return
            allowed = permitted(
                wishes, view, self._settings.limits, money=self._needs.money, entries=self._entries
            )
            found = exits(allowed, view, self._settings.limits, money=self._needs.money)
            todo = steps(allowed, found, self._open, self._ids)
            if not todo:
                return
            for symbol in self._markets:  # nothing is left to fill there; stops are checked with it
                self._local.trade(symbol, self._quotes[symbol].bid)
            for step in todo:
                if not self._carry_out(step):
                    break
            changed = self._collect()
            if not changed:
                return

    def _carry_out(self, step: Step) -> bool:
        symbol = step.order.symbol if isinstance(step, Cancel) else _symbol(step)
        try:
            if isinstance(step, Cancel):
                self._local.end(step.order)
                return True
            if isinstance(step, Place):
                wish = step.wish
                if wish.style is not Style.REST:
                    self._local.quote(symbol, self._quotes[symbol])
                self._local.submit(
                    NewOrder(
                        client_id=self._ids.new(step.role, wish.tag),
                        symbol=symbol,
                        side=wish.side,
                        quantity=wish.quantity,
                        price=wish.price,
                        style=wish.style,
                    )
                )
            else:
                cover = step.cover
                self._local.protect(
                    NewCover(
                        client_id=self._ids.new(Role.COVER, cover.tag),
                        symbol=symbol,
                        quantity=cover.quantity,
                        price=cover.price,
                        stop_price=cover.stop_price,
                    )
                )
        except NotAcceptedError:
            self._refused += 1
            return False
        finally:
            self._local.withdraw(symbol)
        return True

    def _collect(self) -> bool:
        """Read new fills and open orders. Return whether there were new fills."""
        found = []
        for symbol, market in self._markets.items():
            for fill in self._local.fills(symbol, self._seen[symbol]):
                self._seen[symbol] = fill.number
                order = self._local.order(fill.order_id)
                label = self._ids.label(order.client_id) if order else None
                found.append(
                    OwnFill(
                        time=fill.time,
                        number=fill.number,
                        symbol=symbol,
                        base=market.base,
                        quote=market.quote,
                        order_id=fill.order_id,
                        tag=label.tag if label else "",
                        side=fill.side,
                        price=fill.price,
                        quantity=fill.quantity,
                        value=fill.value,
                        fee=fill.fee,
                        fee_asset=fill.fee_asset,
                    )
                )
        self._account.apply(found)
        self._fills += found
        self._read_open()
        self._positions = self._account.positions()
        self._free = self._local.free(self._needs.money)
        return bool(found)

    def _read_open(self) -> None:
        if not self._local.has_open_orders():
            self._open, self._resting, self._bounds = [], [], self._no_bounds
            return
        self._open = [
            order for symbol in self._markets for order in self._local.open_orders(symbol)
        ]
        self._bounds = self._no_bounds | {
            symbol: _bounds(orders)
            for symbol, orders in groupby(self._open, key=lambda order: order.symbol)
        }
        self._resting = as_resting(self._open, self._ids)

    def _view(self) -> View:
        return View(
            now=self._now,
            markets=self._markets,
            quotes=dict(self._quotes),
            positions=self._positions,
            bought=self._account.bought(),
            resting=self._resting,
            closes=self._closes.closed(),
            free=self._free,
            last_fill=self._fills[-1].time if self._fills else 0,
        )

    def _equity(self) -> Decimal:
        marks = {
            asset: self._quotes[f"{asset}-{self._needs.money}"].bid for asset in self._positions
        }
        return self._settings.money + self._account.day_pnl(marks, {})


class _Closes:
    """Closing prices of the strategy's interval, out of candles that may be shorter."""

    def __init__(self, interval: str, step: int) -> None:
        self._interval = milliseconds(interval) if interval else 0
        self._prices: list[Decimal] = []
        self._last_start = 0
        self._step = step

    def add(self, end: int, price: Decimal) -> None:
        """Count a candle of the file that ended at `end`."""
        if self._interval and end % self._interval == 0:
            self._prices.append(price)
            self._last_start = end - self._interval

    def closed(self) -> Closes | None:
        """Return the closed candles so far."""
        return Closes(self._prices, self._last_start) if self._interval else None


def _bounds(orders: Iterable[OrderState]) -> Bounds:
    buy, sell, stop = NO_BOUNDS.buy, NO_BOUNDS.sell, NO_BOUNDS.stop
    for order in orders:
        if order.stop_price is not None:
            stop = max(stop, order.stop_price)
        if order.price is None:
            continue
        if order.side is Side.BUY:
            buy = max(buy, order.price)
        else:
            sell = min(sell, order.price)
    return Bounds(buy, sell, stop)


def _symbol(step: Step) -> str:
    if isinstance(step, Place):
        return step.wish.symbol
    assert not isinstance(step, Cancel)  # noqa: S101
    return step.cover.symbol
