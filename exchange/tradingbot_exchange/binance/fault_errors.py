"""The errors that faults answer with, over REST and in the WebSocket API."""

from aiohttp import web

from tradingbot_exchange.binance.errors import ApiError, refusal
from tradingbot_exchange.binance.rest import error_response
from tradingbot_exchange.engine.types import Reason, RefusedError
from tradingbot_exchange.faults.model import Ban, Fault, RateLimit, Reject, ServerError

_SERVER_ERRORS = {
    500: (-1001, "Internal error; unable to process your request. Please try again."),
    503: (
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    ),
    504: (
        -1007,
        (
            "Timeout waiting for response from backend server. "
            "Send status unknown; execution status unknown."
        ),
    ),
}
_UNKNOWN = (-1000, "An unknown error occurred while processing the request.")


def error_of(fault: Fault) -> ApiError | None:
    """Return the error that a fault answers with, None if it answers with none of its own."""
    match fault:
        case Reject():
            return refusal(RefusedError(fault.reason))
        case ServerError():
            return ApiError(*_SERVER_ERRORS.get(fault.status, _UNKNOWN), status=fault.status)
        case RateLimit():
            return _rate_limited(fault.retry_after)
        case Ban():
            return _banned(fault.retry_after)
    return None


def _rate_limited(retry_after: int) -> ApiError:
    text = "Too much request weight used; please use WebSocket Streams for live updates."
    return ApiError(-1003, text, status=429, retry_after=retry_after)


def _banned(retry_after: int) -> ApiError:
    text = "Way too much request weight used; IP banned. Please use WebSocket Streams."
    return ApiError(-1003, text, status=418, retry_after=retry_after)


class BinanceFaultErrors:
    """The errors of faults over REST."""

    def rate_limited(self, retry_after: int) -> web.Response:
        """Return 429 with -1003."""
        return error_response(_rate_limited(retry_after))

    def banned(self, retry_after: int) -> web.Response:
        """Return 418 with -1003."""
        return error_response(_banned(retry_after))

    def server_error(self, status: int) -> web.Response:
        """Return the body that Binance sends with the status, none if it is a front end's."""
        if status not in _SERVER_ERRORS:
            return web.Response(status=status)
        return error_response(ApiError(*_SERVER_ERRORS[status], status=status))

    def rejected(self, reason: Reason) -> web.Response:
        """Return what an order is answered that the engine refuses."""
        return error_response(refusal(RefusedError(reason)))
