"""The gateway's own books: a function of the events, in the order in which they arrived.

Nothing here decides anything. Every event is harmless when it comes twice or late: orders are known
by client id, fills by order and trade id, and an order that has ended stays so.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from tradingbot_exchange.engine.types import Side

from tradingbot_gateway.risk.day import Day, UnpricedFee
from tradingbot_gateway.risk.events import (
    Acknowledged,
    Balances,
    CancelSent,
    DayBegan,
    End,
    Ended,
    Event,
    Filled,
    Found,
    Halted,
    Lost,
    Priced,
    Sent,
    Valued,
)
from tradingbot_gateway.risk.orders import (
    RETENTION,
    SETTLE,
    Stage,
    Tracked,
    Unit,
    earlier_of,
    trades_of,
    units,
)
from tradingbot_gateway.risk.positions import Holdings
from tradingbot_gateway.risk.state import State
from tradingbot_gateway.risk.types import PROTECTION_PREFIX, ZERO, Order, Purpose, assets_of

_NOT_ACCEPTED = frozenset({End.REFUSED, End.NOT_TAKEN})

RATE_WINDOW = 60_000
"""Milliseconds in which entries are counted for `maxOrdersPerMinute`."""


class Ledger:
    """Orders, positions and the trading day. `apply` counts an event; all else reads."""

    def __init__(self, money: str, state: State | None = None) -> None:
        self.state = State(money) if state is None else state
        orders = self.state.orders
        groups = {t.group for t in orders.values() if t.group and (t.open or t.missing)}
        self._live: dict[str, Tracked] = {
            client_id: tracked
            for client_id, tracked in orders.items()
            if tracked.open or tracked.missing or tracked.group in groups
        }
        self._units: list[Unit] | None = None
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            Sent: self._sent,
            Acknowledged: self._acknowledged,
            Lost: self._lost,
            Found: self._found,
            Filled: self._filled,
            Ended: self._ended,
            CancelSent: self._cancel_sent,
            DayBegan: self._day_began,
            Priced: self._priced,
            Valued: self._valued,
            Halted: self._halted,
            Balances: self._balances,
        }

    # Reading

    @property
    def money(self) -> str:
        """The quote currency of all figures."""
        return self.state.money

    @property
    def holdings(self) -> Holdings:
        """What is held, by asset, from the fills of own orders alone."""
        return self.state.holdings

    @property
    def day(self) -> Day | None:
        """The trading day, once one has begun."""
        return self.state.day

    def order(self, client_id: str) -> Tracked | None:
        """Return an order that is remembered."""
        return self.state.orders.get(client_id)

    def counts(self, client_id: str) -> bool:
        """Whether an order of this client id may still fill, or a fill of it is awaited."""
        return client_id in self._live

    def entries_since(self, time: int) -> int:
        """Return how many entries were sent after a time."""
        return len(self.state.entries) - bisect_right(self.state.entries, time, key=_sent_at)

    def held(self, asset: str) -> Decimal:
        """Return the quantity of an asset; negative for a short position."""
        return self.state.holdings.held(asset)

    def units(self) -> list[Unit]:
        """Return what may still fill, the orders of a list together."""
        if self._units is None:
            self._units = units(self._live.values())
        return self._units

    def open_orders(self) -> list[Tracked]:
        """Return the orders that may be open at the exchange, and those with missing fills."""
        return list(self._live.values())

    def protective_holds(self) -> dict[str, Decimal]:
        """Return what the gateway's own protection locks at the exchange, by asset.

        A protective purchase, for a short position, locks money at its worst price.
        """
        holds: dict[str, Decimal] = {}
        for unit in self.units():
            if unit.purpose is Purpose.PROTECTION and unit.open:
                base, quote = assets_of(unit.symbol)
                sale = unit.side is Side.SELL
                asset, amount = (
                    (base, unit.remaining) if sale else (quote, unit.remaining * unit.price)
                )
                holds[asset] = holds.get(asset, ZERO) + amount
        return holds

    # Events

    def apply(self, event: Event) -> None:
        """Count an event."""
        self._units = None
        self._handlers[type(event)](event)

    def restarted(self, now: int) -> Iterable[Event]:
        """Return the events of a restart: the answers of sent orders will not come any more."""
        return [
            Lost(time=now, client_id=tracked.order.client_id)
            for tracked in self._live.values()
            if tracked.stage is Stage.SENT
        ]

    def _sent(self, event: Sent) -> None:
        state = self.state
        for order, counted in zip(event.orders, event.counted, strict=True):
            if order.client_id in self._live:
                continue
            before = state.orders.get(order.client_id)
            self._track(
                Tracked(
                    order=order,
                    counted=counted,
                    group=event.group,
                    purpose=event.purpose,
                    entry=event.entry,
                    sent=event.time,
                    stage=Stage.SENT,
                    trades=trades_of(before),
                    earlier=earlier_of(before),
                )
            )
        if event.entry:
            del state.entries[: bisect_right(state.entries, event.time - RATE_WINDOW, key=_sent_at)]
            for order in event.orders:
                insort(state.entries, (event.time, order), key=_sent_at)
        if event.purpose is not Purpose.BOT:
            state.own_orders += 1
        self._forget(event.time)

    def _acknowledged(self, event: Acknowledged) -> None:
        tracked = self.state.orders.get(event.client_id)
        if tracked is not None and tracked.is_of(event.exchange_id):
            self._accepted(tracked, event.exchange_id)

    def _lost(self, event: Lost) -> None:
        tracked = self.state.orders.get(event.client_id)
        if tracked is not None and tracked.stage is Stage.SENT:
            tracked.stage = Stage.LOST

    def _cancel_sent(self, event: CancelSent) -> None:
        tracked = self.state.orders.get(event.client_id)
        if tracked is not None:
            tracked.cancel_sent = event.time

    def _priced(self, event: Priced) -> None:
        if self.state.day is not None:
            self.state.day.price(event.asset, event.at, event.price, event.ask)

    def _valued(self, event: Valued) -> None:
        holding = self.holdings.by_asset.get(event.asset)
        if holding is not None and not holding.priced:
            holding.value(event.price)

    def _halted(self, event: Halted) -> None:
        if event.until > self.state.halted_until:
            self.state.halted_until = event.until
            self.state.halt_reason = event.reason

    def _balances(self, event: Balances) -> None:
        self.state.totals.update(event.totals)

    def _accepted(self, tracked: Tracked, exchange_id: str) -> None:
        tracked.exchange_id = tracked.exchange_id or exchange_id
        if tracked.stage in (Stage.SENT, Stage.LOST):
            tracked.stage = Stage.OPEN

    def _found(self, event: Found) -> None:
        order = event.order
        self.state.strangers.pop(order.client_id, None)
        before = self.state.orders.get(order.client_id)
        old = before is not None and (order.client_id in self._live or event.created < before.sent)
        if before is not None and before.is_of(event.exchange_id):
            self._accepted(before, event.exchange_id)
        elif not old and (event.open or event.created > self.state.horizon):
            own = order.client_id.startswith(PROTECTION_PREFIX)
            self._track(
                Tracked(
                    order=order,
                    counted=event.counted,
                    group=event.group,
                    purpose=Purpose.PROTECTION if own else Purpose.BOT,
                    entry=not own and not self._reduces(order, event.counted),
                    sent=event.created,
                    stage=Stage.OPEN,
                    exchange_id=event.exchange_id,
                    trades=trades_of(before),
                    earlier=earlier_of(before),
                )
            )

    def _filled(self, event: Filled) -> None:
        tracked = self.state.orders.get(event.client_id)
        if tracked is None:
            if event.time > self.state.horizon:
                self.state.strangers[event.client_id] = event.symbol
            return
        if event.trade_id in tracked.trades:
            return
        if not tracked.is_of(event.exchange_id):
            if event.exchange_id in tracked.earlier or event.time > self.state.horizon:
                tracked.trades[event.trade_id] = event.quantity
                self._count(event, tracked.order.side)
            return
        tracked.trades[event.trade_id] = event.quantity
        tracked.filled += event.quantity
        tracked.exchange_id = tracked.exchange_id or event.exchange_id
        if tracked.open:
            self._accepted(tracked, event.exchange_id)
            if tracked.order.quantity is not None and tracked.filled >= tracked.order.quantity:
                self._end(tracked, event.time, tracked.filled)
        else:
            self._settle(tracked)
        self._count(event, tracked.order.side)

    def _count(self, event: Filled, side: Side) -> None:
        """Move assets and money, in the books of now and, for a late fill, of the day's start."""
        state = self.state
        base, quote = assets_of(event.symbol)
        sign = 1 if side is Side.BUY else -1
        quantity, value = sign * event.quantity, sign * event.quantity * event.price
        late = state.day is not None and event.time < state.day.starts
        books = [state.holdings]
        if late and state.day is not None:
            books.append(state.day.at_start)
        cash = rest = ZERO
        for book in books:
            cash = book.fill(
                base,
                quote,
                money=state.money,
                quantity=quantity,
                value=value,
                quote_price=event.quote_price,
            )
            if event.fee_asset == state.money:
                cash -= event.fee
            elif event.fee:
                rest = book.pay(event.fee_asset, event.fee, traded=event.fee_asset in (base, quote))
        if state.day is None or late:
            return
        state.day.cash += cash
        if rest and event.fee_price is not None:
            state.day.cash -= rest * event.fee_price
        elif rest:
            state.day.unpriced.append(UnpricedFee(event.fee_asset, rest, event.time))

    def _ended(self, event: Ended) -> None:
        tracked = self.state.orders.get(event.client_id)
        if tracked is None or not tracked.is_of(event.exchange_id):
            return
        tracked.exchange_id = tracked.exchange_id or event.exchange_id
        executed = event.executed or ZERO
        if not tracked.open:
            tracked.executed = max(tracked.executed, executed)
            if tracked.missing:
                self._live[event.client_id] = tracked
            return
        # Who answers so has not seen the order yet, or speaks of another one.
        early = event.time < tracked.sent + SETTLE
        if (event.how in _NOT_ACCEPTED and tracked.stage is Stage.OPEN) or (
            event.how is End.NOT_FOUND and (tracked.stage is Stage.OPEN or early)
        ):
            return
        self._end(tracked, event.time, executed)
        tracked.not_taken = event.how is End.NOT_TAKEN
        if event.how is End.REFUSED and tracked.purpose is Purpose.PROTECTION:
            self.state.unprotected[assets_of(tracked.order.symbol)[0]] = event.time

    def _end(self, tracked: Tracked, time: int, executed: Decimal) -> None:
        tracked.stage = Stage.ENDED
        tracked.ended = time
        tracked.executed = executed
        if tracked.group is not None and executed and executed == tracked.order.quantity:
            for other in self._members(tracked.group):
                if other.open:  # an order of a list that is filled ends the others
                    other.stage, other.ended, other.executed = Stage.ENDED, time, other.filled
        self._settle(tracked)

    def _members(self, group: str) -> list[Tracked]:
        return [tracked for tracked in self._live.values() if tracked.group == group]

    def _settle(self, tracked: Tracked) -> None:
        """Stop counting an order that has ended, once all its fills have arrived.

        The orders of a list are counted together as long as one of them is.
        """
        members = [tracked] if tracked.group is None else self._members(tracked.group)
        if not any(member.open or member.missing for member in members):
            for member in members:
                self._live.pop(member.order.client_id, None)

    def _day_began(self, event: DayBegan) -> None:
        day = self.state.day
        if day is not None and event.day <= day.day:
            if event.day == day.day and event.ends > day.ends:  # it lasts longer, and so do halts
                if self.state.halted_until >= day.ends:
                    self.state.halted_until = max(self.state.halted_until, event.ends)
                day.ends = event.ends
            return
        self.state.day = Day(
            day=event.day, starts=event.starts, ends=event.ends, at_start=self.holdings.copy()
        )
        self.state.unprotected.clear()

    def _track(self, tracked: Tracked) -> None:
        self.state.orders[tracked.order.client_id] = tracked
        self._live[tracked.order.client_id] = tracked

    def _forget(self, now: int) -> None:
        """Forget orders that ended long ago: a few at each order that is sent."""
        orders = self.state.orders
        for client_id in list(islice(orders, 3)):
            tracked = orders[client_id]
            if client_id in self._live:  # behind the others, so that they can be forgotten
                orders[client_id] = orders.pop(client_id)
            elif tracked.ended is not None and now - tracked.ended > RETENTION:
                self.state.horizon = max(self.state.horizon, tracked.ended)
                del orders[client_id]

    def _reduces(self, order: Order, quantity: Decimal) -> bool:
        base, quote = assets_of(order.symbol)
        held = self.held(base)
        if quote != self.money:
            return False
        return quantity <= held if order.side is Side.SELL else quantity <= -held


def _sent_at(entry: tuple[int, Order]) -> int:
    return entry[0]
