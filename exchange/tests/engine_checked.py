"""An engine of which every call is checked: money, holds, lists, limits, events, and restoring.

A second engine gets the same calls, and can be saved as JSON and restored at any moment: from then
on it must do exactly what the first one does.
"""

import json
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import TypeVar

import pytest
from engine_samples import BUY, SELL
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    ASSET_UNIT,
    Balance,
    BalanceEvent,
    BookEvent,
    Event,
    Fill,
    Instrument,
    ListEvent,
    ListStatus,
    Order,
    OrderEvent,
    OrderStatus,
    RefusedError,
)

T = TypeVar("T")
LIVE = (OrderStatus.WAITING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


class CheckedEngine:
    """Two engines that must agree, and what is known of them from their events alone.

    Accounts whose name begins with `bot` keep no history.
    """

    def __init__(self, instruments: tuple[Instrument, ...], accounts: tuple[str, ...]) -> None:
        self.instruments = instruments
        self.accounts = accounts
        self.engine, self.twin = Engine(instruments), Engine(instruments)
        self.deposited: dict[str, Decimal] = {}
        self.now = 0
        self.open: dict[int, Order] = {}
        self.fills: dict[int, list[Fill]] = {}
        self.executing: set[int] = set()
        for account in accounts:
            for engine in (self.engine, self.twin):
                engine.open_account(account, keeps_history=not account.startswith("bot"))

    def deposit(self, account: str, asset: str, amount: Decimal) -> None:
        """Deposit or withdraw."""
        done = self.call(lambda e: e.deposit(account, asset, amount, now=self.now))
        if done is not None:
            self.deposited[asset] = self.deposited.get(asset, Decimal(0)) + amount

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Halt a symbol, or end that."""
        for engine in (self.engine, self.twin):
            engine.halt(symbol, halted=halted)

    def expire(self) -> None:
        """End what is due now."""
        self.call(lambda e: e.expire(now=self.now))
        for order in self.open.values():
            assert order.request.expires_at is None or order.request.expires_at > self.now

    def restore(self) -> None:
        """Save the second engine as JSON, and continue with a restored one."""
        saved = json.dumps(self.twin.snapshot())
        self.twin = Engine.restore(self.instruments, json.loads(saved))
        assert json.dumps(self.twin.snapshot()) == saved

    def check(self) -> None:
        """Check what holds at any time."""
        self.every_asset_is_conserved()
        self.nothing_is_negative()
        self.holds_are_what_open_orders_need()
        self.the_book_is_not_crossed()
        self.no_stop_waits_that_the_price_has_reached()
        self.limits_are_kept()
        self.figures_of_orders_agree_with_their_fills()
        self.an_account_without_history_has_none()
        self.open_orders_are_those_that_events_left_open()

    def call(self, call: Callable[[Engine], T]) -> T | None:
        """Call both engines and compare; None if refused, and then nothing may have changed."""
        self.books = {symbol: self.engine.book(symbol, 99) for symbol in self.symbols}
        self.money = {account: self._money(account) for account in self.accounts}
        before = json.dumps(self.engine.snapshot())
        try:
            result = call(self.engine)
        except RefusedError as error:
            refused = error
        else:
            refused = None
        if refused is not None:
            assert json.dumps(self.engine.snapshot()) == before
            assert refused.detail
            with pytest.raises(RefusedError, match=re.escape(str(refused))):
                call(self.twin)
            return None
        assert repr(call(self.twin)) == repr(result)
        assert json.dumps(self.engine.snapshot()) == json.dumps(self.twin.snapshot())
        events = result if isinstance(result, list) else result[1]  # type: ignore[index]
        self._check_events(events)
        return result

    def _money(self, account: str) -> dict[str, Balance]:
        try:
            return self.engine.balances(account)
        except RefusedError:
            return {}

    # What each call's events say

    def _check_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, OrderEvent):
                self._follow(event)
            elif isinstance(event, ListEvent) and event.list.status is ListStatus.EXECUTING:
                self.executing.add(event.list.id)
            elif isinstance(event, ListEvent):
                self.executing.remove(event.list.id)
        self._check_balances_told(events)
        self._check_books_told(events)
        # An OCO list is done as soon as one of its orders has changed, in the same call.
        for order in self.open.values():
            if order.filled or order.triggered is not None:
                assert order.list_id not in self.executing

    def _follow(self, event: OrderEvent) -> None:
        order = event.order
        if order.status in LIVE:
            self.open[order.id] = order
        else:
            self.open.pop(order.id, None)
        if event.fill is not None:
            self.fills.setdefault(order.id, []).append(event.fill)
            self._check_fill(event.fill, order)

    def _check_fill(self, fill: Fill, order: Order) -> None:
        limit = order.request.price
        if limit is not None and not (fill.maker and limit == fill.price):
            assert fill.price <= limit if fill.side is BUY else fill.price >= limit
        assert fill.quantity > 0
        assert fill.quote_quantity == fill.price * fill.quantity
        assert fill.fee >= 0

    def _check_balances_told(self, events: list[Event]) -> None:
        told: dict[str, dict[str, Balance]] = {}
        for event in events:
            if isinstance(event, BalanceEvent):
                assert event.account not in told
                told[event.account] = dict(event.balances)
        for account in self.accounts:
            before = self.money[account]
            changed = {
                asset: balance
                for asset, balance in self._money(account).items()
                if balance != before.get(asset, Balance(Decimal(0), Decimal(0)))
            }
            assert told.get(account, {}) == changed

    def _check_books_told(self, events: list[Event]) -> None:
        told = {event.symbol: event for event in events if isinstance(event, BookEvent)}
        for symbol, before in self.books.items():
            after = self.engine.book(symbol, 99)
            event = told.get(symbol)
            assert after.sequence == before.sequence + (event is not None)
            for side in ("bids", "asks"):
                levels = {level.price: level.quantity for level in getattr(before, side)}
                for level in () if event is None else getattr(event, side):
                    assert levels.get(level.price, 0) != level.quantity
                    levels[level.price] = level.quantity
                kept = {price: quantity for price, quantity in levels.items() if quantity}
                assert kept == {level.price: level.quantity for level in getattr(after, side)}

    # What always holds

    def every_asset_is_conserved(self) -> None:
        for asset in self.deposited:
            assert self.engine.total(asset) == self.deposited[asset]

    def nothing_is_negative(self) -> None:
        for account in self.accounts:
            for balance in self.engine.balances(account).values():
                assert balance.free >= 0
                assert balance.held >= 0

    def holds_are_what_open_orders_need(self) -> None:
        for account in self.accounts:
            needs = dict.fromkeys(self.deposited, Decimal(0))
            listed: dict[int, list[Order]] = {}
            for order in self.engine.open_orders(account):
                number = order.list_id
                if number is not None and number in self.executing:
                    listed.setdefault(number, []).append(order)
                else:
                    self._add(needs, [order])
            for pair in listed.values():
                assert len(pair) == 2
                self._add(needs, pair)
            for asset, balance in self.engine.balances(account).items():
                assert balance.held == needs[asset], (account, asset)

    def _add(self, needs: dict[str, Decimal], orders: list[Order]) -> None:
        instrument = self.engine.instrument(orders[0].request.symbol)
        side = orders[0].request.side
        asset = instrument.base if side is SELL else instrument.quote
        needs[asset] += max(self._need(order) for order in orders)

    def _need(self, order: Order) -> Decimal:
        request = order.request
        instrument = self.engine.instrument(request.symbol)
        rest = order.quantity - order.filled
        if request.side is SELL:
            return rest
        notional = rest * (request.price or request.stop_price or 0)
        if not instrument.fee_in_quote:
            return notional
        exact = notional * max(instrument.maker_fee, instrument.taker_fee)
        for fill in self.fills_of(order):
            rate = instrument.maker_fee if fill.maker else instrument.taker_fee
            exact += fill.quote_quantity * rate
        charged = order.fees.get(instrument.quote, Decimal(0))
        return notional + _up(exact) - charged

    @property
    def historians(self) -> list[str]:
        """The accounts that keep their history."""
        return [account for account in self.accounts if not account.startswith("bot")]

    @property
    def symbols(self) -> list[str]:
        return [instrument.symbol for instrument in self.instruments]

    def fills_of(self, order: Order) -> list[Fill]:
        return self.fills.get(order.id, [])

    def the_book_is_not_crossed(self) -> None:
        for symbol in self.symbols:
            book = self.engine.book(symbol, 1)
            if book.bids and book.asks:
                assert book.bids[0].price < book.asks[0].price

    def no_stop_waits_that_the_price_has_reached(self) -> None:
        for order in self.open.values():
            request, last = order.request, self.engine.last_price(order.request.symbol)
            if order.status is not OrderStatus.WAITING or last is None:
                continue
            assert request.stop_price is not None
            rises = request.type.startswith("STOP") == (request.side is BUY)
            assert last < request.stop_price if rises else last > request.stop_price

    def limits_are_kept(self) -> None:
        for account in self.accounts:
            for instrument in self.instruments:
                orders = self.engine.open_orders(account, instrument.symbol)
                waiting = [order for order in orders if order.status is OrderStatus.WAITING]
                assert len(orders) <= instrument.max_orders
                assert len(waiting) <= instrument.max_stops
                ids = [order.request.client_id for order in orders if order.request.client_id]
                assert len(ids) == len(set(ids))

    def figures_of_orders_agree_with_their_fills(self) -> None:
        for account in self.historians:
            fills: dict[int, list[Fill]] = {}
            for fill in self.engine.fills(account):
                fills.setdefault(fill.order_id, []).append(fill)
            for order in self.engine.orders(account):
                self._check_figures(order, fills.get(order.id, []))

    def _check_figures(self, order: Order, fills: list[Fill]) -> None:
        assert fills == self.fills_of(order)
        assert order.fills == len(fills)
        assert order.filled == sum(fill.quantity for fill in fills)
        assert order.filled_quote == sum(fill.quote_quantity for fill in fills)
        assert sum(order.fees.values()) == sum(fill.fee for fill in fills)
        done = order.filled == order.quantity > 0 and order.ended_by is None
        assert (order.status is OrderStatus.FILLED) == done

    def an_account_without_history_has_none(self) -> None:
        for account in self.accounts:
            if account not in self.historians:
                live = [order.id for order in self.open.values() if order.account == account]
                assert [order.id for order in self.engine.orders(account)] == sorted(live)
                assert not self.engine.fills(account)
                for listed in self.engine.order_lists(account):
                    assert listed.status is ListStatus.EXECUTING

    def open_orders_are_those_that_events_left_open(self) -> None:
        known = {o.id for account in self.accounts for o in self.engine.open_orders(account)}
        assert known == set(self.open)
        for order in self.open.values():
            assert order.ended_by is None
        for account in self.historians:
            for order in self.engine.orders(account):
                ended_well = order.status is OrderStatus.FILLED or order.status in LIVE
                assert ended_well == (order.ended_by is None)


def _up(amount: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        return amount.quantize(ASSET_UNIT, rounding=ROUND_CEILING)
