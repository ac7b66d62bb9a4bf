"""The difference between the orders that should exist and those that do, as a list of steps.

The order of the steps matters: cancel what is no longer wanted, which frees what it holds; sell
what is to be sold now; protect the rest; and only then open or add.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tradingbot_exchange.engine.types import Side

from tradingbot_strategies.limits import acquired
from tradingbot_strategies.orders import ClientIds, OrderState, Role
from tradingbot_strategies.protection import Cover, Exits
from tradingbot_strategies.view import Resting, Style, View, Wish


class Cancel(NamedTuple):
    """Cancel an order that is in the book."""

    order: OrderState


class Place(NamedTuple):
    """Send an order."""

    wish: Wish
    role: Role


class Protect(NamedTuple):
    """Send a protective order."""

    cover: Cover


Step = Cancel | Place | Protect


def steps(
    wishes: Sequence[Wish], exits: Exits, open_orders: Sequence[OrderState], ids: ClientIds
) -> list[Step]:
    """Return what to do, in order, so that exactly the wanted orders exist.

    `wishes` keep the limits; of them, those that rest and sell are in `exits` already.
    """
    entries = [w for w in wishes if w.style is Style.REST and w.side is Side.BUY]
    covers = list(exits.covers)
    cancels: list[Step] = []
    for order in open_orders:
        label = ids.label(order.client_id)
        tag = label.tag if label else ""
        entry = next((w for w in entries if _is_entry(order, tag, w)), None)
        cover = next((c for c in covers if _is_cover(order, tag, c)), None)
        if entry is not None:
            entries.remove(entry)
        elif cover is not None:
            covers.remove(cover)
        else:
            cancels.append(Cancel(order))
    return [
        *cancels,
        *(Place(wish, Role.EXIT) for wish in exits.now if wish.side is Side.SELL),
        *(Protect(cover) for cover in covers),
        *(Place(wish, Role.ENTRY) for wish in exits.now if wish.side is Side.BUY),
        *(Place(wish, Role.ENTRY) for wish in entries),
    ]


def is_entry_step(step: Step, view: View, money: str) -> bool:
    """Whether a step could open a position or add to one."""
    return isinstance(step, Place) and acquired(step.wish, view.markets[step.wish.symbol]) != money


def as_resting(orders: Sequence[OrderState], ids: ClientIds) -> list[Resting]:
    """Return the orders in the book as a strategy sees them."""
    found = []
    for order in orders:
        label = ids.label(order.client_id)
        if label is None or not order.open or order.price is None:
            continue
        remaining = order.remaining
        if remaining > 0:
            found.append(
                Resting(
                    symbol=order.symbol,
                    side=order.side,
                    price=order.price,
                    remaining=remaining,
                    created=order.created,
                    tag=label.tag,
                )
            )
    return found


def as_it_is(order: Resting) -> Wish:
    """Return the wish that an order in the book is exactly what is wanted."""
    return Wish(
        symbol=order.symbol,
        side=order.side,
        quantity=order.remaining,
        price=order.price,
        tag=order.tag,
    )


def describe(step: Step) -> str:
    """Return a step in words, for the log."""
    if isinstance(step, Cancel):
        order = step.order
        return f"cancel {order.side} {order.remaining} {order.symbol} at {order.price}"
    if isinstance(step, Place):
        wish = step.wish
        price = "the market" if wish.price is None else wish.price
        return f"{wish.style} {wish.side} {wish.quantity} {wish.symbol} at {price}"
    cover = step.cover
    return f"protect {cover.quantity} {cover.symbol}: {cover.stop_price} or {cover.price}"


def symbol_of(step: Step) -> str:
    """Return the symbol of a step."""
    if isinstance(step, Cancel):
        return step.order.symbol
    return step.wish.symbol if isinstance(step, Place) else step.cover.symbol


def _is_entry(order: OrderState, tag: str, wish: Wish) -> bool:
    return (
        order.side is wish.side
        and order.symbol == wish.symbol
        and tag == wish.tag
        and order.stop_price is None
        and order.price == wish.price
        and order.remaining == wish.quantity
    )


def _is_cover(order: OrderState, tag: str, cover: Cover) -> bool:
    return (
        order.side is Side.SELL
        and order.symbol == cover.symbol
        and tag == cover.tag
        and order.price == cover.price
        and order.stop_price == cover.stop_price
        and order.remaining == cover.quantity
    )
