"""Requests to an exchange, in any dialect: what was answered, or whether it was sent at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from tradingbot_gateway.connection import CONNECT_SECONDS
from tradingbot_gateway.errors import UnreachableError

REFUSED_HEADER = "X-Tradingbot-Refused"
"""The header of a refusal of the gateway; its value names the control."""
NOT_ALLOWED = "NotAllowed"
"""The control of calls that are not on the list."""

_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_LIMITED = frozenset({418, 429})

Wall = Callable[[], int]
"""Returns milliseconds since the epoch."""


class NotSentError(UnreachableError):
    """No connection could be made: the exchange has not seen the request."""


class NoAnswerError(UnreachableError):
    """The request was sent, and no answer came: the exchange may have carried it out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an exchange answered, as it is handed on."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether the request was carried out."""
        return self.status < _CLIENT_ERROR

    @property
    def is_unclear(self) -> bool:
        """Whether the exchange has failed: what became of the request is unknown."""
        return self.status >= _SERVER_ERROR

    @property
    def is_limited(self) -> bool:
        """Whether the exchange refuses requests of this address for a while."""
        return self.status in _LIMITED

    def json(self) -> Any:
        """Return the body. Raises UnreachableError if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise UnreachableError(f"answered {self.status} without JSON") from error

    def with_body(self, body: object) -> "Answer":
        """Return the answer with another body."""
        return Answer(self.status, encode_json(body), self.headers)


class ServerClock:
    """The exchange's time, from the machine's and the difference that was measured last."""

    def __init__(self, wall: Wall) -> None:
        self.wall = wall
        self.offset = 0
        """Milliseconds by which the exchange is ahead."""

    def now(self) -> int:
        """Return the exchange's time in milliseconds."""
        return self.wall() + self.offset

    def measured(self, *, server: int, before: int, after: int) -> None:
        """Take the exchange's time that was read between two times of the machine."""
        self.offset = server - (before + after) // 2


def encode_json(body: object) -> bytes:
    """Return a body as exchanges write theirs: without spaces, in UTF-8.

    Half a surrogate pair, which a bot's JSON may have and UTF-8 may not, becomes a question mark.
    """
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace")


async def send(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    data: bytes | None = None,
    headers: Mapping[str, str],
    seconds: float,
    passed: Callable[[str], bool],
) -> Answer:
    """Send a request, and return the answer with the headers whose lower names are `passed`.

    `seconds`: after them an answer counts as lost. Raises NotSentError, NoAnswerError.
    """
    try:
        async with session.request(
            method,
            url,
            data=data,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
        ) as response:
            body = await response.read()
            kept = {name: value for name, value in response.headers.items() if passed(name.lower())}
            return Answer(response.status, body, kept)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSentError(f"cannot reach the exchange: {_reason(error)}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise NoAnswerError(f"no answer from the exchange: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """Name an error without its text: a URL in it has a signature."""
    number = getattr(error, "os_error", error)
    return getattr(number, "strerror", None) or type(error).__name__
