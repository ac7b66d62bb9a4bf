"""A Coinbase on a real socket, around a real engine whose market stands still.

Tests make the market themselves, as another account. Time moves only when a test says so.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tradingbot_exchange.coinbase.app import application
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.json_web_tokens import PrivateKey
from tradingbot_exchange.coinbase.signing import bearer_headers, bearer_token
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Event,
    Instrument,
    NewOrder,
    Order,
    OrderType,
    Side,
    Trade,
    TradeEvent,
)
from tradingbot_exchange.venue import ApiKey, Candle, Listener

START = 1_800_000_000_000
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
EC_NAME = "organizations/o/apiKeys/ec"
DEADLINE_S = 20


def public_pem(key: PrivateKey) -> str:
    """Return the PEM of the public key."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


KEYS = {
    key.name: key
    for key in (
        ApiKey(name=EC_NAME, account="alice", secret=public_pem(EC_KEY)),
        ApiKey(name="ed", account="alice", secret=public_pem(ED_KEY)),
        ApiKey(name="legacy", account="alice", secret="a secret"),
        ApiKey(
            name="reader",
            account="alice",
            secret=public_pem(EC_KEY),
            permissions=frozenset({"read"}),
        ),
        ApiKey(name="bob", account="bob", secret=public_pem(ED_KEY)),
    )
}


def instrument(symbol: str, **changes: Any) -> Instrument:
    """Return an instrument with ticks of a cent."""
    base, quote = symbol.split("-")
    members: dict[str, Any] = {
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "tick": Decimal("0.01"),
        "lot": Decimal("0.0001"),
        "min_price": Decimal("0.01"),
        "max_price": Decimal(1_000_000),
        "min_quantity": Decimal("0.0001"),
        "max_quantity": Decimal(100),
        "min_notional": Decimal(1),
        "maker_fee": Decimal("0.004"),
        "taker_fee": Decimal("0.006"),
        "fee_in_quote": True,
    }
    return Instrument(**(members | changes))


@dataclass
class QuietVenue:
    """A venue whose market is what tests do as the account `maker`."""

    engine: Engine
    keys: Mapping[str, ApiKey] = field(default_factory=lambda: KEYS)
    time: int = START
    kept_candles: list[Candle] = field(default_factory=list)
    kept_trades: list[Trade] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)

    def market_time(self) -> int:
        return self.now()

    def now(self) -> int:
        """Return the time that the test has set."""
        return self.time

    def client_time(self) -> int:
        """Return the same."""
        return self.time

    def apply(self, change: Callable[[Engine, int], tuple[object, list[Event]]]) -> object:
        """Change the engine, and notify listeners."""
        result, events = change(self.engine, self.time)
        self.kept_trades += [each.trade for each in events if isinstance(each, TradeEvent)]
        for listener in tuple(self.listeners):
            listener(events)
        return result

    def advance(self) -> None:
        """End orders whose time has come."""
        self.apply(lambda engine, now: (None, engine.expire(now=now)))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the events of each change."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def candles(self, symbol: str, interval_ms: int, *, start: int, end: int) -> list[Candle]:
        """Return the candles that the test has put here."""
        del symbol, interval_ms
        return [each for each in self.kept_candles if start <= each.start <= end]

    def trades(self, symbol: str, *, after_id: int = 0, limit: int = 1000) -> list[Trade]:
        """Return the trades that have happened."""
        found = [each for each in self.kept_trades if each.symbol == symbol and each.id > after_id]
        return found[-limit:]

    def credit(self, account: str, asset: str, amount: Decimal) -> None:
        """Deposit."""
        self.apply(lambda engine, now: (None, engine.deposit(account, asset, amount, now=now)))

    def quote(self, side: Side, price: str, quantity: str, *, symbol: str = "BTC-USD") -> Order:
        """Let the market maker place a limit order."""
        order = NewOrder(
            symbol=symbol,
            side=side,
            type=OrderType.LIMIT,
            price=Decimal(price),
            quantity=Decimal(quantity),
        )
        made = self.apply(lambda engine, now: engine.submit("maker", order, now=now))
        assert isinstance(made, Order)
        return made

    def trade_at(self, price: str) -> None:
        """Let the market trade at a price: triggers stops, fills what is better."""
        self.apply(
            lambda engine, now: (
                None,
                engine.trade_through("BTC-USD", Decimal(price), now=now),
            )
        )


def quiet_venue(**changes: Any) -> QuietVenue:
    """Return a venue with a book around 100, and accounts with money."""
    engine = Engine(
        [instrument("BTC-USD", **changes), instrument("ETH-USD"), instrument("ETH-BTC")]
    )
    venue = QuietVenue(engine)
    for account, times in (("alice", 1), ("bob", 1), ("maker", 1000)):
        venue.credit(account, "USD", Decimal(10_000) * times)
        venue.credit(account, "BTC", Decimal(10) * times)
    venue.trade_at("100")
    venue.quote(Side.SELL, "101", "50")
    venue.quote(Side.BUY, "99", "50")
    return venue


class Client:
    """Sends raw requests to the exchange, signed as its own library does."""

    def __init__(self, session: ClientSession, host: str, venue: QuietVenue) -> None:
        self.session = session
        self.host = host
        self.venue = venue
        self.used = 0

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = EC_NAME,
        headers: Mapping[str, str] | None = None,
    ) -> "Answer":
        """Send a request; `key` None: without a signature."""
        signed: dict[str, str] = dict(headers or {})
        if key is not None:
            signed |= bearer_headers(
                key,
                ED_KEY if key in ("ed", "bob") else EC_KEY,
                method=method,
                host=self.host,
                path=path.partition("?")[0],
                now_s=self.venue.time // 1000,
                nonce="n",
            )
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        async with self.session.request(
            method, f"http://{self.host}{path}", data=data, headers=signed
        ) as response:
            return Answer(response.status, response.headers, await response.text())

    async def get(self, path: str, **options: Any) -> Any:
        """Return the JSON of a call that succeeds. A second passes, for the rate limit."""
        self.venue.time += 1000
        answer = await self.send("GET", f"{V3}/{path}", **options)
        assert answer.status == 200, answer
        return answer.json()

    async def post(self, path: str, body: object, **options: Any) -> Any:
        """Return the JSON of a call that is answered by 200."""
        self.venue.time += 1000
        answer = await self.send("POST", f"{V3}/{path}", body, **options)
        assert answer.status == 200, answer
        return answer.json()

    async def order(
        self, form: str, side: str = "BUY", *, client_id: str = "", **members: Any
    ) -> Any:
        """Send an order for BTC-USD."""
        self.used += 1
        body = {
            "client_order_id": client_id or f"order {self.used}",
            "product_id": "BTC-USD",
            "side": side,
            "order_configuration": {form: members},
        }
        return await self.post("orders", body)

    async def placed(self, form: str, side: str = "BUY", **members: Any) -> str:
        """Send an order that is accepted, and return its id."""
        answer = await self.order(form, side, **members)
        assert answer["success"], answer
        return str(answer["success_response"]["order_id"])

    async def shown(self, order_id: str) -> Any:
        """Return an order."""
        return (await self.get(f"orders/historical/{order_id}"))["order"]

    @asynccontextmanager
    async def socket(self, path: str = "/") -> AsyncIterator["Socket"]:
        """Open a WebSocket."""
        async with self.session.ws_connect(f"http://{self.host}{path}") as stream:
            yield Socket(stream, self)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Return the body."""
        return json.loads(self.text)


@dataclass
class Socket:
    """A WebSocket of a test."""

    stream: ClientWebSocketResponse
    client: Client
    sequence: int = 0

    async def subscribe(self, channel: str, *products: str, **members: Any) -> None:
        """Subscribe, without a signature unless one is among the members."""
        message = {"type": "subscribe", "channel": channel, "product_ids": products}
        await self.stream.send_json(message | members)

    async def unsubscribe(self, channel: str, *products: str) -> None:
        """Unsubscribe."""
        await self.stream.send_json(
            {"type": "unsubscribe", "channel": channel, "product_ids": products}
        )

    async def next(self) -> Any:
        """Return the next message, whatever it is."""
        return json.loads(await self.stream.receive_str(timeout=DEADLINE_S))

    async def told(self, channel: str) -> Any:
        """Return the first event of the next message of a channel; skip other channels."""
        while True:
            message = await self.next()
            assert message.get("sequence_num") == self.sequence, message
            self.sequence += 1
            if message["channel"] == channel:
                return message["events"][0]


def token(key: str = EC_NAME, *, now_s: int = START // 1000) -> str:
    """Return a token for a WebSocket."""
    private = ED_KEY if key in ("ed", "bob") else EC_KEY
    return bearer_token(key, private, uri=None, now_s=now_s, nonce="n")


@asynccontextmanager
async def served(venue: QuietVenue, **options: Any) -> AsyncIterator[Client]:
    """Serve a venue on a free port."""
    runner = web.AppRunner(application(venue, **options), shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with ClientSession() as session:
            yield Client(session, f"{host}:{port}", venue)
    finally:
        await runner.cleanup()


def run(scenario: Callable[[Client], Coroutine[Any, Any, None]], venue: QuietVenue) -> None:
    """Run a scenario against a venue, with a deadline."""

    async def all_of_it() -> None:
        async with asyncio.timeout(60), served(venue) as client:
            await scenario(client)

    asyncio.run(all_of_it())


def names(results: Sequence[Mapping[str, Any]], member: str) -> list[Any]:
    """Return one member of each result."""
    return [each[member] for each in results]


BRACKET = {"base_size": "1", "limit_price": "110", "stop_trigger_price": "90"}
