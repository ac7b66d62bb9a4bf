"""The interface of authorization, and the implementation without any."""

from typing import Protocol


class Gate(Protocol):
    """Decides whether a request may be served."""

    def admit(self, authorization: str | None, verbs: tuple[str, ...]) -> str:
        """Return the caller's name.

        Raises UnauthenticatedError, ForbiddenError or UnavailableError.
        """
        ...


class OpenGate:
    """Admits every caller: for a server that only this machine can reach."""

    def admit(self, authorization: str | None, verbs: tuple[str, ...]) -> str:  # noqa: ARG002
        """Return a name for the log."""
        return "anonymous"
