"""A simulated Binance on a real socket, in a thread, with a clock that the test moves."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tradingbot_exchange.assembly import Choices, simulated_venue
from tradingbot_exchange.binance.app import application
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.signing import sign
from tradingbot_exchange.binance.spot import Settings
from tradingbot_exchange.faults.requests import REQUEST_FAULTS, RequestFaults
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.simulated import SimulatedVenue
from tradingbot_exchange.venue import ApiKey

START = 1_800_000_000_000
"""2027-01-15T08:00:00Z, the first moment of a test."""

ACCOUNT = "alice"
_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ED25519_SECRET = _PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ED25519_PUBLIC = (
    _PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
)


@dataclass(frozen=True)
class Credentials:
    """What a client has of a key."""

    name: str
    secret: str


HMAC = Credentials("key-hmac", "secret-of-alice")
ED25519 = Credentials("key-ed25519", ED25519_SECRET)
READ_ONLY = Credentials("key-read-only", "secret-to-read")
OTHER = Credentials("key-of-bob", "secret-of-bob")

KEYS = (
    ApiKey(name=HMAC.name, account=ACCOUNT, secret=HMAC.secret),
    ApiKey(name=ED25519.name, account=ACCOUNT, secret=ED25519_PUBLIC),
    ApiKey(
        name=READ_ONLY.name,
        account=ACCOUNT,
        secret=READ_ONLY.secret,
        permissions=frozenset({"read"}),
    ),
    ApiKey(name=OTHER.name, account="bob", secret=OTHER.secret),
)


class FakeClock:
    """The real time, as the exchange sees it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@dataclass
class Answer:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> tuple[int, int, str]:
        """Status, code and text."""
        body = self.json
        return self.status, body["code"], body["msg"]


@dataclass
class Server:
    """A running exchange."""

    venue: SimulatedVenue
    clock: FakeClock
    port: int
    loop: asyncio.AbstractEventLoop = field(repr=False)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: str | bytes = "",
        key: str | None = None,
    ) -> Answer:
        """Send a request exactly as it is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        data = body.encode() if isinstance(body, str) else body
        connection.putrequest(method, path + (f"?{query}" if query else ""))
        if key is not None:
            connection.putheader("X-MBX-APIKEY", key)
        if data:
            connection.putheader("Content-Type", "application/x-www-form-urlencoded")
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data or None)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.headers), response.read().decode())
        connection.close()
        return answer

    def get(self, path: str, **parameters: object) -> Answer:
        """Send a public request."""
        return self.send("GET", path, query=urlencode(parameters))

    def signed(
        self, method: str, path: str, *, by: Credentials = HMAC, **parameters: object
    ) -> Answer:
        """Send a signed request with everything in the query."""
        query = self.signed_query(by, parameters)
        return self.send(method, path, query=query, key=by.name)

    def signed_query(self, by: Credentials, parameters: Mapping[str, object]) -> str:
        query = urlencode({**parameters, "timestamp": self.clock.now})
        return f"{query}&signature={quote(sign(by.secret, query.encode()), safe='')}"

    def order(self, *, by: Credentials = HMAC, **changes: object) -> Answer:
        """Place an order: by default a limit order far below the market."""
        parameters: dict[str, object] = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
            "price": "50000",
        }
        parameters |= changes
        sent = {name: value for name, value in parameters.items() if value is not None}
        return self.signed("POST", "/api/v3/order", by=by, **sent)

    def on_loop(self, call: Any) -> Any:
        """Call a function in the exchange's thread."""

        async def run() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(timeout=10)

    def last_price(self) -> Decimal:
        return Decimal(self.get("/api/v3/ticker/price", symbol="BTCUSDT").json["price"])


ROOMY = RateLimits(weight=10**9, orders_10s=10**6, orders_day=10**6)
"""Limits that no test reaches."""


@contextmanager
def serving(settings: Settings | None = None) -> Iterator[Server]:
    """Serve an exchange while the block runs."""
    clock = FakeClock()
    loop = asyncio.new_event_loop()
    started = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        choices = Choices(
            dialect=DialectName.BINANCE,
            seed=5,
            balances={"USDT": Decimal(1_000_000), "BTC": Decimal(10)},
        )
        venue = simulated_venue(choices, keys=KEYS, wall=clock)
        app = application(venue, settings or Settings(limits=ROOMY, stream_messages=1000))
        app[REQUEST_FAULTS] = RequestFaults(venue.board, venue.clock.now)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.update(venue=venue, port=runner.addresses[0][1], stop=asyncio.Event())
        started.set()
        await found["stop"].wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    if not started.wait(timeout=30):
        raise TimeoutError("the exchange did not start")
    try:
        yield Server(found["venue"], clock, found["port"], loop)
    finally:
        loop.call_soon_threadsafe(found["stop"].set)
        thread.join(timeout=10)
        loop.close()
