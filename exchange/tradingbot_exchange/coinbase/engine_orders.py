"""Between order configurations and the engine's orders."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tradingbot_exchange.coinbase.failures import STOP_BEYOND_LIMIT, OrderFailedError
from tradingbot_exchange.coinbase.order_requests import (
    STOP_DOWN,
    STOP_UP,
    Configuration,
    OrderRequest,
)
from tradingbot_exchange.coinbase.wire import instant, number
from tradingbot_exchange.engine.types import (
    Instrument,
    NewOrder,
    Order,
    OrderType,
    Side,
    TimeInForce,
)

FORM = "coinbase.form"
"""The attribute of the engine's order that keeps the name of its configuration."""

BRACKET_SLIPPAGE = Decimal("0.05")
"""How far beyond its trigger the stop-limit order of a bracket has its limit."""

_IN_FORCE: Mapping[str, TimeInForce] = {
    "ioc": TimeInForce.IOC,
    "gtc": TimeInForce.GTC,
    "gtd": TimeInForce.GTD,
    "fok": TimeInForce.FOK,
}


@dataclass(frozen=True, slots=True)
class Bracket:
    """The two orders of the engine behind a trigger bracket."""

    limit: NewOrder
    stop: NewOrder


def engine_order(request: OrderRequest) -> NewOrder:
    """Return the engine's order for any configuration but a bracket.

    Raises OrderFailedError if a stop has its limit on the wrong side.
    """
    wanted = request.configuration
    kind = OrderType.LIMIT
    if wanted.form == "market_market_ioc":
        kind = OrderType.MARKET
    elif wanted.stop_direction is not None:
        kind = _stop_type(request)
    return NewOrder(
        symbol=request.product_id,
        side=request.side,
        type=kind,
        time_in_force=_IN_FORCE[wanted.form.rpartition("_")[2]],
        quantity=wanted.base_size,
        quote_quantity=wanted.quote_size,
        price=wanted.limit_price,
        stop_price=wanted.stop_price,
        post_only=wanted.post_only,
        client_id=request.client_order_id,
        expires_at=wanted.end_time,
        attributes={FORM: wanted.form},
    )


def engine_bracket(request: OrderRequest, instrument: Instrument) -> Bracket:
    """Return the take-profit and the stop of a bracket.

    The stop's limit is 5 % beyond its trigger, on the next tick further away.
    """
    wanted = request.configuration
    trigger = wanted.stop_price or Decimal(0)
    selling = request.side is Side.SELL
    beyond = trigger * (1 - BRACKET_SLIPPAGE if selling else 1 + BRACKET_SLIPPAGE)
    ticks = (beyond / instrument.tick).to_integral_value(
        rounding=ROUND_FLOOR if selling else ROUND_CEILING
    )
    shared = {
        "symbol": request.product_id,
        "side": request.side,
        "time_in_force": _IN_FORCE[wanted.form.rpartition("_")[2]],
        "quantity": wanted.base_size,
        "expires_at": wanted.end_time,
        "attributes": {FORM: wanted.form},
    }
    limit = NewOrder(type=OrderType.LIMIT, price=wanted.limit_price, **shared)  # type: ignore[arg-type]
    stop = NewOrder(
        type=OrderType.STOP_LIMIT,
        price=max(ticks * instrument.tick, instrument.min_price),
        stop_price=trigger,
        **shared,  # type: ignore[arg-type]
    )
    return Bracket(limit, stop)


def _stop_type(request: OrderRequest) -> OrderType:
    """Return STOP_LIMIT for a stop-loss, TAKE_PROFIT_LIMIT for the other direction."""
    wanted = request.configuration
    selling = request.side is Side.SELL
    if (wanted.stop_direction == STOP_DOWN) != selling:
        return OrderType.TAKE_PROFIT_LIMIT
    limit, stop = wanted.limit_price or Decimal(0), wanted.stop_price or Decimal(0)
    if limit > stop if selling else limit < stop:
        raise OrderFailedError(STOP_BEYOND_LIMIT[request.side])
    return OrderType.STOP_LIMIT


def request_configuration(wanted: Configuration) -> Mapping[str, object]:
    """Return the `order_configuration` of a request, as an answer repeats it."""
    members: dict[str, object] = {}
    for name in ("quote_size", "base_size", "limit_price"):
        value = getattr(wanted, name)
        if value is not None:
            members[name] = number(value)
    if wanted.stop_price is not None:
        members["stop_trigger_price" if wanted.bracket else "stop_price"] = number(
            wanted.stop_price
        )
    if wanted.stop_direction is not None:
        members["stop_direction"] = wanted.stop_direction
    if wanted.end_time is not None:
        members["end_time"] = instant(wanted.end_time)
    if wanted.form.startswith("limit_limit_gt"):
        members["post_only"] = wanted.post_only
    return {wanted.form: members}


def order_configuration(limit: Order, stop: Order | None = None) -> Mapping[str, object]:
    """Return the `order_configuration` of an order, or of a bracket with its `stop`."""
    request = limit.request
    trigger = request.stop_price if stop is None else stop.request.stop_price
    direction = None
    if stop is None and request.stop_price is not None:
        rising = (request.side is Side.BUY) == (request.type is OrderType.STOP_LIMIT)
        direction = STOP_UP if rising else STOP_DOWN
    by_quote = request.quote_quantity is not None
    return request_configuration(
        Configuration(
            form=form_of(limit),
            base_size=None if by_quote else limit.quantity,
            quote_size=request.quote_quantity,
            limit_price=request.price,
            stop_price=trigger,
            stop_direction=direction,
            end_time=request.expires_at,
            post_only=request.post_only,
        )
    )


def form_of(order: Order) -> str:
    """Return the name of an order's configuration, also of an order that came another way."""
    if FORM in order.request.attributes:
        return order.request.attributes[FORM]
    request = order.request
    if request.price is None:
        return "market_market_ioc"
    if request.stop_price is not None:
        ending = "gtd" if request.time_in_force is TimeInForce.GTD else "gtc"
        return f"stop_limit_stop_limit_{ending}"
    if request.time_in_force is TimeInForce.IOC:
        return "sor_limit_ioc"
    return f"limit_limit_{request.time_in_force.value.lower()}"
