"""Market streams over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from binance_harness import ROOMY, Server, serving
from tradingbot_exchange.binance.spot import Settings

SECONDS = 15


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


class Stream:
    """A client's end of a stream. The market moves while it waits."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, server: Server) -> None:
        self.socket = socket
        self.server = server

    async def receive(self) -> Any:
        async with asyncio.timeout(SECONDS):
            return json.loads(await self.socket.receive_str())

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """Return the next message that is wanted, while the exchange's time passes."""
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    message = await asyncio.wait_for(self.socket.receive_str(), 0.05)
                except TimeoutError:
                    self.server.clock.now += 1_000
                    continue
                found = json.loads(message)
                if wanted(found):
                    return found

    async def ask(self, **request: Any) -> Any:
        await self.socket.send_str(json.dumps(request))
        return await self.until(lambda message: "result" in message or "error" in message)


@asynccontextmanager
async def connected(server: Server, path: str) -> AsyncIterator[Stream]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{server.port}{path}") as socket,
    ):
        yield Stream(socket, server)


def on(server: Server, path: str, scene: Callable[[Stream], Awaitable[None]]) -> None:
    async def play() -> None:
        async with connected(server, path) as stream:
            await scene(stream)

    asyncio.run(play())


FIELDS = {
    "btcusdt@trade": {"e", "E", "s", "t", "p", "q", "T", "m", "M"},
    "btcusdt@aggTrade": {"e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "M"},
    "btcusdt@bookTicker": {"u", "s", "b", "B", "a", "A"},
    "btcusdt@miniTicker": {"e", "E", "s", "c", "o", "h", "l", "v", "q"},
    "btcusdt@ticker": set("eEspPwxcQbBaAohlvqOCFLn"),
    "btcusdt@kline_1m": {"e", "E", "s", "k"},
    "btcusdt@depth": {"e", "E", "s", "U", "u", "b", "a"},
    "btcusdt@depth@100ms": {"e", "E", "s", "U", "u", "b", "a"},
    "btcusdt@depth5": {"lastUpdateId", "bids", "asks"},
    "btcusdt@depth20@100ms": {"lastUpdateId", "bids", "asks"},
}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_raw_stream_has_the_documented_fields(server: Server, name: str) -> None:
    async def scene(stream: Stream) -> None:
        message = await stream.until(lambda _: True)
        assert set(message) == FIELDS[name]

    on(server, f"/ws/{name}", scene)


def test_a_combined_stream_names_its_streams(server: Server) -> None:
    async def scene(stream: Stream) -> None:
        for name in ("btcusdt@miniTicker", "ethusdt@depth5"):
            message = await stream.until(lambda message, name=name: message["stream"] == name)
            assert set(message) == {"stream", "data"}

    on(server, "/stream?streams=btcusdt@miniTicker/ethusdt@depth5", scene)


@pytest.mark.parametrize("name", ["!miniTicker@arr", "!ticker@arr"])
def test_all_tickers_come_as_an_array(server: Server, name: str) -> None:
    async def scene(stream: Stream) -> None:
        message = await stream.until(lambda message: isinstance(message, list))
        assert {ticker["s"] for ticker in message} <= {"BTCUSDT", "ETHUSDT", "ETHBTC"}

    on(server, f"/ws/{name}", scene)


def test_a_connection_subscribes_lists_and_unsubscribes(server: Server) -> None:
    async def scene(stream: Stream) -> None:
        answer = await stream.ask(method="SUBSCRIBE", params=["btcusdt@miniTicker"], id=1)
        assert answer == {"result": None, "id": 1}
        assert (await stream.until(lambda message: "e" in message))["e"] == "24hrMiniTicker"
        listed = await stream.ask(method="LIST_SUBSCRIPTIONS", id="two")
        assert listed == {"result": ["btcusdt@miniTicker"], "id": "two"}
        await stream.ask(method="UNSUBSCRIBE", params=["btcusdt@miniTicker"], id=3)
        assert (await stream.ask(method="LIST_SUBSCRIPTIONS", id=4))["result"] == []
        await stream.ask(method="SET_PROPERTY", params=["combined", True], id=5)
        assert (await stream.ask(method="GET_PROPERTY", params=["combined"], id=6))["result"]
        await stream.ask(method="SUBSCRIBE", params=["ethusdt@miniTicker"], id=7)
        message = await stream.until(lambda message: "stream" in message)
        assert message["stream"] == "ethusdt@miniTicker"

    on(server, "/ws/0", scene)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{", 3, "Invalid JSON"),
        ("[1]", 3, "Invalid JSON"),
        ("[" * 100_000, 3, "Invalid JSON"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"SHOUT","id":1}', 2, "unknown variant `SHOUT`"),
        ('{"method":"SUBSCRIBE","params":"x","id":1}', 2, "params must be an array"),
        ('{"method":"SUBSCRIBE","params":[],"id":1.5}', 2, "request ID"),
        ('{"method":"GET_PROPERTY","params":["x"],"id":1}', 0, "Unknown property"),
        ('{"method":"GET_PROPERTY","params":[1],"id":1}', 2, "property name must be a string"),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1, "expected Boolean"),
    ],
)
def test_a_wrong_message_is_answered_with_an_error(
    server: Server, text: str, code: int, words: str
) -> None:
    async def scene(stream: Stream) -> None:
        await stream.socket.send_str(text)
        error = (await stream.receive())["error"]
        assert error["code"] == code
        assert words in error["msg"]

    on(server, "/ws", scene)


def test_a_client_that_talks_too_much_is_cut_off() -> None:
    async def scene(stream: Stream) -> None:
        for number in range(6):
            await stream.socket.send_str(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        async with asyncio.timeout(SECONDS):
            while True:
                message = await stream.socket.receive()
                if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}:
                    break
        assert stream.socket.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION

    with serving(Settings(limits=ROOMY)) as server:
        on(server, "/ws", scene)


def test_differences_on_a_queried_book_give_the_next_queried_book(server: Server) -> None:
    async def scene(stream: Stream) -> None:
        book: dict[str, dict[str, str]] = {}
        last = 0
        pending: list[Any] = []

        def query() -> Any:
            return server.get("/api/v3/depth", symbol="BTCUSDT", limit=5000).json

        snapshot = await asyncio.to_thread(query)
        book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        last = snapshot["lastUpdateId"]
        for _ in range(30):
            event = await stream.until(lambda message: message.get("e") == "depthUpdate")
            assert not pending or event["U"] == pending[-1]["u"] + 1
            pending.append(event)
            if event["u"] <= last:
                continue
            assert event["U"] <= last + 1
            last = event["u"]
            for side, letter in (("bids", "b"), ("asks", "a")):
                for price, quantity in event[letter]:
                    book[side][price] = quantity
                    if not Decimal(quantity):
                        del book[side][price]
            queried = await asyncio.to_thread(query)
            if queried["lastUpdateId"] == last and len(pending) > 3:
                for side in ("bids", "asks"):
                    assert book[side] == dict(queried[side])
                return
        pytest.fail("the book was never at the same change as the stream")

    on(server, "/ws/btcusdt@depth@100ms", scene)


def test_a_candle_is_closed_before_the_next_one_begins(server: Server) -> None:
    async def scene(stream: Stream) -> None:
        candles = [(await stream.until(lambda _: True))["k"] for _ in range(8)]
        for before, after in pairwise(candles):
            assert after["t"] == before["t"] or (before["x"] and after["t"] == before["T"] + 1)
        assert any(candle["x"] for candle in candles)

    on(server, "/ws/btcusdt@kline_1s", scene)


def test_an_order_moves_the_best_price_at_once(server: Server) -> None:
    async def scene(stream: Stream) -> None:
        bid = float(server.get("/api/v3/ticker/bookTicker", symbol="BTCUSDT").json["bidPrice"])
        better = f"{bid + 0.01:.2f}"
        answer = await asyncio.to_thread(lambda: server.order(price=better))
        assert answer.status == 200
        message = await stream.receive()
        while message["b"] != f"{float(better):.8f}":
            message = await stream.receive()
        assert message["B"] == "0.01000000"

    on(server, "/ws/btcusdt@bookTicker", scene)
    server.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")


def test_clients_are_told_of_a_shutdown() -> None:
    async def scene(stream: Stream) -> None:
        async with asyncio.timeout(SECONDS):
            messages = [json.loads(message.data) async for message in stream.socket]
        assert messages[-1]["e"] == "serverShutdown"

    async def play() -> None:
        with serving() as server:
            context = connected(server, "/ws")
            stream = await context.__aenter__()
            await stream.ask(method="LIST_SUBSCRIPTIONS", id=1)
        await scene(stream)
        await context.__aexit__(None, None, None)

    asyncio.run(play())
