"""The engine's trades and queues against a naive exchange, over random orders."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from engine_reference import Known, Match, Reference
from engine_samples import COARSE
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Event,
    NewOrder,
    OrderEvent,
    OrderType,
    RefusedError,
    Side,
    TimeInForce,
)

# Everybody is rich and may have many orders: money and limits have their own tests.
RICH = replace(COARSE, max_orders=1000, max_stops=1000, price_band=Decimal(100))
ACCOUNTS = ("ada", "bob", "cyd")
PRICES = [Decimal(tenths) / 10 for tenths in range(22, 29)]
QUANTITIES = [Decimal(hundredths) / 100 for hundredths in range(10, 40)]
STOP_TYPES = [kind for kind in OrderType if kind not in (OrderType.LIMIT, OrderType.MARKET)]
GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK


class Comparison:
    """Gives the same requests to both, and compares trades, queues and the last price."""

    def __init__(self) -> None:
        self.engine = Engine([RICH])
        for account in ACCOUNTS:
            self.engine.deposit(account, "A", Decimal(10**6), now=0)
            self.engine.deposit(account, "B", Decimal(10**6), now=0)
        self.reference = Reference()
        self.trades: list[Match] = []

    def submit(self, account: str, request: NewOrder) -> None:
        """Submit an order, unless the engine refuses it."""
        try:
            order, events = self.engine.submit(account, request, now=1)
        except RefusedError:
            return
        self.reference.submit(order.id, account, request)
        self._compare(events)

    def cancel(self, order: Known) -> None:
        """Cancel an order."""
        _, events = self.engine.cancel(order.account, order.id, now=1)
        self.reference.cancel(order.id)
        self._compare(events)

    def edit(self, order: Known, price: Decimal, rest: Decimal) -> None:
        """Give a resting order another price and rest, unless the engine refuses that."""
        filled = self.engine.order(order.account, order.id).filled
        try:
            _, events = self.engine.edit(
                order.account, order.id, price=price, quantity=filled + rest, now=1
            )
        except RefusedError:
            return
        self.reference.edit(order.id, price, rest)
        self._compare(events)

    def outside(self, price: Decimal, quantity: Decimal | None) -> None:
        """Let the outside market trade."""
        events = self.engine.trade_through("A-B", price, quantity=quantity, now=1)
        self.reference.outside(price, quantity)
        self._compare(events)

    @property
    def resting(self) -> list[Known]:
        """The orders in the book."""
        return [order for order in self.reference.orders if not order.waiting]

    def _compare(self, events: list[Event]) -> None:
        # A trade's events are a maker's, then a taker's, if any.
        fills = [event.fill for event in events if isinstance(event, OrderEvent) and event.fill]
        makers = [fill for fill in fills if fill.maker]
        takers = {fill.trade_id: fill.order_id for fill in fills if not fill.maker}
        for fill in makers:
            taker = takers.get(fill.trade_id)
            self.trades.append(Match(fill.order_id, taker, fill.price, fill.quantity))
        assert self.trades == self.reference.trades
        assert self.engine.last_price("A-B") == self.reference.last
        saved = self.engine.snapshot()["markets"]
        assert isinstance(saved, list)
        book = self.engine.book("A-B", 100)
        for side, name, levels in ((Side.BUY, "bids", book.bids), (Side.SELL, "asks", book.asks)):
            queue = self.reference.queue(side)
            assert saved[0][name] == [order.id for order in queue]
            sums: dict[Decimal, Decimal] = {}
            for order in queue:
                assert order.price is not None
                sums[order.price] = sums.get(order.price, Decimal(0)) + order.rest
            assert [(level.price, level.quantity) for level in levels] == list(sums.items())


def request(
    kind: OrderType,
    side: Side,
    *,
    price: Decimal,
    stop: Decimal,
    quantity: Decimal,
    tif: TimeInForce,
    post_only: bool,
) -> NewOrder:
    """Return a request with only the fields that its type has."""
    priced = kind.endswith("LIMIT")
    return NewOrder(
        symbol="A-B",
        side=side,
        type=kind,
        price=price if priced else None,
        stop_price=stop if kind in STOP_TYPES else None,
        quantity=quantity,
        time_in_force=tif,
        post_only=post_only and priced and tif is GTC,
    )


@pytest.mark.parametrize("seed", range(5))
def test_many_random_orders_trade_as_in_a_naive_exchange(seed: int) -> None:
    random = Random(seed)
    both = Comparison()
    for _ in range(250):
        price, quantity = random.choice(PRICES), random.choice(QUANTITIES)
        action = random.random()
        if action < 0.65:
            kinds = [*[OrderType.LIMIT] * 8, *OrderType]
            both.submit(
                random.choice(ACCOUNTS),
                request(
                    random.choice(kinds),
                    random.choice(list(Side)),
                    price=price,
                    stop=random.choice(PRICES),
                    quantity=quantity,
                    tif=random.choice([*[GTC] * 6, IOC, FOK]),
                    post_only=random.random() < 0.05,
                ),
            )
        elif action < 0.85 and both.reference.orders:
            both.cancel(random.choice(both.reference.orders))
        elif action < 0.97 and both.resting:
            order = random.choice(both.resting)
            both.edit(order, random.choice([order.price or price, price]), quantity)
        else:
            both.outside(price, random.choice([None, quantity]))
    assert len(both.trades) > 20


prices = st.sampled_from(PRICES)
quantities = st.sampled_from(QUANTITIES)
accounts = st.sampled_from(ACCOUNTS)
sides = st.sampled_from(Side)


class PriceTimePriority(RuleBasedStateMachine):
    """The same comparison, driven by hypothesis, which finds a short example of a difference."""

    @initialize()
    def begin(self) -> None:
        self.both = Comparison()

    @rule(account=accounts, side=sides, price=prices, quantity=quantities)
    def limit(self, account: str, side: Side, price: Decimal, quantity: Decimal) -> None:
        self.both.submit(
            account,
            NewOrder(symbol="A-B", side=side, type=OrderType.LIMIT, price=price, quantity=quantity),
        )

    @rule(
        account=accounts,
        wanted=st.builds(
            request,
            st.sampled_from(OrderType),
            sides,
            price=prices,
            stop=prices,
            quantity=quantities,
            tif=st.sampled_from([GTC, IOC, FOK]),
            post_only=st.booleans(),
        ),
    )
    def any_order(self, account: str, wanted: NewOrder) -> None:
        self.both.submit(account, wanted)

    @precondition(lambda self: self.both.reference.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.both.cancel(data.draw(st.sampled_from(self.both.reference.orders)))

    @precondition(lambda self: self.both.resting)
    @rule(data=st.data(), price=st.none() | prices, rest=quantities)
    def edit(self, data: st.DataObject, price: Decimal | None, rest: Decimal) -> None:
        order = data.draw(st.sampled_from(self.both.resting))
        self.both.edit(order, price or order.price or Decimal(1), rest)

    @rule(price=prices, quantity=st.none() | quantities)
    def outside(self, price: Decimal, quantity: Decimal | None) -> None:
        self.both.outside(price, quantity)


TestPriceTimePriority = PriceTimePriority.TestCase
TestPriceTimePriority.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
