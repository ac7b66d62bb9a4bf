"""Requests to the exchange, signed with its real key and stamped with its own clock."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from tradingbot_exchange.binance.calls import Security
from tradingbot_exchange.binance.framing import KEY_HEADER
from tradingbot_exchange.binance.signing import sign
from yarl import URL

from tradingbot_gateway.credentials import Credentials
from tradingbot_gateway.errors import UnreachableError

log = logging.getLogger(__name__)

ANSWER_SECONDS = 15.0
"""Binance's backend gives up after 10 s; an answer that is later is lost."""

DEFAULT_WINDOW = "5000"
"""recvWindow of requests that the gateway signs, in milliseconds."""

_PASSED = ("content-type", "retry-after")
_PASSED_PREFIXES = ("x-mbx-", "x-sapi-", "x-tradingbot-simulated")
_WRONG_TIME = -1021
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
        except ValueError as error:
            raise UnreachableError(f"answered {self.status} without JSON") from error

    def code(self) -> int | None:
        """Return Binance's error code, or None."""
        if self.succeeded:
            return None
        try:
            body = json.loads(self.body)
        except ValueError:
            return None
        code = body.get("code") if isinstance(body, dict) else None
        return code if isinstance(code, int) else None


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


def encode(parameters: Mapping[str, str]) -> str:
    """Return parameters as a query, percent-encoded as they must be signed."""
    return urlencode(parameters, quote_via=quote, safe="")


class Upstream:
    """One exchange and one account of it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        rest: str,
        credentials: Credentials,
        clock: ServerClock,
    ) -> None:
        self._session = session
        self._rest = rest
        self._credentials = credentials
        self.clock = clock

    async def synchronise(self) -> None:
        """Measure the difference of the clocks. Raises UnreachableError."""
        before = self.clock.wall()
        answer = await self.public("GET", "/api/v3/time")
        after = self.clock.wall()
        if not answer.succeeded:
            raise UnreachableError(f"the exchange's time: answered {answer.status}")
        self.clock.measured(server=int(answer.json()["serverTime"]), before=before, after=after)

    async def public(self, method: str, path: str, query: str = "") -> Answer:
        """Send a request without a key. Raises NotSentError, NoAnswerError."""
        return await self._send(method, path, query, {})

    async def call(
        self, method: str, path: str, parameters: Mapping[str, str], security: Security
    ) -> Answer:
        """Send a request of the account. Raises NotSentError, NoAnswerError.

        `parameters` have no timestamp and no signature. A request that is refused for its time is
        repeated once, with a clock that is measured again.
        """
        answer = await self._call(method, path, parameters, security)
        if answer.code() == _WRONG_TIME:
            await self.synchronise()
            answer = await self._call(method, path, parameters, security)
        return answer

    async def _call(
        self, method: str, path: str, parameters: Mapping[str, str], security: Security
    ) -> Answer:
        headers = {KEY_HEADER: self._credentials.key}
        query = self.signed(parameters) if security.signed else encode(parameters)
        return await self._send(method, path, query, headers)

    def signed(self, parameters: Mapping[str, str]) -> str:
        """Return a signed query."""
        stamped = {
            "recvWindow": DEFAULT_WINDOW,
            **parameters,
            "timestamp": str(self.clock.now()),
        }
        query = encode(stamped)
        signature = sign(self._credentials.secret, query.encode())
        return f"{query}&signature={quote(signature, safe='')}"

    async def _send(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        url = f"{self._rest}{path}"
        data: bytes | None = None
        if method == "POST":
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
            data = query.encode()
        elif query:
            url = f"{url}?{query}"
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=5.0),
            ) as response:
                body = await response.read()
                return Answer(response.status, body, _passed(response.headers))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSentError(f"cannot reach the exchange: {_reason(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswerError(f"no answer from the exchange: {_reason(error)}") from error


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name.lower() in _PASSED or name.lower().startswith(_PASSED_PREFIXES)
    }


def _reason(error: BaseException) -> str:
    """Name an error without its text: a URL in it has a signature."""
    number = getattr(error, "os_error", error)
    return getattr(number, "strerror", None) or type(error).__name__
