"""Refusals in Binance's own form, so that clients understand them."""

from tradingbot_exchange.binance.errors import ApiError

from tradingbot_gateway.answers import NOT_ALLOWED

_REJECTED, _NOT_SUPPORTED = -2010, -1020


class RefusalError(ApiError):
    """An answer of the gateway, not of the exchange. `control` names what refused."""

    def __init__(
        self,
        control: str,
        code: int,
        message: str,
        *,
        status: int = 400,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code, message, status=status, retry_after=retry_after)
        self.control = control


def refused(control: str, message: str) -> RefusalError:
    """Return the refusal of an order: clients read it as the exchange's own."""
    return RefusalError(control, _REJECTED, message)


def not_allowed(what: str) -> RefusalError:
    """Return the refusal of a call that is not on the list."""
    text = f"The risk gateway refuses {what}: it is not on its list of calls."
    return RefusalError(NOT_ALLOWED, _NOT_SUPPORTED, text)
