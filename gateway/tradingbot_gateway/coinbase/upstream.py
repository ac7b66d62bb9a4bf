"""Requests to Coinbase, signed with its real key."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.json_web_tokens import PrivateKey
from tradingbot_exchange.coinbase.signing import UnusableKeyError, bearer_token, load_private_key
from yarl import URL

from tradingbot_gateway.answers import Answer, ServerClock, send
from tradingbot_gateway.coinbase.addresses import Addresses
from tradingbot_gateway.credentials import Credentials
from tradingbot_gateway.errors import CredentialsError, UnreachableError

ANSWER_SECONDS = 15.0
"""An answer that is later is lost."""

_TOKEN_SECONDS = 5
"""How long a request of the gateway can arrive: a sent order is unknown for 10 s at most."""

_PASSED = ("content-type", "retry-after", "x-tradingbot-simulated")
_PASSED_PREFIX = "x-ratelimit-"
_UNAUTHORIZED = 401
_CLOCK_ERROR_MS = 1_000
"""A difference of the clocks that may be why a token was refused."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The exchange's key."""

    name: str
    key: PrivateKey = field(repr=False)

    @classmethod
    def of(cls, credentials: Credentials) -> "Signer":
        """Return the signer with a key. Raises CredentialsError."""
        try:
            # A variable of the environment may have its line ends written as two characters.
            secret = credentials.secret.replace("\\n", "\n")
            return cls(credentials.key, load_private_key(secret))
        except UnusableKeyError as error:
            raise CredentialsError(f"the exchange's API secret can't be used: {error}") from None

    def token(self, uri: str | None, now_s: int) -> str:
        """Return a token for a request, or for a subscription if `uri` is None."""
        return bearer_token(
            self.name,
            self.key,
            uri=uri,
            now_s=now_s,
            nonce=secrets.token_hex(16),
            lifetime_s=_TOKEN_SECONDS,
        )


class Upstream:
    """One exchange, and one account of it if there is a signer."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        where: Addresses,
        signer: Signer | None,
        clock: ServerClock,
    ) -> None:
        self._session = session
        self._where = where
        self._signer = signer
        self.clock = clock

    async def synchronise(self) -> None:
        """Measure the difference of the clocks. Raises UnreachableError."""
        before = self.clock.wall()
        answer = await self.public("GET", f"{V3}/time")
        after = self.clock.wall()
        if not answer.succeeded:
            raise UnreachableError(f"the exchange's time: answered {answer.status}")
        try:
            server = int(answer.json()["epochMillis"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnreachableError("the exchange's time is not as documented") from error
        self.clock.measured(server=server, before=before, after=after)

    async def public(self, method: str, path: str, query: str = "") -> Answer:
        """Send a request without a key. Raises NotSentError, NoAnswerError."""
        return await self._send(method, path, query, None, {})

    async def call(
        self,
        method: str,
        path: str,
        query: str = "",
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        """Send a request of the account. Raises NotSentError, NoAnswerError.

        A request whose token is refused is repeated once if the clocks turn out to differ.
        """
        answer = await self._call(method, path, query, body)
        if answer.status == _UNAUTHORIZED:
            offset = self.clock.offset
            await self.synchronise()
            if abs(self.clock.offset - offset) > _CLOCK_ERROR_MS:
                answer = await self._call(method, path, query, body)
        return answer

    def token(self) -> str:
        """Return a token for a subscription."""
        return self._signed(None)

    async def _call(
        self, method: str, path: str, query: str, body: Mapping[str, object] | None
    ) -> Answer:
        token = self._signed(f"{method} {self._where.host}{path}")
        return await self._send(method, path, query, body, {"Authorization": f"Bearer {token}"})

    def _signed(self, uri: str | None) -> str:
        if self._signer is None:
            raise TypeError("there is no key for the account")
        return self._signer.token(uri, self.clock.now() // 1000)

    async def _send(
        self,
        method: str,
        path: str,
        query: str,
        body: Mapping[str, object] | None,
        headers: Mapping[str, str],
    ) -> Answer:
        url = self._where.rest + path + (f"?{query}" if query else "")
        data: bytes | None = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).encode()
            headers = {**headers, "Content-Type": "application/json"}
        return await send(
            self._session,
            method,
            URL(url, encoded=True),
            data=data,
            headers=headers,
            seconds=ANSWER_SECONDS,
            passed=_is_passed,
        )


def _is_passed(name: str) -> bool:
    """Whether a header, by its lower name, is handed on to the bot."""
    return name in _PASSED or name.startswith(_PASSED_PREFIX)
