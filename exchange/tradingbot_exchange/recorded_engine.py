"""An engine that records the calls that changed it, so that they can be carried out again.

The engine is deterministic: the same calls on the same state give the same orders, fills and
balances. So the calls are the journal of an exchange.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    ASSET_UNIT,
    Event,
    Instrument,
    NewOrder,
    Order,
    OrderList,
)

Call = list[Any]
"""A method's name and its arguments as JSON values."""

Before = Callable[[str, NewOrder, int], list[Event]]
"""Called with account, order and time before an order is submitted; what it does comes first."""

_ORDER: TypeAdapter[NewOrder] = TypeAdapter(NewOrder)


class RecordedEngine(Engine):
    """An engine with a list of the calls that changed it."""

    def __init__(self, instruments: Iterable[Instrument], *, unit: Decimal = ASSET_UNIT) -> None:
        super().__init__(instruments, unit=unit)
        self._calls: list[Call] = []
        self._early: list[Event] = []
        self._deep = False
        self.before_order: Before | None = None
        self.recording = True
        """Whether calls are recorded. Without a journal, nobody reads them."""

    def taken_calls(self) -> list[Call]:
        """Return the calls since the last time."""
        calls, self._calls = self._calls, []
        return calls

    def taken_events(self) -> list[Event]:
        """Return the events of `before_order` since the last time."""
        events, self._early = self._early, []
        return events

    def open_account(self, account: str, *, keeps_history: bool = True) -> None:
        """Open an account."""
        super().open_account(account, keeps_history=keeps_history)
        self._calls.append(["open_account", account, keeps_history])

    def deposit(self, account: str, asset: str, amount: Decimal, *, now: int) -> list[Event]:
        """Add `amount`, or take it away."""
        events = super().deposit(account, asset, amount, now=now)
        self._calls.append(["deposit", account, asset, str(amount), now])
        return events

    def submit(self, account: str, order: NewOrder, *, now: int) -> tuple[Order, list[Event]]:
        """Accept an order and match it."""
        self._prepare(account, order, now)
        result = super().submit(account, order, now=now)
        if self.recording:
            self._calls.append(["submit", account, _dumped(order), now])
        return result

    def submit_oco(
        self, account: str, limit: NewOrder, stop: NewOrder, *, client_id: str, now: int
    ) -> tuple[OrderList, list[Event]]:
        """Accept an OCO list."""
        result = super().submit_oco(account, limit, stop, client_id=client_id, now=now)
        self._calls.append(["submit_oco", account, _dumped(limit), _dumped(stop), client_id, now])
        return result

    def cancel(self, account: str, order_id: int, *, now: int) -> tuple[Order, list[Event]]:
        """Cancel an order."""
        result = super().cancel(account, order_id, now=now)
        self._calls.append(["cancel", account, order_id, now])
        return result

    def replace(
        self, account: str, order_id: int, order: NewOrder, *, now: int
    ) -> tuple[Order, list[Event]]:
        """Cancel an order and submit another one."""
        self._prepare(account, order, now)
        result = super().replace(account, order_id, order, now=now)
        self._calls.append(["replace", account, order_id, _dumped(order), now])
        return result

    def edit(
        self, account: str, order_id: int, *, price: Decimal, quantity: Decimal, now: int
    ) -> tuple[Order, list[Event]]:
        """Change an open order."""
        result = super().edit(account, order_id, price=price, quantity=quantity, now=now)
        self._calls.append(["edit", account, order_id, str(price), str(quantity), now])
        return result

    def trade_through(
        self, symbol: str, price: Decimal, *, now: int, quantity: Decimal | None = None
    ) -> list[Event]:
        """Let the outside market trade."""
        events = super().trade_through(symbol, price, now=now, quantity=quantity)
        size = None if quantity is None else str(quantity)
        self._calls.append(["trade_through", symbol, str(price), size, now])
        return events

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Refuse new orders of a symbol, or accept them again."""
        super().halt(symbol, halted=halted)
        self._calls.append(["halt", symbol, halted])

    def expire(self, *, now: int) -> list[Event]:
        """End the GTD orders whose time has come."""
        events = super().expire(now=now)
        if events:
            self._calls.append(["expire", now])
        return events

    def carry_out(self, call: Call) -> list[Event]:
        """Carry out a recorded call. Raises ValueError for one that does not exist."""
        name, *arguments = call
        try:
            return _REPLAYS[name](self, *arguments)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{name!r} is not a call of the engine") from error

    def _prepare(self, account: str, order: NewOrder, now: int) -> None:
        if self.before_order is None or self._deep:
            return
        self._deep = True
        try:
            self._early += self.before_order(account, order, now)
        finally:
            self._deep = False


def _dumped(order: NewOrder) -> dict[str, Any]:
    dumped: dict[str, Any] = _ORDER.dump_python(order, mode="json", exclude_defaults=True)
    return dumped


def _loaded(order: dict[str, Any]) -> NewOrder:
    return _ORDER.validate_python(order)


def _halt(engine: RecordedEngine, symbol: str, halted: bool) -> list[Event]:
    engine.halt(symbol, halted=halted)
    return []


def _open_account(engine: RecordedEngine, account: str, keeps: bool) -> list[Event]:
    engine.open_account(account, keeps_history=keeps)
    return []


_REPLAYS: Mapping[str, Callable[..., list[Event]]] = {
    "open_account": _open_account,
    "deposit": lambda e, name, asset, amount, now: e.deposit(name, asset, Decimal(amount), now=now),
    "submit": lambda e, name, order, now: e.submit(name, _loaded(order), now=now)[1],
    "submit_oco": lambda e, name, limit, stop, client_id, now: e.submit_oco(
        name, _loaded(limit), _loaded(stop), client_id=client_id, now=now
    )[1],
    "cancel": lambda e, name, number, now: e.cancel(name, number, now=now)[1],
    "replace": lambda e, name, number, order, now: e.replace(name, number, _loaded(order), now=now)[
        1
    ],
    "edit": lambda e, name, number, price, quantity, now: e.edit(
        name, number, price=Decimal(price), quantity=Decimal(quantity), now=now
    )[1],
    "trade_through": lambda e, symbol, price, size, now: e.trade_through(
        symbol, Decimal(price), quantity=None if size is None else Decimal(size), now=now
    ),
    "halt": _halt,
    "expire": lambda e, now: e.expire(now=now),
}
