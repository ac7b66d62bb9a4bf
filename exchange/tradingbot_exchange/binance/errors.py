"""Errors as Binance writes them: `{"code": -1121, "msg": "Invalid symbol."}` and an HTTP status.

Texts and codes are those of Binance's error table (errors.md, 2026-07-21). Clients choose their
exceptions by them, some by the exact text, so they are changed in this file only.
"""

from collections.abc import Mapping
from enum import StrEnum

from tradingbot_exchange.engine.types import Reason, RefusedError


class UnusableKeyError(ValueError):
    """Raised for a PEM that is neither an Ed25519 nor an RSA key of the expected half."""


class ApiError(RuntimeError):
    """An answer that is not a success. `data` is added to its body.

    `retry_after` is in seconds, and only with the statuses 418 and 429.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = 400,
        data: Mapping[str, object] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.data = data
        self.retry_after = retry_after

    def body(self) -> dict[str, object]:
        """Return the body of the answer."""
        body: dict[str, object] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def missing(name: str) -> ApiError:
    """Return the error for a mandatory parameter that is not there."""
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return ApiError(-1102, text)


def one_of_missing(first: str, second: str) -> ApiError:
    """Return the error for two parameters of which one is mandatory."""
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def too_great(name: str, limit: int) -> ApiError:
    """Return the error for a value above the documented limit."""
    return ApiError(-1102, f"'{name}' contains unexpected value. Cannot be greater than {limit}.")


def illegal(name: str, legal: str) -> ApiError:
    """Return the error for a value that does not match the pattern of its parameter."""
    text = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    return ApiError(-1100, text)


def empty(name: str) -> ApiError:
    """Return the error for a parameter without a value."""
    return ApiError(-1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> ApiError:
    """Return the error for a parameter that this combination does not take."""
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def overflowed(name: str) -> ApiError:
    """Return the error for an integer that does not fit into 64 bits."""
    return ApiError(-1108, f"Parameter '{name}' overflowed.")


def too_precise(name: str) -> ApiError:
    """Return the error for more decimal places than an asset has."""
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def invalid(name: str) -> ApiError:
    """Return the error for a value that is well formed and not one of the supported ones."""
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def too_many(sent: int) -> ApiError:
    """Return the error for parameters of a call that has none."""
    return ApiError(-1101, f"Too many parameters; expected '0' and received '{sent}'.")


def unread(*, read: int, sent: int) -> ApiError:
    """Return the error for parameters that the call does not have."""
    text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
    return ApiError(-1104, text)


def duplicated() -> ApiError:
    """Return the error for a parameter that is sent twice in one place."""
    return ApiError(-1101, "Duplicate values for a parameter detected.")


def conflicting(first: str, second: str) -> ApiError:
    """Return the error for two parameters that exclude each other."""
    return ApiError(-1128, f"Conflicting fields: ['{first}','{second}']")


def bad_symbol() -> ApiError:
    """Return the error for a symbol that is not traded here."""
    return ApiError(-1121, "Invalid symbol.")


def bad_signature() -> ApiError:
    """Return the error for a signature that does not match the request."""
    return ApiError(-1022, "Signature for this request is not valid.")


def too_early() -> ApiError:
    """Return the error for a timestamp from the future."""
    text = "Timestamp for this request was 1000ms ahead of the server's time."
    return ApiError(-1021, text)


def too_late() -> ApiError:
    """Return the error for a timestamp that is older than its recvWindow."""
    return ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def bad_key_format() -> ApiError:
    """Return the error for an API key that is missing or cannot be one."""
    return ApiError(-2014, "API-key format invalid.", status=401)


def rejected_key() -> ApiError:
    """Return the error for an API key that is unknown, or may not do this."""
    text = "Invalid API-key, IP, or permissions for action."
    return ApiError(-2015, text, status=401)


def not_supported() -> ApiError:
    """Return the error for a call that Binance has and this exchange does not."""
    return ApiError(-1020, "This operation is not supported.")


def rejected(message: str) -> ApiError:
    """Return the matching engine's refusal of a new order."""
    return ApiError(-2010, message)


def unknown_order() -> ApiError:
    """Return the error for a query of an order that does not exist."""
    return ApiError(-2013, "Order does not exist.")


def unknown_cancel() -> ApiError:
    """Return the error for a cancel of an order that is not open."""
    return ApiError(-2011, "Unknown order sent.")


class Expiry(StrEnum):
    """Why an order expired, as `expiryReason` and in events as `eR`."""

    REJECTED = "REJECTED"
    EXCHANGE_CANCELED = "EXCHANGE_CANCELED"
    OCO_TRIGGER = "OCO_TRIGGER"
    UNFILLED_IOC_QUANTITY_EXPIRED = "UNFILLED_IOC_QUANTITY_EXPIRED"
    UNFILLED_FOK_ORDER_EXPIRED = "UNFILLED_FOK_ORDER_EXPIRED"
    INSUFFICIENT_LIQUIDITY = "INSUFFICIENT_LIQUIDITY"


_FILTER = "Filter failure: "

REFUSALS: Mapping[Reason, tuple[int, str]] = {
    Reason.UNKNOWN_ACCOUNT: (-2010, "This account may not place or cancel orders."),
    Reason.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Reason.SYMBOL_HALTED: (-2010, "Market is closed."),
    Reason.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    Reason.DUPLICATE_CLIENT_ID: (-2010, "Duplicate order sent."),
    Reason.BAD_PARAMETERS: (-1014, "Unsupported order combination."),
    Reason.PRICE_RANGE: (-1013, _FILTER + "PRICE_FILTER"),
    Reason.PRICE_TICK: (-1013, _FILTER + "PRICE_FILTER"),
    Reason.PRICE_FAR_FROM_MARKET: (-1013, _FILTER + "PERCENT_PRICE_BY_SIDE"),
    Reason.QUANTITY_RANGE: (-1013, _FILTER + "LOT_SIZE"),
    Reason.QUANTITY_STEP: (-1013, _FILTER + "LOT_SIZE"),
    Reason.MIN_NOTIONAL: (-1013, _FILTER + "NOTIONAL"),
    Reason.TOO_MANY_ORDERS: (-1013, _FILTER + "MAX_NUM_ORDERS"),
    Reason.TOO_MANY_STOPS: (-1013, _FILTER + "MAX_NUM_ALGO_ORDERS"),
    Reason.INSUFFICIENT_BALANCE: (
        -2010,
        "Account has insufficient balance for requested action.",
    ),
    Reason.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Reason.WOULD_TRIGGER: (-2010, "Order would trigger immediately."),
    Reason.OCO_PRICES: (-2010, "The relationship of the prices for the orders is not correct."),
    Reason.NO_LIQUIDITY: (-2010, "Order book liquidity is less than symbol minimum quantity."),
}
"""The engine's refusals of new orders and cancels, as code and text. All are HTTP 400."""

EXPIRIES: Mapping[Reason, Expiry] = {
    Reason.NO_LIQUIDITY: Expiry.INSUFFICIENT_LIQUIDITY,
    Reason.UNFILLED_IOC: Expiry.UNFILLED_IOC_QUANTITY_EXPIRED,
    Reason.UNFILLED_FOK: Expiry.UNFILLED_FOK_ORDER_EXPIRED,
    Reason.OCO_TRIGGERED: Expiry.OCO_TRIGGER,
    Reason.REACHED_END_TIME: Expiry.EXCHANGE_CANCELED,
    Reason.INSUFFICIENT_BALANCE: Expiry.REJECTED,
    Reason.WOULD_TAKE: Expiry.REJECTED,
}
"""Reasons for which an accepted order expires."""

FILTERS = frozenset(reason for reason, (code, _) in REFUSALS.items() if code == -1013)  # noqa: PLR2004
"""Refusals that Binance decides before a request reaches its matching engine."""


def refusal(error: RefusedError) -> ApiError:
    """Return what Binance would answer to a request that the engine refuses."""
    code, message = REFUSALS.get(error.reason, (-1000, "An unknown error occurred."))
    return ApiError(code, message)
