"""Subscriptions to the events of accounts, and how the engine's events reach them."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from tradingbot_exchange.binance import user_events
from tradingbot_exchange.binance.spot import Spot
from tradingbot_exchange.binance.trading import list_orders
from tradingbot_exchange.engine.types import (
    BalanceEvent,
    Event,
    ListEvent,
    OrderEvent,
)

Deliver = Callable[[dict[str, object]], None]
"""Takes one event. It must not block."""


class UserStreams:
    """Writes each account's events once, and hands them to all who subscribed.

    Nothing is written for an account without subscribers: most orders of a busy exchange belong to
    accounts that nobody listens to.
    """

    def __init__(self, spot: Spot) -> None:
        self._spot = spot
        self._subscribers: dict[str, list[Deliver]] = {}
        self._totals: dict[str, dict[str, Decimal]] = {}
        """What each subscribed account has, to tell deposits from trades."""
        self._execution_id = 0
        spot.venue.listen(self._on_events)

    def subscribe(self, account: str, deliver: Deliver) -> Callable[[], None]:
        """Deliver the events of an account; the result ends that."""
        subscribers = self._subscribers.setdefault(account, [])
        if not subscribers:
            held = self._spot.venue.engine.balances(account)
            self._totals[account] = {asset: each.free + each.held for asset, each in held.items()}
        subscribers.append(deliver)

        def unsubscribe() -> None:
            subscribers.remove(deliver)
            if not subscribers and self._subscribers.get(account) is subscribers:
                del self._subscribers[account], self._totals[account]

        return unsubscribe

    def _on_events(self, events: Sequence[Event]) -> None:
        self._execution_id += len(events)
        if not self._subscribers:
            return
        first = self._execution_id - len(events)
        traded = any(isinstance(event, OrderEvent) for event in events)
        for index, event in enumerate(events):
            account = _account(event)
            if account is None or account not in self._subscribers:
                continue
            for written in self._write(event, first + index, traded=traded):
                for deliver in tuple(self._subscribers[account]):
                    deliver(written)

    def _write(self, event: Event, number: int, *, traded: bool) -> list[dict[str, object]]:
        time = self._spot.venue.now()
        symbols = self._spot.symbols
        if isinstance(event, OrderEvent):
            report = user_events.execution_report(
                event,
                symbols.name(event.order.request.symbol),
                time=time,
                execution_id=number,
                cancel_id=self._spot.cancel_id,
            )
            return [report]
        if isinstance(event, BalanceEvent):
            return self._balances(event, time, traded=traded)
        if isinstance(event, ListEvent):
            orders = list_orders(self._spot, event.list)
            name = symbols.name(event.list.symbol)
            return [
                user_events.list_status(event.list, orders, name, time=time, changed=event.time)
            ]
        return []

    def _balances(self, event: BalanceEvent, time: int, *, traded: bool) -> list[dict[str, object]]:
        totals = self._totals[event.account]
        written = [user_events.account_position(event.balances, time=time, updated=event.time)]
        for asset, held in event.balances.items():
            delta = held.free + held.held - totals.get(asset, Decimal(0))
            totals[asset] = held.free + held.held
            if delta and not traded:
                written.append(
                    user_events.balance_update(asset, delta, time=time, cleared=event.time)
                )
        return written


def _account(event: Event) -> str | None:
    if isinstance(event, OrderEvent):
        return event.order.account
    if isinstance(event, BalanceEvent):
        return event.account
    if isinstance(event, ListEvent):
        return event.list.account
    return None
