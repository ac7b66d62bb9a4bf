"""What is refused, and why. Nothing here changes anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.engine.accounts import Account
from tradingbot_exchange.engine.amounts import (
    MAX_AMOUNT,
    from_units,
    steps_down,
    to_units,
    whole_steps,
)
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.types import (
    NewOrder,
    OrderType,
    Reason,
    RefusedError,
    Side,
    TimeInForce,
)

STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})
TAKE_PROFITS = frozenset({OrderType.TAKE_PROFIT_LIMIT, OrderType.TAKE_PROFIT_MARKET})
TRIGGERED = STOPS | TAKE_PROFITS
PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})


@dataclass(slots=True)
class Terms:
    """An order in whole numbers. `lots` of a market order by quote quantity is planned later."""

    order: NewOrder
    market: Market
    buy: bool
    lots: int
    price: int | None
    stop: int | None
    budget: int | None
    """Units of the quote asset that a market order spends or receives."""

    @property
    def rising(self) -> bool:
        """Whether a rising price triggers the order."""
        return self.buy == (self.order.type in STOPS)

    @property
    def pays_with(self) -> str:
        """The asset that the order pays with."""
        return self.market.quote if self.buy else self.market.base

    @property
    def may_rest(self) -> bool:
        """Whether the order can be open after the call."""
        return self.order.type is not OrderType.MARKET and (
            self.stop is not None or self.order.time_in_force in (TimeInForce.GTC, TimeInForce.GTD)
        )


def check_order(market: Market, order: NewOrder, *, now: int) -> Terms:
    """Check all that depends on the order and the market alone."""
    if market.halted:
        raise RefusedError(Reason.SYMBOL_HALTED, f"{market.symbol} is halted")
    _check_form(order, now=now)
    priced = order.type in PRICED
    price = check_price(market, "price", order.price) if priced else None
    stop = check_price(market, "stop_price", order.stop_price) if order.type in TRIGGERED else None
    budget = None if order.quote_quantity is None else _check_budget(market, order.quote_quantity)
    lots = 0 if order.quantity is None else check_quantity(market, order.quantity)
    terms = Terms(order, market, order.side is Side.BUY, lots, price, stop, budget)
    if price is not None:
        check_band(market, price, buy=terms.buy)
    if budget is None:
        check_notional(market, price or stop or _reference(terms), lots)
    return terms


def _check_form(order: NewOrder, *, now: int) -> None:
    """Refuse parameters that are missing, or that the order's type does not have."""
    kind = order.type
    if (order.quantity is None) == (order.quote_quantity is None):
        raise bad_parameters("set exactly one of quantity and quote_quantity")
    if order.quote_quantity is not None and kind is not OrderType.MARKET:
        raise bad_parameters(f"quote_quantity is for MARKET orders, not for {kind}")
    if (order.price is None) == (kind in PRICED):
        raise bad_parameters(f"a {kind} order {'needs a' if kind in PRICED else 'has no'} price")
    if (order.stop_price is None) == (kind in TRIGGERED):
        raise bad_parameters(
            f"a {kind} order {'needs a' if kind in TRIGGERED else 'has no'} stop_price"
        )
    _check_time(order, now=now)


def _check_time(order: NewOrder, *, now: int) -> None:
    kind = order.type
    if (order.expires_at is None) == (order.time_in_force is TimeInForce.GTD):
        raise bad_parameters("expires_at is for GTD orders, which need it")
    if order.expires_at is not None:
        if kind not in PRICED:
            raise bad_parameters(f"a {kind} order can't be GTD")
        if order.expires_at <= now:
            raise bad_parameters("expires_at must be in the future")
    if order.post_only:
        if kind not in PRICED:
            raise bad_parameters(f"a {kind} order can't be post_only")
        if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            raise bad_parameters(f"an order can't be both post_only and {order.time_in_force}")
    if order.quote_quantity is not None and order.time_in_force is TimeInForce.FOK:
        raise bad_parameters("a FOK order needs a quantity")


def check_price(market: Market, name: str, price: Decimal | None) -> int:
    """Return a price in ticks."""
    instrument = market.instrument
    if price is None or not price.is_finite():
        raise bad_parameters(f"{name} must be a number, not {price}")
    if not (instrument.min_price <= price <= instrument.max_price) or price <= 0:
        raise RefusedError(
            Reason.PRICE_RANGE,
            f"{name} must be from {instrument.min_price:f} to {instrument.max_price:f},"
            f" not {price}",
        )
    ticks = whole_steps(price, market.tick)
    if ticks is None:
        raise RefusedError(
            Reason.PRICE_TICK, f"{name} must be a multiple of {market.tick:f}, not {price}"
        )
    return ticks


def check_quantity(market: Market, quantity: Decimal) -> int:
    """Return a quantity in lots."""
    instrument = market.instrument
    if not quantity.is_finite():
        raise bad_parameters(f"quantity must be a number, not {quantity}")
    if not (instrument.min_quantity <= quantity <= instrument.max_quantity) or quantity <= 0:
        raise RefusedError(
            Reason.QUANTITY_RANGE,
            f"quantity must be from {instrument.min_quantity:f} to"
            f" {instrument.max_quantity:f}, not {quantity}",
        )
    lots = whole_steps(quantity, market.lot)
    if lots is None:
        raise RefusedError(
            Reason.QUANTITY_STEP, f"quantity must be a multiple of {market.lot:f}, not {quantity}"
        )
    return lots


def outside_lots(market: Market, quantity: Decimal) -> int:
    """Return the whole lots in a quantity of the outside market, which has no limits."""
    if not quantity.is_finite() or not 0 <= quantity < MAX_AMOUNT:
        raise bad_parameters(f"quantity must not be negative, and is {quantity}")
    return steps_down(quantity, market.lot)


def _check_budget(market: Market, amount: Decimal) -> int:
    if not amount.is_finite():
        raise bad_parameters(f"quote_quantity must be a number, not {amount}")
    if amount <= 0:
        raise RefusedError(Reason.QUANTITY_RANGE, f"quote_quantity must be positive, not {amount}")
    units = to_units(amount, market.unit)
    if units is None:
        raise RefusedError(Reason.QUANTITY_STEP, f"quote_quantity has too many digits: {amount}")
    if units < market.min_notional:
        raise RefusedError(
            Reason.MIN_NOTIONAL,
            f"quote_quantity must be at least {market.instrument.min_notional:f}, not {amount}",
        )
    return units


def check_band(market: Market, price: int, *, buy: bool) -> None:
    """Refuse a price that is too far from the last one on the costly side."""
    if market.last is None:
        return
    scaled, band = market.last * market.band_scale, market.last * market.band
    price_scaled = price * market.band_scale
    if price_scaled > scaled + band if buy else price_scaled < scaled - band:
        raise RefusedError(
            Reason.PRICE_FAR_FROM_MARKET,
            f"price {market.price(price):f} is more than {market.instrument.price_band:f}"
            f" {'above' if buy else 'below'} the last price {market.price(market.last):f}",
        )


def check_notional(market: Market, price: int | None, lots: int) -> None:
    """Refuse an order that is worth too little."""
    if price is not None and price * lots * market.notional_units < market.min_notional:
        raise RefusedError(
            Reason.MIN_NOTIONAL,
            f"the order must be worth at least {market.instrument.min_notional:f},"
            f" not {market.notional(price, lots):f}",
        )


def _reference(terms: Terms) -> int | None:
    """Return the price at which a market order is valued: the last one, or the best in the book."""
    market = terms.market
    if market.last is not None:
        return market.last
    best = (market.asks if terms.buy else market.bids).best
    return None if best is None else best.price


def check_stop(terms: Terms) -> None:
    """Refuse a stop whose price has already been reached."""
    last = terms.market.last
    if terms.stop is None or last is None:
        return
    if last >= terms.stop if terms.rising else last <= terms.stop:
        raise RefusedError(
            Reason.WOULD_TRIGGER,
            f"the last price {terms.market.price(last):f} has already reached stop_price",
        )


def check_client_ids(account: Account, ids: Sequence[str], leaving: Sequence[Entry]) -> None:
    """Refuse a client id that an open order has."""
    for number, client_id in enumerate(ids):
        if not client_id:
            continue
        newest = account.newest_of(client_id)
        if client_id in ids[:number] or (
            newest in account.open and all(entry.order.id != newest for entry in leaving)
        ):
            raise RefusedError(
                Reason.DUPLICATE_CLIENT_ID, f"an open order has the client id {client_id!r}"
            )


def check_room(
    account: Account, market: Market, orders: Sequence[Terms], leaving: Sequence[Entry]
) -> None:
    """Refuse more open orders than the instrument allows. Orders that can't rest don't count."""
    resting = len([terms for terms in orders if terms.may_rest])
    if not resting:
        return
    left = [entry for entry in leaving if entry.market is market]
    count = account.open_count(market.symbol) - len(left) + resting
    if count > market.instrument.max_orders:
        raise RefusedError(
            Reason.TOO_MANY_ORDERS,
            f"an account may have {market.instrument.max_orders} open orders of {market.symbol}",
        )
    stops = len([terms for terms in orders if terms.stop is not None])
    if not stops:
        return
    count = account.stop_count(market.symbol) + stops
    count -= sum(entry.stop is not None for entry in left)
    if count > market.instrument.max_stops:
        raise RefusedError(
            Reason.TOO_MANY_STOPS,
            f"an account may have {market.instrument.max_stops} stop orders of {market.symbol}",
        )


def would_take(market: Market, price: int, *, buy: bool, leaving: Sequence[Entry] = ()) -> bool:
    """Whether a limit order would be matched at once."""
    side = market.asks if buy else market.bids
    limit = side.key(price)
    for level in side:
        if level.key < limit:
            return False
        if not leaving or any(entry not in leaving for entry in level):
            return True
    return False


def check_post_only(terms: Terms, leaving: Sequence[Entry]) -> None:
    """Refuse a post-only order that would be matched at once. A stop is checked once triggered."""
    if not terms.order.post_only or terms.stop is not None or terms.price is None:
        return
    if would_take(terms.market, terms.price, buy=terms.buy, leaving=leaving):
        raise RefusedError(Reason.WOULD_TAKE, "the post-only order would be matched at once")


def check_funds(account: Account, asset: str, need: int, leaving: Sequence[Entry]) -> None:
    """Refuse an order that the account can't pay for."""
    free = account.free(asset)
    if leaving:
        free += sum(entry.held for entry in leaving if entry.hold_asset == asset)
    if need > free:
        raise RefusedError(
            Reason.INSUFFICIENT_BALANCE,
            f"the order needs {from_units(account.unit, need):f} {asset}, and"
            f" {from_units(account.unit, free):f} is free",
        )


def bad_parameters(detail: str) -> RefusedError:
    """Return the error for parameters that no market would accept."""
    return RefusedError(Reason.BAD_PARAMETERS, detail)
