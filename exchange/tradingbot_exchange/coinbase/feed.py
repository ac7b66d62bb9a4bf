"""WebSockets: the subscriptions of a client, and the messages that it receives.

Everything runs in one event loop. Events of the engine become messages at once, which wait in a
queue for the socket. A client that reads too slowly is disconnected.
"""

import asyncio
from collections.abc import Iterable, Sequence

from aiohttp import WSCloseCode, WSMsgType, web

from tradingbot_exchange.coinbase import channels
from tradingbot_exchange.coinbase.aliases import book_of
from tradingbot_exchange.coinbase.channels import HEARTBEATS, LEVEL2, OF_BOOKS, USER, Days
from tradingbot_exchange.coinbase.errors import compact
from tradingbot_exchange.coinbase.identifiers import user_uuid
from tradingbot_exchange.coinbase.orders import Orders
from tradingbot_exchange.coinbase.rate_limits import PerSecond
from tradingbot_exchange.coinbase.subscriptions import (
    Subscription,
    SubscriptionError,
    parse,
    read,
    signed,
)
from tradingbot_exchange.coinbase.wire import instant
from tradingbot_exchange.engine.types import BookEvent, Event, OrderEvent, TradeEvent
from tradingbot_exchange.streams import EventStream
from tradingbot_exchange.venue import Venue

UNSIGNED_PER_SECOND = 8
"""Messages without a signature, of one address."""
MAX_WAITING = 10_000
"""Messages that wait for a slow client before it is disconnected."""
MAX_MESSAGE = 64 * 1024
BATCH_S = 5
"""Seconds between messages of the channels `ticker_batch` and `status`."""


class Feeds:
    """The WebSockets of one venue."""

    def __init__(self, venue: Venue, orders: Orders, *, subscribe_within_s: float) -> None:
        self.venue = venue
        self.orders = orders
        self.days = Days(venue)
        self.unsigned = PerSecond(UNSIGNED_PER_SECOND)
        self.subscribe_within_s = subscribe_within_s

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one client until it disconnects."""
        stream = EventStream(request)
        await stream.prepare(request)
        session = Session(self, stream, request)
        await session.run()
        return stream


class Session:
    """One client: its subscriptions, and the messages that wait for it."""

    def __init__(self, feeds: Feeds, stream: EventStream, request: web.Request) -> None:
        self._feeds = feeds
        self._venue = feeds.venue
        self._stream = stream
        self._request = request
        self._subscribed: dict[str, dict[str, None]] = {}
        self._account: str | None = None
        self._products = frozenset(each.symbol for each in feeds.venue.engine.instruments())
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._sequence = 0
        self._beats = 0

    async def run(self) -> None:
        """Read, write and send heartbeats until one side disconnects."""
        stop_listening = self._venue.listen(self._on_events)
        tasks = [
            asyncio.create_task(work)
            for work in (self._read(), self._write(), self._beat(), self._expect_subscription())
        ]
        try:
            done, _ = await asyncio.wait(tasks[:3], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop_listening()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            if error is not None and not isinstance(error, ConnectionError):
                raise error

    async def _read(self) -> None:
        async for message in self._stream:
            if message.type is WSMsgType.TEXT:
                self._on_message(message.data)

    async def _write(self) -> None:
        while True:
            text = await self._waiting.get()
            await self._stream.send_str(text)

    async def _expect_subscription(self) -> None:
        await asyncio.sleep(self._feeds.subscribe_within_s)
        if not self._subscribed:
            await self._stream.close(code=WSCloseCode.POLICY_VIOLATION, message=b"no subscription")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._beats += 1
            self._venue.advance()
            if HEARTBEATS in self._subscribed:
                now = self._venue.now()
                self._send(HEARTBEATS, [channels.heartbeat(now, self._beats)])
            self._send_candles("update", self._of("candles"), 1)
            if self._beats % BATCH_S == 0:
                self._send_tickers("ticker_batch", "update", self._of("ticker_batch"))
                self._send_status("update")

    def _on_message(self, text: str) -> None:
        try:
            wanted = self._admit(text)
        except SubscriptionError as error:
            self._put(compact({"type": "error", "message": str(error)}))
            return
        if wanted.subscribe:
            self._subscribe(wanted)
        else:
            self._unsubscribe(wanted)

    def _admit(self, text: str) -> Subscription:
        if len(text) > MAX_MESSAGE:
            raise SubscriptionError(f"a message has {MAX_MESSAGE} characters at most")
        message = parse(text)
        if not signed(message):
            allowance = self._feeds.unsigned.take(
                self._request.remote or "", now_ms=self._venue.now()
            )
            if not allowance.allowed:
                raise SubscriptionError("rate limit exceeded")
        now_s = self._venue.client_time() // 1000
        return read(message, self._venue.keys, self._products, now_s=now_s)

    def _subscribe(self, wanted: Subscription) -> None:
        self._venue.advance()
        channel = wanted.channel
        names = wanted.products
        if channel == HEARTBEATS:
            names = (HEARTBEATS,)
        elif channel == USER and wanted.key is not None:
            self._account = wanted.key.account
            names = names or tuple(self._products)
        elif channel == "status":
            names = names or tuple(self._products)
        elif channel in OF_BOOKS:
            names = self._books(names)
        self._subscribed.setdefault(channel, {}).update(dict.fromkeys(names))
        self._confirm()
        self._snapshot(channel, names)

    def _unsubscribe(self, wanted: Subscription) -> None:
        known = self._subscribed.get(wanted.channel, {})
        names = wanted.products
        if wanted.channel in OF_BOOKS:
            names = self._books(names)
        for name in names or tuple(known):
            known.pop(name, None)
        if not known or wanted.channel == HEARTBEATS:
            self._subscribed.pop(wanted.channel, None)
        self._confirm()

    def _books(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the products whose books are meant: an alias has none of its own."""
        return tuple(dict.fromkeys(book_of(name, self._products) for name in names))

    def _confirm(self) -> None:
        shown = {
            channel: [user_uuid(self._account or "")] if channel == USER else list(names)
            for channel, names in self._subscribed.items()
        }
        self._send("subscriptions", [{"subscriptions": shown}])

    def _snapshot(self, channel: str, names: Sequence[str]) -> None:
        match channel:
            case "ticker" | "ticker_batch":
                self._send_tickers(channel, "snapshot", names)
            case "market_trades":
                for name in names:
                    trades = self._venue.trades(name, limit=channels.SNAPSHOT_TRADES)
                    self._send(channel, [channels.market_trades("snapshot", trades)])
            case "candles":
                self._send_candles("snapshot", names, channels.SNAPSHOT_CANDLES)
            case "status":
                self._send_status("snapshot")
            case "level2":
                for name in names:
                    book = self._venue.engine.book(name, channels.SNAPSHOT_LEVELS)
                    event = channels.level2_snapshot(book, name, self._venue.now())
                    self._send(LEVEL2, [event])
            case "user":
                self._send_open_orders()

    def _send_open_orders(self) -> None:
        views = [
            view
            for view in self._feeds.orders.open(self._account or "")
            if view.instrument.symbol in self._subscribed[USER]
        ]
        step = channels.ORDERS_PER_SNAPSHOT
        for start in range(0, len(views) or 1, step):
            self._send(USER, [channels.user_orders("snapshot", views[start : start + step])])

    def _on_events(self, events: Sequence[Event]) -> None:
        trades = [each.trade for each in events if isinstance(each, TradeEvent)]
        for symbol in dict.fromkeys(trade.symbol for trade in trades):
            of_symbol = [trade for trade in trades if trade.symbol == symbol]
            if symbol in self._subscribed.get("market_trades", ()):
                self._send("market_trades", [channels.market_trades("update", of_symbol)])
            if symbol in self._subscribed.get("ticker", ()):
                self._send_tickers("ticker", "update", (symbol,))
        for event in events:
            if isinstance(event, BookEvent) and event.symbol in self._subscribed.get(LEVEL2, ()):
                self._send(LEVEL2, [channels.level2_update(event)])
        if USER in self._subscribed:
            self._send_changed_orders(events)

    def _send_changed_orders(self, events: Sequence[Event]) -> None:
        """Send each order that one change has touched once, with its figures after the change."""
        views = {}
        for event in events:
            if not isinstance(event, OrderEvent) or event.order.account != self._account:
                continue
            if event.order.request.symbol in self._subscribed[USER]:
                view = self._feeds.orders.view(event.order)
                views[view.uuid] = view
        if views:
            self._send(USER, [channels.user_orders("update", list(views.values()))])

    def _send_tickers(self, channel: str, kind: str, names: Iterable[str]) -> None:
        with_book = channel == "ticker"
        found = [
            channels.ticker(self._venue, self._feeds.days, name, with_book=with_book)
            for name in names
        ]
        if found:
            self._send(channel, [channels.tickers(kind, found)])

    def _send_candles(self, kind: str, names: Iterable[str], count: int) -> None:
        for name in names:
            self._send("candles", [channels.candles(self._venue, kind, name, count)])

    def _send_status(self, kind: str) -> None:
        if names := self._of("status"):
            self._send("status", [channels.status(self._venue, kind, names)])

    def _of(self, channel: str) -> tuple[str, ...]:
        return tuple(self._subscribed.get(channel, ()))

    def _send(self, channel: str, events: Sequence[channels.Event]) -> None:
        message = {
            "channel": channels.SENT_AS.get(channel, channel),
            "client_id": "",
            "timestamp": instant(self._venue.now()),
            "sequence_num": self._sequence,
            "events": events,
        }
        self._sequence += 1
        self._put(compact(message))

    def _put(self, text: str) -> None:
        """Let a message wait for the socket. A client that does not read is disconnected.

        A closing handshake would wait for that client, too.
        """
        self._waiting.put_nowait(text)
        if self._waiting.qsize() > MAX_WAITING and self._request.transport is not None:
            self._request.transport.abort()
