"""The interface of authorization, and the implementation without any."""

from collections.abc import Callable, Sequence
from typing import Protocol

FORWARDED_AUTHORIZATION = "X-Tradingbot-Authorization"
"""Header for a token that came through the API server's service proxy.

The API server uses `Authorization` to authenticate the caller to itself, and removes it.
"""


def authorization(header: Callable[[str], str | None]) -> str | None:
    """Return what a caller identifies itself with, from the headers of a request."""
    return header("Authorization") or header(FORWARDED_AUTHORIZATION)


class Gate(Protocol):
    """Decides whether a request may be served."""

    def admit(
        self, authorization: str | None, verbs: tuple[str, ...], namespaces: Sequence[str] = ()
    ) -> str:
        """Return the name of a caller who may use the verbs: in all namespaces, or in these.

        Raises UnauthenticatedError, ForbiddenError or UnavailableError.
        """
        ...


class OpenGate:
    """Admits every caller: for a server that only this machine can reach."""

    def admit(
        self,
        authorization: str | None,  # noqa: ARG002
        verbs: tuple[str, ...],  # noqa: ARG002
        namespaces: Sequence[str] = (),  # noqa: ARG002
    ) -> str:
        """Return a name for the log."""
        return "anonymous"
