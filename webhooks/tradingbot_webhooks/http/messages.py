"""The messages between a connection and an application: heads of requests, and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"

_OK: Final = HTTPStatus.OK.value  # see `request_reader` for the reason
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
_JSON_HEAD = _STATUS_LINES[_OK] + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


@dataclass(slots=True)
class Head:
    """A request without its body. Header names are in lower case; the last of equal ones holds."""

    method: bytes
    path: str
    headers: Mapping[bytes, bytes]


@dataclass(slots=True)
class Answer:
    """A complete answer. `close` ends the connection after the answer."""

    code: int
    body: bytes
    media_type: bytes = TEXT
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False

    def encoded(self, *, close: bool, without_body: bool = False) -> bytes:
        """Return the answer as bytes, in one piece: two writes would be two TLS records."""
        body = self.body
        if self.code == _OK and self.media_type is JSON and not close:
            return _JSON_HEAD % (len(body), body)
        lines = [
            _STATUS_LINES[self.code],
            b"content-type: %b\r\ncontent-length: %d\r\n" % (self.media_type, len(body)),
            *(b"%b: %b\r\n" % header for header in self.headers),
            b"connection: close\r\n" if close else b"",
            b"\r\n",
            b"" if without_body else body,
        ]
        return b"".join(lines)


def refusal(code: int, text: str = "", *headers: tuple[bytes, bytes]) -> Answer:
    """Return an HTTP error in plain text.

    It closes the connection: the rest of a refused request is not read.
    """
    text = text or HTTPStatus(code).phrase.lower()
    return Answer(code, f"{text}\n".encode(), headers=headers, close=True)


class Application(Protocol):
    """The application that answers the requests of a server."""

    def refusal(self, head: Head) -> Answer | None:
        """Return the error for a request that is refused before its body is read, else None."""

    def answer(self, head: Head, body: bytes, *, since: float) -> Answer | Awaitable[Answer]:
        """Return the answer, or an awaitable of it, to a request that was complete at `since`.

        `since` is a time of `time.perf_counter`.
        """

    def refused(self, code: int) -> None:
        """Count an HTTP error that is sent to a client."""
