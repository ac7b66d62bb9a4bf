"""A client's end of the WebSocket API."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from binance_harness import HMAC, Credentials, Server
from tradingbot_exchange.binance.signing import sign, sorted_payload

SECONDS = 15
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "50000",
}
"""An order that rests."""


class Client:
    """A client's end. Events that arrive between answers are kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, server: Server) -> None:
        self.socket = socket
        self.server = server
        self.events: list[Any] = []
        self._next = 0

    async def receive(self) -> Any:
        async with asyncio.timeout(SECONDS):
            return json.loads(await self.socket.receive_str())

    async def send_text(self, text: str) -> Any:
        await self.socket.send_str(text)
        return await self._answer()

    async def ask(self, method: str, **parameters: Any) -> Any:
        self._next += 1
        request = {"id": self._next, "method": method, "params": parameters}
        answer = await self.send_text(json.dumps(request))
        assert answer["id"] == self._next
        return answer

    async def _answer(self) -> Any:
        while True:
            message = await self.receive()
            if "event" not in message:
                return message
            self.events.append(message)

    def signed(self, by: Credentials, parameters: dict[str, Any]) -> dict[str, Any]:
        whole = {**parameters, "apiKey": by.name, "timestamp": self.server.clock.now}
        text = {name: str(value) for name, value in whole.items()}
        return {**whole, "signature": sign(by.secret, sorted_payload(text))}

    def signed_order(self) -> dict[str, Any]:
        """Return the signed parameters of an order that rests."""
        return self.signed(HMAC, dict(ORDER))

    async def ask_signed(self, method: str, *, by: Credentials = HMAC, **parameters: Any) -> Any:
        return await self.ask(method, **self.signed(by, parameters))

    async def next_event(self, kind: str) -> Any:
        """Return the next event of a kind, without its envelope."""
        while True:
            message = self.events.pop(0) if self.events else await self.receive()
            if message["event"]["e"] == kind:
                return message["event"]


@asynccontextmanager
async def connected(server: Server, query: str = "") -> AsyncIterator[Client]:
    url = f"http://127.0.0.1:{server.port}/ws-api/v3{query}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        yield Client(socket, server)


def on(server: Server, scene: Callable[[Client], Awaitable[None]], query: str = "") -> None:
    async def play() -> None:
        async with connected(server, query) as client:
            await scene(client)

    asyncio.run(play())
