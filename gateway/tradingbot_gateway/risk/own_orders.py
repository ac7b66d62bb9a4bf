"""The gateway's own orders: what is sent for a step of the protection, and how it counts. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from tradingbot_exchange.engine.types import OrderType

from tradingbot_gateway.risk.actions import Place
from tradingbot_gateway.risk.events import Sent
from tradingbot_gateway.risk.protection import Close, Protect, orders_of
from tradingbot_gateway.risk.types import PROTECTION_PREFIX, Order, Purpose

Legs = Iterable[tuple[OrderType, Decimal | None, Decimal | None]]
"""Type, price and stop price of each order."""


def protection(step: Protect, *, number: int, now: int) -> Place:
    """Return the orders that protect a position. `number`: how many own orders were sent before."""
    reason = f"stop-loss {step.levels.stop:f}, take-profit {step.levels.take_profit:f}"
    legs = orders_of(step.market, step.levels)
    return _place(step, legs, Purpose.PROTECTION, reason, f"{now:x}-{number}")


def market_exit(step: Close, *, number: int, now: int) -> Place:
    """Return the order that closes a position at the market."""
    legs = ((OrderType.MARKET, None, None),)
    return _place(step, legs, Purpose.EXIT, step.reason, f"{now:x}-{number}")


def as_sent(place: Place, now: int) -> Sent:
    """Return the event with which own orders count, before they are sent."""
    return Sent(
        time=now,
        orders=place.orders,
        counted=tuple(order.quantity or Decimal(0) for order in place.orders),
        group=place.group,
        purpose=place.purpose,
        entry=False,
    )


def _place(step: Protect | Close, legs: Legs, purpose: Purpose, reason: str, unique: str) -> Place:
    name = f"{PROTECTION_PREFIX}{unique}"
    orders = tuple(
        Order(
            client_id=f"{name}-{number}",
            symbol=step.market.symbol,
            side=step.side,
            type=kind,
            quantity=step.quantity,
            price=price,
            stop_price=stop,
        )
        for number, (kind, price, stop) in enumerate(legs)
    )
    group = name if len(orders) > 1 else None
    return Place(orders=orders, group=group, purpose=purpose, reason=reason)
