"""The bot's WebSockets: market channels are passed through, the user channel is the gateway's own.

Tokens of the bot end here: market channels need none at the exchange. Events of the user channel
are those of the gateway's own subscription, after it has counted them. When that is cut, sockets
with a user channel are closed, so that the bot reads again what it may have missed.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from tradingbot_exchange.coinbase.channels import CHANNELS, ORDERS_PER_SNAPSHOT, USER
from tradingbot_exchange.coinbase.errors import UnauthorizedError
from tradingbot_exchange.coinbase.subscriptions import (
    AUTHENTICATION_FAILURE,
    SubscriptionError,
    parse,
)
from tradingbot_exchange.coinbase.wire import instant

from tradingbot_gateway.account_stream import Event
from tradingbot_gateway.answers import Wall
from tradingbot_gateway.coinbase.account import Account
from tradingbot_gateway.coinbase.feed import LONGEST_MESSAGE
from tradingbot_gateway.coinbase.proof import Gatekeeper
from tradingbot_gateway.coinbase.rates import BotRates
from tradingbot_gateway.coinbase.translation import Tag
from tradingbot_gateway.coinbase.views import of_the_bot
from tradingbot_gateway.connection import CLOSE_SECONDS, WEBSOCKET_TIMEOUT

log = logging.getLogger(__name__)

PING_SECONDS = 20.0
_LONGEST_REQUEST = 64 * 1024
_MOST_WAITING = 10_000
"""Messages that wait for a slow bot before it is disconnected."""
_NUMBER = re.compile(r'"sequence_num":\s*\d+')
_POSITIONS: Mapping[str, object] = {
    "perpetual_futures_positions": [],
    "expiring_futures_positions": [],
}


class WebSockets:
    """The bot's connections."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        market: str,
        gatekeeper: Gatekeeper,
        account: Account,
        *,
        tag: Tag,
        wall: Wall,
        rates: BotRates,
        book_of: Callable[[str], str],
    ) -> None:
        """`market`: the address of the market channels.

        `book_of` returns the product whose book a product has.
        """
        self.session = session
        self.market = market
        self.gatekeeper = gatekeeper
        self.account = account
        self.tag = tag
        self.wall = wall
        self.rates = rates
        self.book_of = book_of
        self._open: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        client = web.WebSocketResponse(
            heartbeat=PING_SECONDS, timeout=CLOSE_SECONDS, max_msg_size=_LONGEST_REQUEST
        )
        await client.prepare(request)
        self._open.add(client)
        connection = Connection(self, client)
        try:
            await connection.run()
        finally:
            self._open.discard(client)
            await client.close(code=connection.code)
        return client

    async def shut_down(self) -> None:
        """Close all connections."""
        closing = (each.close(code=WSCloseCode.GOING_AWAY) for each in tuple(self._open))
        await asyncio.gather(*closing, return_exceptions=True)


@dataclass(eq=False)
class Connection:
    """One connection of the bot."""

    sockets: WebSockets
    client: web.WebSocketResponse
    products: set[str] = field(default_factory=set)
    """Of the user channel; all, if there is none."""
    subscribed: bool = False
    """Whether to the user channel."""
    code: WSCloseCode = WSCloseCode.GOING_AWAY
    """Why it ends."""
    _waiting: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    _number: int = 0
    _upstream: aiohttp.ClientWebSocketResponse | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Read and write until one side ends."""
        tasks = [asyncio.create_task(work) for work in (self._read(), self._write())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.sockets.account.listeners.discard(self)
            if self._upstream is not None:
                await self._upstream.close()
            for task in (*tasks, *self._tasks):
                task.cancel()
            await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)

    # The account's events

    def on_event(self, event: Event) -> None:
        """Show an event of the user channel, without what is not the bot's."""
        orders = self._shown(event.get("orders") or ())
        if orders:
            self._send(USER, [{**event, "orders": orders}])

    def on_cut(self) -> None:
        """End the connection: events may have been missed."""
        self._waiting.put_nowait(None)

    def _shown(self, orders: Any) -> list[dict[str, Any]]:
        # An event may name the product whose book the order is in.
        names = self.products | set(map(self.sockets.book_of, self.products))
        wanted = (order for order in orders if not names or order["product_id"] in names)
        return of_the_bot(wanted, self.sockets.tag)

    # What the bot sends

    async def _read(self) -> None:
        async for message in self.client:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                await self._take(parse(message.data))
            except SubscriptionError as error:
                self._put(json.dumps({"type": "error", "message": str(error)}))

    async def _take(self, message: Mapping[str, Any]) -> None:
        kind, channel = message.get("type"), message.get("channel")
        if kind not in ("subscribe", "unsubscribe"):
            raise SubscriptionError("type must be subscribe or unsubscribe")
        if not isinstance(channel, str) or channel not in CHANNELS:
            raise SubscriptionError(AUTHENTICATION_FAILURE)
        names = message.get("product_ids") or []
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise SubscriptionError("product_ids must be a list of product ids")
        if "jwt" in message or channel == USER:
            try:
                self.sockets.gatekeeper.check_subscription(str(message.get("jwt", "")))
            except UnauthorizedError as error:
                raise SubscriptionError(AUTHENTICATION_FAILURE) from error
        if channel == USER:
            self._subscribe_user(names, subscribe=kind == "subscribe")
            return
        # The bot's next messages wait in its socket meanwhile.
        await self.sockets.rates.messages.wait()
        upstream = await self._market()
        passed = {"type": kind, "channel": channel, "product_ids": names}
        await upstream.send_str(json.dumps(passed))

    def _subscribe_user(self, names: list[str], *, subscribe: bool) -> None:
        listeners = self.sockets.account.listeners
        self.subscribed = subscribe
        if not subscribe:
            listeners.discard(self)
        elif names or not self.products:
            self.products |= set(names)
        shown = {USER: sorted(self.products)} if subscribe else {}
        self._send("subscriptions", [{"subscriptions": shown}])
        if subscribe:
            listeners.add(self)
            orders = self._shown(tuple(self.sockets.account.open.values()))
            for start in range(0, len(orders) or 1, ORDERS_PER_SNAPSHOT):
                part = orders[start : start + ORDERS_PER_SNAPSHOT]
                self._send(USER, [{"type": "snapshot", "orders": part, "positions": _POSITIONS}])

    # The market

    async def _market(self) -> aiohttp.ClientWebSocketResponse:
        """Return the connection to the market channels, opened when it is first needed."""
        if self._upstream is None:
            try:
                self._upstream = await self.sockets.session.ws_connect(
                    self.sockets.market,
                    heartbeat=PING_SECONDS,
                    max_msg_size=LONGEST_MESSAGE,
                    timeout=WEBSOCKET_TIMEOUT,
                )
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("no market channels: %s", type(error).__name__)
                raise SubscriptionError("the exchange can't be reached") from error
            task = asyncio.create_task(self._pump(self._upstream))
            self._tasks.add(task)
        return self._upstream

    async def _pump(self, upstream: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in upstream:
                if message.type is WSMsgType.TEXT:
                    # One connection of the bot may be two at the exchange: numbers are its own.
                    self._put(_NUMBER.sub(self._numbered, message.data, count=1))
        finally:
            self._waiting.put_nowait(None)

    def _numbered(self, _: object) -> str:
        self._number += 1
        return f'"sequence_num":{self._number - 1}'

    # What the bot gets

    def _send(self, channel: str, events: list[dict[str, Any]]) -> None:
        message = {
            "channel": channel,
            "client_id": "",
            "timestamp": instant(self.sockets.wall()),
            "sequence_num": self._number,
            "events": events,
        }
        self._number += 1
        self._put(json.dumps(message, separators=(",", ":")))

    def _put(self, text: str) -> None:
        self._waiting.put_nowait(text)
        if self._waiting.qsize() > _MOST_WAITING:
            log.warning("the bot reads too slowly: its WebSocket is closed")
            self._waiting = asyncio.Queue()
            self._waiting.put_nowait(None)

    async def _write(self) -> None:
        while True:
            text = await self._waiting.get()
            if text is None:
                # Closed by the caller, when nothing else reads: the close has to be confirmed.
                self.code = WSCloseCode.SERVICE_RESTART
                return
            await self.client.send_str(text)
