"""Own orders, and what each of them may still fill."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tradingbot_exchange.engine.types import Side

from tradingbot_gateway.risk.types import STOPS, ZERO, Order, Purpose

SETTLE = 10_000
"""Milliseconds after which a sent request can't be accepted any more: the longest time window of a
request (5 s by default), and the time after which exchanges give up (10 s)."""
RETENTION = 600_000
"""Milliseconds for which orders that have ended are remembered."""


class Stage(StrEnum):
    """What is known of an order."""

    SENT = "SENT"
    """The answer is awaited."""
    LOST = "LOST"
    """The outcome is unknown until the exchange has said."""
    OPEN = "OPEN"
    ENDED = "ENDED"


@dataclass(slots=True, kw_only=True)
class Tracked:
    """An order in the ledger. Only the ledger changes it."""

    order: Order
    counted: Decimal
    """Its quantity; estimated for an order by `quote_quantity`."""
    group: str | None
    purpose: Purpose
    entry: bool
    """Whether it was an entry when it was sent."""
    sent: int
    stage: Stage
    exchange_id: str = ""
    filled: Decimal = ZERO
    trades: dict[str, Decimal] = field(default_factory=dict)
    """Quantities by trade id."""
    executed: Decimal = ZERO
    """What the exchange says that it has filled, once it has ended."""
    ended: int | None = None
    cancel_sent: int | None = None
    earlier: tuple[str, ...] = ()
    """The exchange's ids of earlier orders of the same client id. All of them have ended."""
    not_taken: bool = False
    """The exchange has not read it, and said so."""

    def is_of(self, exchange_id: str) -> bool:
        """Whether news of an order with this exchange id, "" if unknown, are of this one."""
        if exchange_id in self.earlier:
            return False
        return not (exchange_id and self.exchange_id) or exchange_id == self.exchange_id

    @property
    def open(self) -> bool:
        """Whether it may still fill."""
        return self.stage is not Stage.ENDED

    @property
    def missing(self) -> Decimal:
        """What it has filled without that the fills have arrived."""
        return max(self.executed - self.filled, ZERO) if self.ended is not None else ZERO


@dataclass(frozen=True, slots=True)
class Unit:
    """What can fill together: an order, or the orders of a list, of which one ends the other."""

    orders: tuple[Tracked, ...]
    remaining: Decimal
    """In the base asset. Fills that have not arrived yet are part of it."""

    @property
    def first(self) -> Tracked:
        """The order that stands for the unit: symbol, side and purpose are the same for all."""
        return self.orders[0]

    @property
    def symbol(self) -> str:
        """Its symbol."""
        return self.first.order.symbol

    @property
    def side(self) -> Side:
        """Its side."""
        return self.first.order.side

    @property
    def purpose(self) -> Purpose:
        """Who asked for it."""
        return self.first.purpose

    @property
    def open(self) -> bool:
        """Whether one of its orders may still fill."""
        return any(tracked.open for tracked in self.orders)

    @property
    def price(self) -> Decimal:
        """The worst price for a buyer that its orders name; 0 if they name none."""
        return max((worst_price(tracked.order) for tracked in self.orders), default=ZERO)

    @property
    def budget(self) -> Decimal:
        """What an order by `quote_quantity` spends; 0 for others."""
        return self.first.order.quote_quantity or ZERO

    @property
    def stop(self) -> Decimal | None:
        """The stop price of the order that limits a loss, if there is one."""
        return next((t.order.stop_price for t in self.orders if t.open and is_stop(t.order)), None)


def worst_price(order: Order) -> Decimal:
    """Return the highest price that an order names; 0 for one at the market."""
    return max(order.price or ZERO, order.stop_price or ZERO)


def is_stop(order: Order) -> bool:
    """Whether an order limits a loss: it waits for a price that is worse than the market's."""
    return order.type in STOPS and not order.type.startswith("TAKE_PROFIT")


def trades_of(tracked: Tracked | None) -> dict[str, Decimal]:
    """Return the trades of an earlier order of the same client id: they can't be new ones."""
    return {} if tracked is None else dict(tracked.trades)


def earlier_of(tracked: Tracked | None) -> tuple[str, ...]:
    """Return the exchange's ids of an earlier order of the same client id, and of those before."""
    if tracked is None:
        return ()
    return (*tracked.earlier, tracked.exchange_id) if tracked.exchange_id else tracked.earlier


def units(tracked: Iterable[Tracked]) -> list[Unit]:
    """Group orders into what can fill together, without those that can't fill any more."""
    singles: list[Unit] = []
    groups: dict[str, list[Tracked]] = {}
    for order in tracked:
        if order.group is not None:
            groups.setdefault(order.group, []).append(order)
        elif order.open:
            # Even one that has filled all it should is counted until it has ended.
            singles.append(Unit((order,), max(order.counted - order.filled, ZERO)))
        elif order.missing:
            singles.append(Unit((order,), order.missing))
    for members in groups.values():
        still = max((order.counted for order in members if order.open), default=ZERO)
        filled = sum((order.filled for order in members), ZERO)
        missing = sum((order.missing for order in members), ZERO)
        remaining = max(still - filled, missing)
        if remaining or any(order.open for order in members):
            singles.append(Unit(tuple(members), remaining))
    return singles
