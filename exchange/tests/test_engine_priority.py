"""The engine's trades and queues against a naive exchange, over random orders."""

from dataclasses import replace
from decimal import Decimal

from engine_reference import Match, Reference
from engine_samples import COARSE
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
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

prices = st.integers(20, 30).map(lambda tenths: Decimal(tenths) / 10)
quantities = st.integers(10, 40).map(lambda hundredths: Decimal(hundredths) / 100)
accounts = st.sampled_from(ACCOUNTS)
sides = st.sampled_from(Side)
STOP_TYPES = [kind for kind in OrderType if kind not in (OrderType.LIMIT, OrderType.MARKET)]


class PriceTimePriority(RuleBasedStateMachine):
    """Gives the same requests to both, and compares trades, queues and the last price."""

    @initialize()
    def begin(self) -> None:
        self.engine = Engine([RICH])
        for account in ACCOUNTS:
            self.engine.deposit(account, "A", Decimal(10**6), now=0)
            self.engine.deposit(account, "B", Decimal(10**6), now=0)
        self.reference = Reference()
        self.trades: list[Match] = []

    @rule(
        account=accounts,
        side=sides,
        price=prices,
        quantity=quantities,
        tif=st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]),
        post_only=st.sampled_from([False, False, False, True]),
    )
    def limit(
        self,
        *,
        account: str,
        side: Side,
        price: Decimal,
        quantity: Decimal,
        tif: TimeInForce,
        post_only: bool,
    ) -> None:
        self._submit(
            account,
            NewOrder(
                symbol="A-B",
                side=side,
                type=OrderType.LIMIT,
                price=price,
                quantity=quantity,
                time_in_force=tif,
                post_only=post_only and tif is TimeInForce.GTC,
            ),
        )

    @rule(account=accounts, side=sides, quantity=quantities)
    def market(self, account: str, side: Side, quantity: Decimal) -> None:
        self._submit(
            account, NewOrder(symbol="A-B", side=side, type=OrderType.MARKET, quantity=quantity)
        )

    @rule(
        account=accounts,
        side=sides,
        kind=st.sampled_from(STOP_TYPES),
        stop=prices,
        price=prices,
        quantity=quantities,
        tif=st.sampled_from([TimeInForce.GTC, TimeInForce.FOK]),
    )
    def stop(
        self,
        *,
        account: str,
        side: Side,
        kind: OrderType,
        stop: Decimal,
        price: Decimal,
        quantity: Decimal,
        tif: TimeInForce,
    ) -> None:
        priced = kind in (OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
        self._submit(
            account,
            NewOrder(
                symbol="A-B",
                side=side,
                type=kind,
                stop_price=stop,
                price=price if priced else None,
                quantity=quantity,
                time_in_force=tif,
            ),
        )

    def _submit(self, account: str, request: NewOrder) -> None:
        try:
            order, events = self.engine.submit(account, request, now=1)
        except RefusedError:
            return
        self.reference.submit(order.id, account, request)
        self._note(events)

    @precondition(lambda self: self.reference.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.reference.orders))
        self.engine.cancel(order.account, order.id, now=1)
        self.reference.cancel(order.id)

    @precondition(lambda self: any(not order.waiting for order in self.reference.orders))
    @rule(data=st.data(), price=st.none() | prices, rest=quantities)
    def edit(self, data: st.DataObject, price: Decimal | None, rest: Decimal) -> None:
        resting = [order for order in self.reference.orders if not order.waiting]
        order = data.draw(st.sampled_from(resting))
        price = order.price if price is None else price
        assert price is not None
        filled = self.engine.order(order.account, order.id).filled
        try:
            _, events = self.engine.edit(
                order.account, order.id, price=price, quantity=filled + rest, now=1
            )
        except RefusedError:
            return
        self.reference.edit(order.id, price, rest)
        self._note(events)

    @rule(price=prices, quantity=st.none() | quantities)
    def outside(self, price: Decimal, quantity: Decimal | None) -> None:
        self._note(self.engine.trade_through("A-B", price, quantity=quantity, now=1))
        self.reference.outside(price, quantity)

    def _note(self, events: list[Event]) -> None:
        """Collect trades from the fills in the events: a maker's, then a taker's, if any."""
        fills = [event.fill for event in events if isinstance(event, OrderEvent) and event.fill]
        makers = [fill for fill in fills if fill.maker]
        takers = {fill.trade_id: fill.order_id for fill in fills if not fill.maker}
        for fill in makers:
            taker = takers.get(fill.trade_id)
            self.trades.append(Match(fill.order_id, taker, fill.price, fill.quantity))

    @invariant()
    def the_same_trades(self) -> None:
        assert self.trades == self.reference.trades
        assert self.engine.last_price("A-B") == self.reference.last

    @invariant()
    def the_same_book(self) -> None:
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


TestPriceTimePriority = PriceTimePriority.TestCase
TestPriceTimePriority.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
