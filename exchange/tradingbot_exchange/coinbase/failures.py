"""Orders that are refused: HTTP 200, `success: false`, and names for the reason.

ccxt reads `preview_failure_reason` alone, and knows two of its names. Coinbase has many names for
failures before an order reaches the book (`PREVIEW_...`), and fewer for orders.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tradingbot_exchange.engine.types import (
    Instrument,
    NewOrder,
    OrderType,
    Reason,
    RefusedError,
    Side,
)

UNKNOWN = "UNKNOWN_FAILURE_REASON"
UNKNOWN_PREVIEW = "UNKNOWN_PREVIEW_FAILURE_REASON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The names of one reason: of the order, of its preview, and a sentence."""

    error: str = UNKNOWN
    preview: str = UNKNOWN_PREVIEW
    message: str


class OrderFailedError(RuntimeError):
    """An order that the exchange does not accept. The answer is HTTP 200 all the same."""

    def __init__(self, failure: Failure, details: str = "") -> None:
        super().__init__(failure.preview)
        self.failure = failure
        self.details = details or failure.message


FAILURES: Mapping[Reason, Failure] = {
    Reason.UNKNOWN_ACCOUNT: Failure(
        error="INSUFFICIENT_FUND",
        preview="PREVIEW_INSUFFICIENT_FUND",
        message="Insufficient balance in source account",
    ),
    Reason.UNKNOWN_SYMBOL: Failure(
        error="INVALID_PRODUCT_ID",
        preview="PREVIEW_INVALID_PRODUCT_ID",
        message="Invalid product id",
    ),
    Reason.SYMBOL_HALTED: Failure(
        error="PRODUCT_TRADING_HALTED",
        preview="PREVIEW_PRODUCT_TRADING_HALTED",
        message="Trading of this product is halted",
    ),
    Reason.DUPLICATE_CLIENT_ID: Failure(
        error="DUPLICATE_CLIENT_ORDER_ID", message="An open order has this client_order_id"
    ),
    Reason.BAD_PARAMETERS: Failure(
        error="INVALID_REQUEST",
        preview="PREVIEW_INVALID_ORDER_CONFIG",
        message="Invalid order configuration",
    ),
    Reason.PRICE_RANGE: Failure(
        error="INVALID_LIMIT_PRICE",
        preview="PREVIEW_INVALID_LIMIT_PRICE",
        message="Invalid limit price",
    ),
    Reason.PRICE_TICK: Failure(
        error="INVALID_PRICE_PRECISION",
        preview="PREVIEW_INVALID_PRICE_PRECISION",
        message="Invalid price precision",
    ),
    Reason.PRICE_FAR_FROM_MARKET: Failure(
        error="LIMIT_PRICE_TOO_FAR_FROM_MARKET",
        preview="PREVIEW_LIMIT_PRICE_TOO_FAR_FROM_MARKET",
        message="The limit price is too far from the market",
    ),
    Reason.QUANTITY_RANGE: Failure(
        preview="PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", message="The size is too small"
    ),
    Reason.QUANTITY_STEP: Failure(
        error="INVALID_SIZE_PRECISION",
        preview="PREVIEW_INVALID_SIZE_PRECISION",
        message="Invalid size precision",
    ),
    Reason.MIN_NOTIONAL: Failure(
        preview="PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL", message="The order is worth too little"
    ),
    Reason.TOO_MANY_ORDERS: Failure(
        error="COMMANDER_REJECTED_NEW_ORDER", message="Too many open orders"
    ),
    Reason.TOO_MANY_STOPS: Failure(
        error="COMMANDER_REJECTED_NEW_ORDER", message="Too many open stop orders"
    ),
    Reason.INSUFFICIENT_BALANCE: Failure(
        error="INSUFFICIENT_FUND",
        preview="PREVIEW_INSUFFICIENT_FUND",
        message="Insufficient balance in source account",
    ),
    Reason.WOULD_TAKE: Failure(
        error="INVALID_LIMIT_PRICE_POST_ONLY",
        preview="PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY",
        message="Invalid limit price for post only order",
    ),
    Reason.WOULD_TRIGGER: Failure(
        preview="PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE",
        message="The last trade has already reached the stop price",
    ),
    Reason.OCO_PRICES: Failure(
        error="INVALID_BRACKET_PRICES",
        preview="PREVIEW_INVALID_BRACKET_PRICES",
        message="The last trade must be between limit_price and stop_trigger_price",
    ),
    Reason.NO_LIQUIDITY: Failure(
        error="INVALID_NO_LIQUIDITY",
        preview="PREVIEW_INVALID_NO_LIQUIDITY",
        message="No liquidity",
    ),
    Reason.SELF_TRADE: Failure(
        error="COMMANDER_REJECTED_NEW_ORDER", message="The order would trade with an own order"
    ),
}
"""What each refusal of the engine is called here. `failure_of` knows those that need the order."""

STOP_BEYOND_LIMIT: Mapping[Side, Failure] = {
    Side.SELL: Failure(
        preview="PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE",
        message="The stop price of a sale must not be below its limit price",
    ),
    Side.BUY: Failure(
        preview="PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE",
        message="The stop price of a purchase must not be above its limit price",
    ),
}

_TOO_LARGE = Failure(preview="PREVIEW_INVALID_BASE_SIZE_TOO_LARGE", message="The size is too large")
_STOP_BELOW_LAST = Failure(
    preview="PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE",
    message="The last trade has already reached the stop price",
)
_END_TIME = Failure(
    error="END_TIME_IS_IN_THE_PAST",
    preview="PREVIEW_END_TIME_IS_IN_THE_PAST",
    message="end_time must be in the future",
)


def failure_of(
    refusal: RefusedError, order: NewOrder, instrument: Instrument | None, *, now: int
) -> OrderFailedError:
    """Return the error for an order that the engine refused."""
    failure = FAILURES.get(refusal.reason)
    if failure is None:
        failure = Failure(message=refusal.reason.value)
    match refusal.reason:
        case Reason.QUANTITY_RANGE if instrument is not None and order.quantity is not None:
            if order.quantity > instrument.max_quantity:
                failure = _TOO_LARGE
        case Reason.WOULD_TRIGGER if _rising(order):
            failure = _STOP_BELOW_LAST
        case Reason.BAD_PARAMETERS if order.expires_at is not None and order.expires_at <= now:
            failure = _END_TIME
    return OrderFailedError(failure, refusal.detail)


def _rising(order: NewOrder) -> bool:
    """Whether a rising price triggers the order."""
    return (order.side is Side.BUY) == (order.type is OrderType.STOP_LIMIT)


def error_response(error: OrderFailedError) -> Mapping[str, object]:
    """Return the `error_response` of an order."""
    return {
        "error": error.failure.error,
        "message": error.failure.message,
        "error_details": error.details,
        "preview_failure_reason": error.failure.preview,
        "new_order_failure_reason": error.failure.error,
    }
