"""How a dialect words the errors of faults.

`application(venue)` of a dialect sets `app[FAULT_ERRORS]`. The middleware of this package decides
when an error is due; the dialect decides what it looks like.
"""

from typing import Protocol

from aiohttp import web

from tradingbot_exchange.engine.types import Reason


class FaultErrors(Protocol):
    """The error answers of one exchange."""

    def rate_limited(self, retry_after: int) -> web.Response:
        """Return the answer to one request too many (HTTP 429). `retry_after` is in seconds."""

    def banned(self, retry_after: int) -> web.Response:
        """Return the answer to a client that went on after 429 (HTTP 418 at Binance)."""

    def server_error(self, status: int) -> web.Response:
        """Return the answer of a failing server, with the HTTP `status` 500 to 599."""

    def rejected(self, reason: Reason) -> web.Response:
        """Return the answer to an order that the engine refused for `reason`."""


class PlainErrors:
    """Errors as plain JSON, for a dialect without errors of its own."""

    def rate_limited(self, retry_after: int) -> web.Response:
        """Return 429."""
        return _answer(429, "too many requests", retry_after)

    def banned(self, retry_after: int) -> web.Response:
        """Return 418."""
        return _answer(418, "banned", retry_after)

    def server_error(self, status: int) -> web.Response:
        """Return `status`."""
        return _answer(status, "server error")

    def rejected(self, reason: Reason) -> web.Response:
        """Return 400."""
        return _answer(400, reason.value)


def _answer(status: int, error: str, retry_after: int | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response({"error": error}, status=status, headers=headers)


FAULT_ERRORS: web.AppKey[FaultErrors] = web.AppKey("fault_errors", FaultErrors)
