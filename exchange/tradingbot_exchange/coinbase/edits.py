"""Changes of open orders: what may be changed, and what a refusal is called."""

from collections.abc import Mapping
from decimal import Decimal

from tradingbot_exchange.coinbase.engine_orders import form_of
from tradingbot_exchange.coinbase.failures import UNKNOWN_PREVIEW
from tradingbot_exchange.coinbase.order_requests import EditRequest
from tradingbot_exchange.coinbase.order_views import OrderView
from tradingbot_exchange.engine.types import Reason


class EditFailedError(RuntimeError):
    """A change that the exchange does not accept. The answer is HTTP 200 all the same."""

    def __init__(self, reason: str, details: str, *, preview: str = UNKNOWN_PREVIEW) -> None:
        super().__init__(f"{reason}: {details}")
        self.reason = reason
        self.details = details
        self.preview = preview


EDIT_FAILURES: Mapping[Reason, str] = {
    Reason.UNKNOWN_ORDER: "ONLY_OPEN_ORDERS_CAN_BE_EDITED",
    Reason.PRICE_RANGE: "INVALID_EDITED_PRICE",
    Reason.PRICE_TICK: "INVALID_EDITED_PRICE",
    Reason.PRICE_FAR_FROM_MARKET: "INVALID_EDITED_PRICE",
    Reason.WOULD_TAKE: "INVALID_EDITED_PRICE",
    Reason.QUANTITY_RANGE: "INVALID_EDITED_SIZE",
    Reason.QUANTITY_STEP: "INVALID_EDITED_SIZE",
    Reason.MIN_NOTIONAL: "INVALID_EDITED_SIZE",
}
"""What a refusal of the engine is called for an edit. Others: COMMANDER_REJECTED_EDIT_ORDER."""


def edit_terms(view: OrderView, wanted: EditRequest) -> tuple[Decimal, Decimal]:
    """Return the new price and the new size, fills included. Raises EditFailedError."""
    if not view.open:
        raise EditFailedError("ONLY_OPEN_ORDERS_CAN_BE_EDITED", "the order is not open")
    if form_of(view.limit) != "limit_limit_gtc":
        raise EditFailedError(
            "ONLY_LIMIT_ORDER_EDITS_SUPPORTED", "only limit orders without an end can be edited"
        )
    price = view.limit.request.price or Decimal(0)
    new_price, new_size = wanted.price or price, wanted.size or view.size
    if (new_price, new_size) == (price, view.size):
        raise EditFailedError("EDIT_REQUEST_EQUAL_TO_ORIGINAL_REQUEST", "nothing would change")
    if new_size <= view.filled:
        raise EditFailedError(
            "CANNOT_EDIT_TO_BELOW_FILLED_SIZE", "more than the new size is filled already"
        )
    return new_price, new_size
