"""A naive exchange without money: one list of orders, sorted again for every trade.

It knows nothing of the engine's code and has its own idea of price-time priority.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from tradingbot_exchange.engine.types import NewOrder, OrderType, Side, TimeInForce

STOPS = (OrderType.STOP_LIMIT, OrderType.STOP_MARKET)


@dataclass(eq=False)
class Known:
    """An order."""

    id: int
    account: str
    request: NewOrder
    rest: Decimal
    price: Decimal | None
    place: int
    waiting: bool


@dataclass(frozen=True)
class Match:
    """A trade. `taker` is None for the outside market."""

    maker: int
    taker: int | None
    price: Decimal
    quantity: Decimal


@dataclass
class Reference:
    """Orders that rest or wait, and all trades so far."""

    last: Decimal | None = None
    orders: list[Known] = field(default_factory=list)
    trades: list[Match] = field(default_factory=list)
    _places: int = 0
    _due: list[Known] = field(default_factory=list)

    def submit(self, number: int, account: str, request: NewOrder) -> None:
        assert request.quantity is not None
        order = Known(
            number,
            account,
            request,
            request.quantity,
            request.price,
            self._next_place(),
            request.stop_price is not None,
        )
        if order.waiting:
            self.orders.append(order)
        else:
            self._work(order)
        self._settle()

    def cancel(self, number: int) -> None:
        self.orders.remove(self.find(number))

    def edit(self, number: int, price: Decimal, rest: Decimal) -> None:
        order = self.find(number)
        if price == order.price and rest <= order.rest:
            order.rest = rest
            return
        self.orders.remove(order)
        order.price, order.rest, order.place = price, rest, self._next_place()
        self._work(order)
        self._settle()

    def outside(self, price: Decimal, quantity: Decimal | None) -> None:
        for side in (Side.BUY, Side.SELL):
            while quantity is None or quantity > 0:
                maker = self._best(side, price)
                if maker is None:
                    break
                traded = maker.rest if quantity is None else min(maker.rest, quantity)
                if quantity is not None:
                    quantity -= traded
                self._trade(maker, None, traded)
        self._reach(price)
        self._settle()

    def find(self, number: int) -> Known:
        return next(order for order in self.orders if order.id == number)

    def queue(self, side: Side) -> list[Known]:
        """Return resting orders, best first, then oldest first."""
        resting = [o for o in self.orders if o.request.side is side and not o.waiting]
        sign = -1 if side is Side.BUY else 1
        return sorted(resting, key=lambda order: (sign * (order.price or 0), order.place))

    def _next_place(self) -> int:
        self._places += 1
        return self._places

    def _best(self, side: Side, limit: Decimal | None) -> Known | None:
        queue = self.queue(side)
        if not queue:
            return None
        price = queue[0].price
        assert price is not None
        if limit is not None and (price < limit if side is Side.BUY else price > limit):
            return None
        return queue[0]

    def _work(self, order: Known) -> None:
        request = order.request
        other = Side.SELL if request.side is Side.BUY else Side.BUY
        reachable = [
            o
            for o in self.queue(other)
            if order.price is None
            or (o.price or 0) == order.price
            or ((o.price or 0) < order.price) == (request.side is Side.BUY)
        ]
        others = [o for o in reachable if o.account != order.account]
        if request.time_in_force is TimeInForce.FOK and sum(o.rest for o in others) < order.rest:
            return
        if request.post_only and reachable:
            return
        while order.rest and (maker := self._best(other, order.price)) is not None:
            if maker.account == order.account:
                self.orders.remove(maker)
                continue
            traded = min(order.rest, maker.rest)
            order.rest -= traded
            self._trade(maker, order, traded)
        if order.rest and order.price and request.time_in_force is TimeInForce.GTC:
            self.orders.append(order)

    def _trade(self, maker: Known, taker: Known | None, quantity: Decimal) -> None:
        assert maker.price is not None
        maker.rest -= quantity
        if not maker.rest:
            self.orders.remove(maker)
        number = None if taker is None else taker.id
        self.trades.append(Match(maker.id, number, maker.price, quantity))
        self._reach(maker.price)

    def _reach(self, price: Decimal) -> None:
        self.last = price
        waiting = [order for order in self.orders if order.waiting]
        rising = [o for o in waiting if _rises(o) and (o.request.stop_price or 0) <= price]
        falling = [o for o in waiting if not _rises(o) and (o.request.stop_price or 0) >= price]
        rising.sort(key=lambda o: (o.request.stop_price or 0, o.place))
        falling.sort(key=lambda o: (-(o.request.stop_price or 0), o.place))
        for order in rising + falling:
            order.waiting = False
            self.orders.remove(order)
            self._due.append(order)

    def _settle(self) -> None:
        while self._due:
            order = self._due.pop(0)
            order.place = self._next_place()
            self._work(order)


def _rises(order: Known) -> bool:
    return (order.request.type in STOPS) == (order.request.side is Side.BUY)
