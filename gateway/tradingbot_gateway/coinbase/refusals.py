"""Refusals in Coinbase's own form, so that clients understand them."""

from tradingbot_exchange.coinbase.errors import ApiError
from tradingbot_exchange.coinbase.failures import UNKNOWN_PREVIEW, Failure, OrderFailedError

from tradingbot_gateway.answers import NOT_ALLOWED
from tradingbot_gateway.risk.verdicts import Control

_POSITION = "PREVIEW_BREACHED_ACCOUNT_POSITION_LIMIT"
_PREVIEWS = {
    Control.MAX_POSITION_SIZE: _POSITION,
    Control.MAX_OPEN_POSITIONS: _POSITION,
    Control.PRICE_COLLAR: "PREVIEW_BREACHED_PRICE_LIMIT",
}
"""Names of Coinbase that fit a refusal. No client treats one of them specially."""

LOCKED = Failure(
    error="INSUFFICIENT_FUND",
    preview="PREVIEW_INSUFFICIENT_FUND",
    message="Insufficient balance in source account",
)
"""The exchange's own words for an asset that is locked: clients try again."""

UNKNOWN_PRODUCT = Failure(
    error="INVALID_PRODUCT_ID", preview="PREVIEW_INVALID_PRODUCT_ID", message="Invalid product id"
)

ATTACHED_ORDERS = Failure(
    error="ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT",
    preview="PREVIEW_ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT",
    message="The risk gateway refuses attached orders: it protects each position by itself",
)


class RefusalError(ApiError):
    """A call that is not on the list. `control` names what refused."""

    def __init__(self, what: str, why: str) -> None:
        text = f"The risk gateway refuses {what}: {why}."
        super().__init__(403, "PERMISSION_DENIED", text)
        self.control = NOT_ALLOWED


class OrderRefusedError(OrderFailedError):
    """An order that the gateway refuses. `control` names what refused."""

    def __init__(self, control: str, failure: Failure) -> None:
        super().__init__(failure)
        self.control = control


class UnknownProductError(OrderFailedError):
    """A product that the exchange does not trade, or not on spot."""

    def __init__(self) -> None:
        super().__init__(UNKNOWN_PRODUCT)


def refused(control: Control, message: str) -> OrderRefusedError:
    """Return the refusal of an order: clients read it as the exchange's own."""
    preview = _PREVIEWS.get(control, UNKNOWN_PREVIEW)
    return OrderRefusedError(control.value, Failure(preview=preview, message=message))
