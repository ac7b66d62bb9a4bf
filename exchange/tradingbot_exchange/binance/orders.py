"""Reading new orders: Binance's parameters to the engine's requests.

What an order type needs, and what it does not take, is the table of "New order" in rest-api.md.
"""

from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.binance import errors
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.parameters import Values
from tradingbot_exchange.binance.symbols import PREVENTION_MODE, Symbols
from tradingbot_exchange.engine.types import NewOrder, OrderType, Side, TimeInForce

FIRST_STRATEGY_TYPE = 1_000_000
"""Smaller values of strategyType are reserved."""

STRATEGY_ID = "strategyId"
STRATEGY_TYPE = "strategyType"
"""Attributes of an order that come back in each answer and event."""


@dataclass(frozen=True, slots=True)
class TypeRules:
    """What one order type is in the engine, and which parameters it takes."""

    engine: OrderType
    needs: tuple[str, ...]
    refuses: tuple[str, ...] = ()
    post_only: bool = False


TYPES: dict[str, TypeRules] = {
    "LIMIT": TypeRules(OrderType.LIMIT, ("timeInForce", "price"), ("stopPrice",)),
    "MARKET": TypeRules(OrderType.MARKET, (), ("timeInForce", "price", "stopPrice")),
    "STOP_LOSS": TypeRules(OrderType.STOP_MARKET, ("stopPrice",), ("timeInForce", "price")),
    "STOP_LOSS_LIMIT": TypeRules(OrderType.STOP_LIMIT, ("timeInForce", "price", "stopPrice")),
    "TAKE_PROFIT": TypeRules(
        OrderType.TAKE_PROFIT_MARKET, ("stopPrice",), ("timeInForce", "price")
    ),
    "TAKE_PROFIT_LIMIT": TypeRules(
        OrderType.TAKE_PROFIT_LIMIT, ("timeInForce", "price", "stopPrice")
    ),
    "LIMIT_MAKER": TypeRules(
        OrderType.LIMIT, ("price",), ("timeInForce", "stopPrice"), post_only=True
    ),
}

_NAMES = {(rules.engine, rules.post_only): name for name, rules in TYPES.items()}
STOPS = frozenset(name for name, rules in TYPES.items() if "stopPrice" in rules.needs)
"""Types that wait for a stop price."""

_UNSUPPORTED = {
    "icebergQty": "Iceberg orders are not supported for this symbol.",
    "trailingDelta": "Trailing stop orders are not supported for this symbol.",
    "pegPriceType": "Pegged orders are not supported for this symbol.",
    "pegOffsetType": "Pegged orders are not supported for this symbol.",
    "pegOffsetValue": "Pegged orders are not supported for this symbol.",
}


def type_name(order: NewOrder) -> str:
    """Return Binance's name of an order's type."""
    return _NAMES.get((order.type, order.post_only), order.type.value)


@dataclass(frozen=True, slots=True)
class Prefix:
    """How an order list names the parameters of one of its orders: `price` is `abovePrice`."""

    text: str = ""

    def of(self, name: str) -> str:
        """Return the parameter's name with the prefix."""
        return self.text + name[0].upper() + name[1:] if self.text else name


PLAIN = Prefix()


def read_order(values: Values, symbols: Symbols, *, client_id: str) -> NewOrder:
    """Return the order that a request asks for. Raises ApiError.

    `client_id` is used if the request names none.
    """
    instrument = symbols.instrument(values.required_text("symbol"))
    check_prevention(values)
    name = values.required_text("type")
    quantity, quote_quantity = values.decimal("quantity"), values.decimal("quoteOrderQty")
    if name == "MARKET":
        _check_market(quantity, quote_quantity)
    elif quantity is None:
        raise errors.missing("quantity")
    elif quote_quantity is not None:
        raise errors.not_required("quoteOrderQty")
    return leg(
        values,
        PLAIN,
        symbol=instrument.symbol,
        quantity=quantity,
        quote_quantity=quote_quantity,
        client_id=values.text("newClientOrderId") or client_id,
    )


def _check_market(quantity: Decimal | None, quote_quantity: Decimal | None) -> None:
    if quantity is None and quote_quantity is None:
        raise errors.one_of_missing("quantity", "quoteOrderQty")
    if quantity is not None and quote_quantity is not None:
        raise errors.not_required("quoteOrderQty")


def leg(
    values: Values,
    prefix: Prefix,
    *,
    symbol: str,
    quantity: Decimal | None,
    client_id: str,
    quote_quantity: Decimal | None = None,
) -> NewOrder:
    """Return one order of a request, whose parameters have the prefix. Raises ApiError."""
    rules = TYPES[values.required_text(prefix.of("type"))]
    _check_parameters(values, prefix, rules)
    time_in_force = values.text(prefix.of("timeInForce"))
    return NewOrder(
        symbol=symbol,
        side=Side.BUY if values.text("side") == "BUY" else Side.SELL,
        type=rules.engine,
        time_in_force=TimeInForce(time_in_force) if time_in_force else TimeInForce.GTC,
        quantity=quantity,
        quote_quantity=quote_quantity,
        price=values.decimal(prefix.of("price")),
        stop_price=values.decimal(prefix.of("stopPrice")),
        post_only=rules.post_only,
        client_id=client_id,
        attributes=strategy(values, prefix),
    )


def _check_parameters(values: Values, prefix: Prefix, rules: TypeRules) -> None:
    for name, message in _UNSUPPORTED.items():
        sent = prefix.of(name)
        if sent in values and values.decimal(sent) != 0:
            raise errors.rejected(message)
    for name in rules.needs:
        if prefix.of(name) not in values:
            raise errors.missing(prefix.of(name))
    for name in rules.refuses:
        if prefix.of(name) in values:
            if name == "timeInForce":
                raise ApiError(-1114, "TimeInForce parameter sent when not required.")
            raise errors.not_required(prefix.of(name))


def strategy(values: Values, prefix: Prefix) -> dict[str, str]:
    """Return the tags of an order, to be kept on it. Raises ApiError (-1134)."""
    tags = {}
    number = values.number(prefix.of(STRATEGY_ID))
    if number is not None:
        tags[STRATEGY_ID] = str(number)
    kind = values.number(prefix.of(STRATEGY_TYPE))
    if kind is not None:
        if kind < FIRST_STRATEGY_TYPE:
            name = prefix.of(STRATEGY_TYPE)
            raise ApiError(-1134, f"`{name}` was less than {FIRST_STRATEGY_TYPE}.")
        tags[STRATEGY_TYPE] = str(kind)
    return tags


def check_prevention(values: Values) -> None:
    """Raise ApiError for a self-trade prevention mode that exchangeInfo does not list."""
    mode = values.text("selfTradePreventionMode")
    if mode is not None and mode != PREVENTION_MODE:
        raise errors.invalid("selfTradePreventionMode")


@dataclass(frozen=True, slots=True)
class Oco:
    """A pair of orders of which one cancels the other."""

    limit: NewOrder
    stop: NewOrder
    client_id: str


_LIMIT_LEGS = ("LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_STOP_LEGS = ("STOP_LOSS", "STOP_LOSS_LIMIT")


def read_oco(values: Values, symbols: Symbols, *, client_ids: tuple[str, str, str]) -> Oco:
    """Return the pair that `orderList/oco` asks for. Raises ApiError.

    `client_ids` are used for the list and its orders if the request names none.
    """
    instrument = symbols.instrument(values.required_text("symbol"))
    check_prevention(values)
    above, below = values.required_text("aboveType"), values.required_text("belowType")
    _check_sides(values.required_text("side"), above, below)
    legs = [
        leg(
            values,
            Prefix(prefix),
            symbol=instrument.symbol,
            quantity=values.decimal("quantity"),
            client_id=values.text(f"{prefix}ClientOrderId") or client_id,
        )
        for prefix, client_id in zip(("above", "below"), client_ids[1:], strict=True)
    ]
    limit, stop = legs if above in _LIMIT_LEGS else reversed(legs)
    return Oco(limit, stop, values.text("listClientOrderId") or client_ids[0])


def _check_sides(side: str, above: str, below: str) -> None:
    if above not in _LIMIT_LEGS + _STOP_LEGS or below not in _LIMIT_LEGS + _STOP_LEGS:
        raise ApiError(-1158, "Order type not supported in OCO.")
    if above in _LIMIT_LEGS and below in _LIMIT_LEGS:
        raise ApiError(-1168, "At least one OCO order must be contingent.")
    if above in _STOP_LEGS and below in _STOP_LEGS:
        raise ApiError(-1158, "Order type not supported in OCO.")
    if side == "SELL" and above in _STOP_LEGS:
        raise _misplaced_sell(below)
    if side == "BUY" and above in _LIMIT_LEGS:
        raise _misplaced_buy(above)


def _misplaced_sell(below: str) -> ApiError:
    if below == "LIMIT_MAKER":
        return ApiError(-1166, "A limit order in a sell OCO must be above.")
    return ApiError(-1199, "A take profit order in a sell OCO must be above.")


def _misplaced_buy(above: str) -> ApiError:
    if above == "LIMIT_MAKER":
        return ApiError(-1165, "A limit order in a buy OCO must be below.")
    return ApiError(-1198, "A take profit order in a buy OCO must be below.")


def read_old_oco(values: Values, symbols: Symbols, *, client_ids: tuple[str, str, str]) -> Oco:
    """Return the pair that the deprecated `order/oco` asks for. Raises ApiError."""
    instrument = symbols.instrument(values.required_text("symbol"))
    check_prevention(values)
    for name in ("limitIcebergQty", "stopIcebergQty"):
        if values.decimal(name):
            raise errors.rejected(_UNSUPPORTED["icebergQty"])
    if "trailingDelta" in values:
        raise errors.rejected(_UNSUPPORTED["trailingDelta"])
    stop_price = values.decimal("stopLimitPrice")
    time_in_force = values.text("stopLimitTimeInForce")
    if stop_price is not None and time_in_force is None:
        raise errors.missing("stopLimitTimeInForce")
    side = Side(values.required_text("side"))
    quantity = values.decimal("quantity")
    limit = NewOrder(
        symbol=instrument.symbol,
        side=side,
        type=OrderType.LIMIT,
        post_only=True,
        quantity=quantity,
        price=values.decimal("price"),
        client_id=values.text("limitClientOrderId") or client_ids[1],
        attributes=strategy(values, Prefix("limit")),
    )
    stop = NewOrder(
        symbol=instrument.symbol,
        side=side,
        type=OrderType.STOP_MARKET if stop_price is None else OrderType.STOP_LIMIT,
        time_in_force=TimeInForce(time_in_force or "GTC"),
        quantity=quantity,
        price=stop_price,
        stop_price=values.decimal("stopPrice"),
        client_id=values.text("stopClientOrderId") or client_ids[2],
        attributes=strategy(values, Prefix("stop")),
    )
    return Oco(limit, stop, values.text("listClientOrderId") or client_ids[0])


def response_type(values: Values, order_type: str) -> str:
    """Return ACK, RESULT or FULL: what was asked for, or the order type's default."""
    asked = values.text("newOrderRespType")
    if asked is not None:
        return asked
    return "FULL" if order_type in {"LIMIT", "MARKET"} else "ACK"
