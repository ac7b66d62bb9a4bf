"""Errors that end a call with an HTTP status of its own, in the exchange's form."""

import json
from collections.abc import Mapping


def compact(value: Mapping[str, object]) -> str:
    """Return JSON without spaces.

    The exchange's own client searches errors for `"error_details":"Missing required scopes"`.
    """
    return _encode(value)


_encode = json.JSONEncoder(separators=(",", ":")).encode


class ApiError(RuntimeError):
    """A call that fails with an HTTP status and a JSON body `{error, error_details, message}`."""

    def __init__(self, status: int, error: str, details: str) -> None:
        super().__init__(f"{status} {error}: {details}")
        self.status = status
        self.error = error
        self.details = details

    content_type = "application/json"

    def body(self) -> str:
        """Return the body of the answer."""
        return compact(
            {"error": self.error, "error_details": self.details, "message": self.details}
        )


class InvalidArgumentError(ApiError):
    """A parameter or a body that the exchange can't read."""

    def __init__(self, details: str) -> None:
        super().__init__(400, "INVALID_ARGUMENT", details)


class NotFoundError(ApiError):
    """Something that does not exist: an order, a product, an account, a path."""

    def __init__(self, details: str) -> None:
        super().__init__(404, "NOT_FOUND", details)


class PermissionDeniedError(ApiError):
    """A key without the permission that the call needs."""

    def __init__(self) -> None:
        super().__init__(403, "PERMISSION_DENIED", "Missing required scopes")


class RateLimitedError(ApiError):
    """One request too many in this second."""

    def __init__(self) -> None:
        super().__init__(429, "rate_limit_exceeded", "Too many requests")


class UnauthorizedError(ApiError):
    """A missing or wrong signature. The answer does not contain `reason`."""

    content_type = "text/plain"

    def __init__(self, reason: str) -> None:
        super().__init__(401, "unauthorized", reason)

    def body(self) -> str:
        """Return the exchange's answer, which has no details."""
        return "Unauthorized\n"


class LegacyAuthenticationError(UnauthorizedError):
    """A wrong CB-ACCESS signature. The answer contains the reason."""

    content_type = "application/json"

    def body(self) -> str:
        """Return the body of the answer."""
        return compact({"errors": [{"id": "authentication_error", "message": self.details}]})
