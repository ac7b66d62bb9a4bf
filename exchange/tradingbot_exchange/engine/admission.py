"""What a request for orders comes to, once every check has passed. Nothing here changes anything.

`leaving` are the orders that end before the new ones begin, in a replacement: their holds, places
and client ids count as free.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.engine.accounts import Account
from tradingbot_exchange.engine.checks import (
    STOPS,
    TAKE_PROFITS,
    Terms,
    bad_parameters,
    check_band,
    check_client_ids,
    check_funds,
    check_notional,
    check_order,
    check_post_only,
    check_price,
    check_quantity,
    check_room,
    check_stop,
    would_take,
)
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.plans import plan_market
from tradingbot_exchange.engine.state import State
from tradingbot_exchange.engine.types import (
    NewOrder,
    OrderType,
    Reason,
    RefusedError,
    TimeInForce,
)


@dataclass(frozen=True, slots=True)
class Admitted:
    """An order that may begin. `hold` is in units of what it pays with."""

    terms: Terms
    hold: int
    unspent: bool = False
    """A market order by quote quantity for which the book has too little."""


def admit_order(
    state: State, account: Account, order: NewOrder, *, now: int, leaving: Sequence[Entry] = ()
) -> Admitted:
    """Check an order as a whole. Raises RefusedError."""
    market = state.market(order.symbol)
    terms = check_order(market, order, now=now)
    check_stop(terms)
    check_client_ids(account, (order.client_id,), leaving)
    check_room(account, market, (terms,), leaving)
    check_post_only(terms, leaving)
    if order.type is not OrderType.MARKET:
        need = hold_of(terms)
        check_funds(account, terms.pays_with, need, leaving)
        return Admitted(terms, need)
    plan = plan_market(terms, account, leaving)
    if terms.budget is not None:
        terms.lots = plan.lots
    hold = hold_of(terms)
    need = hold
    if terms.buy:
        need = plan.cost if terms.budget is None else terms.budget
    check_funds(account, terms.pays_with, need, leaving)
    return Admitted(terms, hold, unspent=terms.budget is not None and plan.exhausted)


def hold_of(terms: Terms) -> int:
    """Return what a new order holds. A market buy pays at once and holds nothing."""
    market = terms.market
    if not terms.buy:
        return terms.lots * market.lot_units
    notional = terms.lots * (terms.price or terms.stop or 0) * market.notional_units
    if not market.fee_in_quote:
        return notional
    return notional + market.fee_units(notional * market.max_fee)


def admit_oco(
    state: State,
    account: Account,
    limit: NewOrder,
    stop: NewOrder,
    *,
    client_id: str,
    now: int,
) -> tuple[Terms, Terms]:
    """Check an OCO list as a whole. Raises RefusedError."""
    market = state.market(limit.symbol)
    _check_legs(limit, stop)
    first, second = check_order(market, limit, now=now), check_order(market, stop, now=now)
    _check_relation(first, second)
    check_client_ids(account, (limit.client_id, stop.client_id), ())
    if client_id and any(account.lists[number].client_id == client_id for number in account.pairs):
        raise RefusedError(
            Reason.DUPLICATE_CLIENT_ID, f"an open list has the client id {client_id!r}"
        )
    check_room(account, market, (first, second), ())
    check_post_only(first, ())
    check_funds(account, first.pays_with, max(hold_of(first), hold_of(second)), ())
    return first, second


def _check_legs(limit: NewOrder, stop: NewOrder) -> None:
    if limit.type is not OrderType.LIMIT and limit.type not in TAKE_PROFITS:
        raise bad_parameters(
            f"the first order of a list must be a limit or take-profit order, not {limit.type}"
        )
    if stop.type not in STOPS:
        raise bad_parameters(f"the second order of a list must be a stop order, not {stop.type}")
    if (limit.symbol, limit.side, limit.quantity) != (stop.symbol, stop.side, stop.quantity):
        raise bad_parameters("both orders of a list must have the same symbol, side and quantity")
    if limit.type is OrderType.LIMIT and limit.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        raise bad_parameters(f"the limit order of a list can't be {limit.time_in_force}")


def _check_relation(limit: Terms, stop: Terms) -> None:
    """Refuse prices that are not on both sides of the last one, if there is one."""
    above, below = (stop, limit) if limit.buy else (limit, stop)
    high, low = above.stop or above.price or 0, below.stop or below.price or 0
    last = limit.market.last
    if not (low < high if last is None else low < last < high):
        price = limit.market.price
        raise RefusedError(
            Reason.OCO_PRICES,
            f"the last price must be between {price(low):f} and {price(high):f}"
            if low < high
            else f"{price(high):f} must be above {price(low):f}",
        )


def admit_edit(
    account: Account, entry: Entry, *, price: Decimal, quantity: Decimal
) -> tuple[int, int]:
    """Check a change of an open order; return its price in ticks and its rest in lots."""
    market, request = entry.market, entry.order.request
    if market.halted:
        raise RefusedError(Reason.SYMBOL_HALTED, f"{market.symbol} is halted")
    if entry.pair is not None or entry.stop is not None or entry.price is None:
        raise bad_parameters(
            "only a limit order that rests in the book, and is in no list, can be edited;"
            " cancel this one and place another"
        )
    ticks = check_price(market, "price", price)
    total = check_quantity(market, quantity)
    if total <= entry.lots_filled:
        raise bad_parameters(
            f"quantity must be above the {market.quantity(entry.lots_filled):f} already filled"
        )
    if ticks != entry.price:
        check_band(market, ticks, buy=entry.buy)
    check_notional(market, ticks, total)
    if request.post_only and would_take(market, ticks, buy=entry.buy):
        raise RefusedError(Reason.WOULD_TAKE, "the post-only order would be matched at once")
    lots = total - entry.lots_filled
    need = entry.need_for(lots=lots, price=ticks)
    check_funds(account, entry.hold_asset, need, (entry,))
    return ticks, lots
