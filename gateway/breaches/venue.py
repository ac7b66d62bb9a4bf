"""The exchange: the engine with a market around it, and the account of which the bot has a part."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Change,
    Event,
    Fill,
    Instrument,
    Level,
    NewOrder,
    Order,
    OrderEvent,
    OrderType,
    RefusedError,
    Side,
    TimeInForce,
)

from breaches.facts import LIVE, Asked

D = Decimal
MONEY = "USDT"
ACCOUNT, MAKER = "account", "maker"
TAG = {"strategyId": "1"}
LEVELS = 3
ENDS = (Change.CANCELED, Change.EXPIRED)


def instrument(symbol: str, tick: str) -> Instrument:
    """Return an instrument of the market."""
    base, quote = symbol.split("-")
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=D(tick),
        lot=D("0.001"),
        min_price=D(tick),
        max_price=D(100_000),
        min_quantity=D("0.001"),
        max_quantity=D(1_000_000),
        min_notional=D(5) if quote == MONEY else D("0.0005"),
        maker_fee=D("0.001"),
        taker_fee=D("0.001"),
        max_orders=1_000_000,
        max_stops=1_000_000,
    )


INSTRUMENTS = {
    one.symbol: one
    for one in (
        instrument("BTC-USDT", "0.01"),
        instrument("ETH-USDT", "0.01"),
        instrument("SOL-USDT", "0.01"),
        instrument("ETH-BTC", "0.00001"),
    )
}
START = {"BTC-USDT": D(100), "ETH-USDT": D(10), "SOL-USDT": D(20), "ETH-BTC": D("0.1")}


@dataclass(slots=True)
class Account:
    """What the exchange has of the tagged orders: by client id, with their fills."""

    orders: dict[str, Order] = field(default_factory=dict)
    groups: dict[str, str | None] = field(default_factory=dict)
    fills: dict[str, list[Fill]] = field(default_factory=dict)

    def list_of(self, client_id: str) -> list[str]:
        """Return the client ids of all orders of the list that an order belongs to."""
        group = self.groups.get(client_id)
        return [] if group is None else [name for name, of in self.groups.items() if of == group]


class Venue:
    """All of the exchange. `told` is called for each event of a tagged order."""

    def __init__(self, told: Callable[[str, OrderEvent], None]) -> None:
        self.engine = Engine(INSTRUMENTS.values())
        self.own = Account()
        self.strangers: list[int] = []
        self._told = told
        self._quoted: dict[str, list[int]] = {symbol: [] for symbol in INSTRUMENTS}
        for name in (ACCOUNT, MAKER):
            self.engine.open_account(name, keeps_history=False)
            for asset in (MONEY, "BTC", "ETH", "SOL"):
                self.engine.deposit(name, asset, D(10) ** 12, now=0)
        self.prices = dict(START)

    def move(self, symbol: str, price: Decimal, now: int, size: Decimal) -> None:
        """Let the market trade at a price, with new orders around it; `size` is at the best."""
        engine, one = self.engine, INSTRUMENTS[symbol]
        for number in self._quoted[symbol]:
            try:
                self._heard(engine.cancel(MAKER, number, now=now)[1])
            except RefusedError:
                continue  # it has been filled
        self.prices[symbol] = price
        numbers = []
        for depth in range(1, LEVELS + 1):
            away = max(one.tick, (price * depth / 1000 // one.tick) * one.tick)
            for side, level in ((Side.BUY, price - away), (Side.SELL, price + away)):
                order, events = engine.submit(
                    MAKER,
                    NewOrder(
                        symbol=symbol,
                        side=side,
                        type=OrderType.LIMIT,
                        quantity=size * depth,
                        price=level,
                    ),
                    now=now,
                )
                self._heard(events)
                numbers.append(order.id)
        self._quoted[symbol] = numbers
        self._heard(engine.trade_through(symbol, price, now=now))

    def book(self, symbol: str) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Return what the exchange shows."""
        book = self.engine.book(symbol, LEVELS)
        return book.bids, book.asks

    def submit(self, asked: Asked, now: int) -> bool:
        """Accept an order or a list, or refuse it."""
        legs = [replace(leg, attributes=TAG) for leg in asked.legs]
        try:
            if asked.group is not None:
                for leg in legs:
                    self.own.groups[leg.client_id] = asked.group
                self._heard(
                    self.engine.submit_oco(
                        ACCOUNT, legs[0], legs[1], client_id=asked.group, now=now
                    )[1]
                )
            elif asked.replaces is not None:
                old = self.own.orders.get(asked.replaces)
                if old is None or old.status not in LIVE:
                    return False
                self._heard(self.engine.replace(ACCOUNT, old.id, legs[0], now=now)[1])
            else:
                self._heard(self.engine.submit(ACCOUNT, legs[0], now=now)[1])
        except RefusedError:
            for leg in legs:
                self.own.groups.pop(leg.client_id, None)
            return False
        return True

    def cancel(self, client_id: str, now: int) -> bool:
        """Cancel a tagged order, and with it its list."""
        order = self.own.orders.get(client_id)
        if order is None or order.status not in LIVE:
            return False
        self._heard(self.engine.cancel(ACCOUNT, order.id, now=now)[1])
        return True

    def open_orders(self) -> list[str]:
        """Return the client ids of the tagged orders that are open."""
        found = self.engine.open_orders(ACCOUNT)
        return [o.request.client_id for o in found if o.request.attributes]

    def of_somebody(self, side: Side, symbol: str, quantity: Decimal, now: int) -> None:
        """Let a person trade on the same account: without a tag."""
        price = self.prices[symbol]
        try:
            order, events = self.engine.submit(
                ACCOUNT,
                NewOrder(
                    symbol=symbol,
                    side=side,
                    type=OrderType.LIMIT,
                    quantity=quantity,
                    price=price,
                    time_in_force=TimeInForce.GTC,
                ),
                now=now,
            )
        except RefusedError:
            return
        self._heard(events)
        self.strangers.append(order.id)
        if len(self.strangers) > 20:
            self.end_of_somebody(now)

    def end_of_somebody(self, now: int) -> None:
        """Cancel all orders of the person."""
        for number in self.strangers:
            try:
                self._heard(self.engine.cancel(ACCOUNT, number, now=now)[1])
            except RefusedError:
                continue  # it has been filled
        self.strangers.clear()

    def forget(self, client_id: str) -> None:
        """Forget an order that has ended, so that a long run needs little memory."""
        self.own.orders.pop(client_id, None)
        self.own.groups.pop(client_id, None)
        self.own.fills.pop(client_id, None)

    def _heard(self, events: list[Event]) -> None:
        for event in events:
            if not isinstance(event, OrderEvent) or event.order.account != ACCOUNT:
                continue
            if event.order.request.attributes:
                client_id = event.order.request.client_id
                self.own.orders[client_id] = event.order
                if event.fill is not None:
                    self.own.fills.setdefault(client_id, []).append(event.fill)
                self._told(client_id, event)
