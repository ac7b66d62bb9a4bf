"""Requests to the exchange, signed with its real key and stamped with its own clock."""

import json
import logging
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import aiohttp
from tradingbot_exchange.binance.calls import Security
from tradingbot_exchange.binance.framing import KEY_HEADER
from tradingbot_exchange.binance.signing import sign
from yarl import URL

from tradingbot_gateway.answers import Answer, ServerClock, send
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
KEY_CODES = frozenset({-1022, -2008, -2014, -2015})
"""Codes that refuse a key, its signature, its address or its permissions."""


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
        if code_of(answer) == _WRONG_TIME:
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
        return await send(
            self._session,
            method,
            URL(url, encoded=True),
            data=data,
            headers=headers,
            seconds=ANSWER_SECONDS,
            passed=_is_passed,
        )


def code_of(answer: Answer) -> int | None:
    """Return Binance's error code, or None."""
    if answer.succeeded:
        return None
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) else None


def _is_passed(name: str) -> bool:
    """Whether a header, by its lower name, is handed on to the bot."""
    return name in _PASSED or name.startswith(_PASSED_PREFIXES)
