"""Calls of an exchange's own API through ccxt, which signs them, paces them and knows the errors.

Requests and answers are the exchange's own, so that numbers stay the text that the exchange sent
and never become floats. ccxt itself is imported where a client is made, and nowhere else.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tradingbot_strategies.exchange import NotAcceptedError, UnavailableError, UnknownOutcomeError

REFUSALS = frozenset(
    {
        "AuthenticationError",
        "BadRequest",
        "DDoSProtection",
        "InsufficientFunds",
        "InvalidNonce",
        "InvalidOrder",
        "OperationRejected",
    }
)
"""Classes of ccxt, with their subclasses, that say that nothing was done. After any other error an
order may exist."""

_REFUSAL_OF_COINBASE = re.compile(r'"success"\s*:\s*false')
_MAX_TEXT = 300


class Calls:
    """One client of ccxt. `client` has a method for each call of the exchange's API."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def read(self, name: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return an answer. Raises UnavailableError, or NotAcceptedError if it was refused."""
        try:
            return await getattr(self._client, name)(dict(parameters or {}))
        except Exception as error:
            if not _is_of_ccxt(error):
                raise
            if _is_refusal(error):
                raise NotAcceptedError(text_of(error)) from None
            raise UnavailableError(text_of(error)) from None

    async def write(self, name: str, parameters: Mapping[str, Any]) -> Any:
        """Return an answer. Raises NotAcceptedError or UnknownOutcomeError."""
        try:
            return await getattr(self._client, name)(dict(parameters))
        except Exception as error:
            if not _is_of_ccxt(error):
                raise
            if _is_refusal(error):
                raise NotAcceptedError(text_of(error)) from None
            raise UnknownOutcomeError(text_of(error)) from None

    async def correct_clock(self) -> None:
        """Learn how far the exchange's clock is from this one, for the time in signed requests."""
        try:
            await self._client.load_time_difference()
        except Exception as error:
            if not _is_of_ccxt(error):
                raise
            raise UnavailableError(text_of(error)) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def number(text: Any) -> Decimal:
    """Return a number of an answer, without the zeros at its end."""
    digits = str(text)
    return Decimal(digits.rstrip("0").rstrip(".") if "." in digits else digits)


def optional(text: Any) -> Decimal | None:
    """Return a price of an answer, None for an absent one, which exchanges write as 0 or ""."""
    if text in (None, ""):
        return None
    value = number(text)
    return value or None


def plain(value: Decimal) -> str:
    """Return a number as requests have it: no exponent."""
    return f"{value:f}"


def text_of(error: Exception) -> str:
    """Return an error's text without queries of URLs, in which keys and signatures may be."""
    text = re.sub(r"\?\S*", "", str(error))
    return f"{type(error).__name__}: {text[:_MAX_TEXT]}"


def _is_of_ccxt(error: Exception) -> bool:
    return any(base.__name__ == "BaseError" for base in type(error).__mro__)


def _is_refusal(error: Exception) -> bool:
    names = {base.__name__ for base in type(error).__mro__}
    return bool(names & REFUSALS) or _REFUSAL_OF_COINBASE.search(str(error)) is not None
