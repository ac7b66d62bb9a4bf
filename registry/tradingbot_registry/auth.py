"""Who may call: what every answer to that question must offer, and the simplest one."""

from typing import Protocol


class Gate(Protocol):
    """Decides whether a request may be served."""

    def admit(self, authorization: str | None, verbs: tuple[str, ...]) -> str:
        """The caller's name. Raises UnauthenticatedError, ForbiddenError or UnavailableError."""
        ...


class OpenGate:
    """Lets everybody in: for a server that only this machine can reach."""

    def admit(self, authorization: str | None, verbs: tuple[str, ...]) -> str:  # noqa: ARG002
        """Nobody is asked who they are."""
        return "anonymous"
