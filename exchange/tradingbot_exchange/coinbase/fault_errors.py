"""How the errors of faults read at this exchange."""

from aiohttp import web

from tradingbot_exchange.coinbase.errors import ApiError, RateLimitedError
from tradingbot_exchange.coinbase.failures import (
    FAILURES,
    Failure,
    OrderFailedError,
    error_response,
)
from tradingbot_exchange.coinbase.rest import error_answer, json_answer
from tradingbot_exchange.engine.types import Reason

_UNAVAILABLE = 503


class CoinbaseFaultErrors:
    """The error answers of Coinbase."""

    def rate_limited(self, retry_after: int) -> web.Response:
        """Return 429."""
        return error_answer(RateLimitedError(), {"retry-after": str(retry_after)})

    def banned(self, retry_after: int) -> web.Response:
        """Return 429 as well: Coinbase has no 418."""
        return self.rate_limited(retry_after)

    def server_error(self, status: int) -> web.Response:
        """Return the answer of a failing server; 503 comes from a proxy, and looks different."""
        if status == _UNAVAILABLE:
            return json_answer({"message": "Service Unavailable"}, status=status)
        return error_answer(ApiError(status, "INTERNAL", "internal error"))

    def rejected(self, reason: Reason) -> web.Response:
        """Return HTTP 200 with `success: false`."""
        error = OrderFailedError(FAILURES.get(reason) or Failure(message=reason.value))
        return json_answer(
            {
                "success": False,
                "failure_reason": error.failure.error,
                "order_id": "",
                "error_response": error_response(error),
                "order_configuration": {},
            }
        )
