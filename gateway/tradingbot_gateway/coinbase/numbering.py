"""The numbers of a connection's messages: a gap means that something was missed. Pure."""

from collections.abc import Mapping


class GapError(ConnectionError):
    """A message is missing."""


class Numbering:
    """Checks the `sequence_num` of one connection."""

    def __init__(self) -> None:
        self._next: int | None = None

    def check(self, message: Mapping[str, object]) -> None:
        """Take a message. Raises GapError if one before it is missing, or it is an error."""
        if message.get("type") == "error":
            # The text may quote what was sent: a token is in it.
            raise GapError("the exchange refuses a subscription")
        number = message.get("sequence_num")
        if not isinstance(number, int):
            return
        if self._next is not None and number != self._next:
            raise GapError(f"message {self._next} is missing")
        self._next = number + 1
