"""WebSockets: the subscriptions of a client, and the messages that it receives.

Everything runs in one event loop. Events of the engine become messages at once, which wait in an
outbox for the socket. A client that reads too slowly is disconnected, and so is one that sends too
much. What all clients of a channel are told is written once, and only numbered for each of them.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import ParamSpec

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
from tradingbot_exchange.outbox import outbox_for
from tradingbot_exchange.streams import EventStream
from tradingbot_exchange.venue import Venue

P = ParamSpec("P")

UNSIGNED_PER_SECOND = 8
"""Messages without a signature, of one address."""
SIGNED_PER_SECOND = 30
"""Messages with a signature, of one key."""
MESSAGES_PER_SECOND = 100
"""Of one client, of any kind. One that sends more is disconnected."""
MAX_MESSAGE = 64 * 1024
BATCH_S = 5
"""Seconds between messages of the channels `ticker_batch` and `status`."""

_WRITTEN_MS = 100
"""How long what was written for one client is told to others while nothing has changed."""


class Written:
    """Events as JSON, written once for all clients that are told the same."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._until = 0
        self._known: dict[Hashable, str] = {}
        venue.listen(lambda _: self._known.clear())

    def of(self, key: Hashable, make: Callable[[], channels.Event]) -> str:
        """Return an event that `key` names, as it is now."""
        now = self._venue.now()
        if not self._until - _WRITTEN_MS <= now < self._until:
            self._known.clear()
            self._until = now + _WRITTEN_MS
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = compact(make())
        return found


class Feeds:
    """The WebSockets of one venue."""

    def __init__(self, venue: Venue, orders: Orders, *, subscribe_within_s: float) -> None:
        self.venue = venue
        self.orders = orders
        self.days = Days(venue)
        self.written = Written(venue)
        self.unsigned = PerSecond(UNSIGNED_PER_SECOND)
        self.signed = PerSecond(SIGNED_PER_SECOND)
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
        self._outbox = outbox_for(request)
        self._sequence = 0
        self._beats = 0
        self._second = 0
        self._messages = 0
        """That have come in this second."""

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
            self._outbox.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            if error is not None and not isinstance(error, ConnectionError):
                raise error

    async def _read(self) -> None:
        async for message in self._stream:
            if message.type is not WSMsgType.TEXT:
                continue
            if self._is_too_much():
                await self._stream.dismiss(WSCloseCode.POLICY_VIOLATION, b"too many messages")
                return
            self._on_message(message.data)
            # Others have their turn, however many messages have come at once.
            await asyncio.sleep(0)

    def _is_too_much(self) -> bool:
        """Count a message. Return whether the client sends too many of them."""
        second = self._venue.client_time() // 1000
        self._messages = self._messages + 1 if second == self._second else 1
        self._second = second
        return self._messages > MESSAGES_PER_SECOND

    async def _write(self) -> None:
        while True:
            text = await self._outbox.get()
            await self._stream.send_str(text)

    async def _expect_subscription(self) -> None:
        await asyncio.sleep(self._feeds.subscribe_within_s)
        if not self._subscribed:
            await self._stream.dismiss(WSCloseCode.POLICY_VIOLATION, b"no subscription")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._beats += 1
            self._venue.advance()
            if HEARTBEATS in self._subscribed:
                beat = channels.heartbeat(self._venue.now(), self._beats)
                self._send(HEARTBEATS, compact(beat))
            self._send_candles("update", self._of("candles"), 1)
            if self._beats % BATCH_S == 0:
                self._send_tickers("ticker_batch", "update", self._of("ticker_batch"))
                self._send_status("update")

    def _on_message(self, text: str) -> None:
        try:
            wanted = self._admit(text)
        except SubscriptionError as error:
            self._outbox.put(compact({"type": "error", "message": str(error)}))
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
        wanted = read(message, self._venue.keys, self._products, now_s=now_s)
        if wanted.key is not None:
            allowance = self._feeds.signed.take(wanted.key.name, now_ms=self._venue.now())
            if not allowance.allowed:
                raise SubscriptionError("rate limit exceeded")
        return wanted

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
        self._send("subscriptions", compact({"subscriptions": shown}))

    def _snapshot(self, channel: str, names: Sequence[str]) -> None:
        match channel:
            case "ticker" | "ticker_batch":
                self._send_tickers(channel, "snapshot", names)
            case "market_trades":
                for name in names:
                    self._tell(channel, (name, "snapshot"), self._trades, name)
            case "candles":
                self._send_candles("snapshot", names, channels.SNAPSHOT_CANDLES)
            case "status":
                self._send_status("snapshot")
            case "level2":
                for name in names:
                    self._tell(LEVEL2, (name, "snapshot"), self._book, name)
            case "user":
                self._send_open_orders()

    def _trades(self, name: str) -> channels.Event:
        trades = self._venue.trades(name, limit=channels.SNAPSHOT_TRADES)
        return channels.market_trades("snapshot", trades)

    def _book(self, name: str) -> channels.Event:
        book = self._venue.engine.book(name, channels.SNAPSHOT_LEVELS)
        return channels.level2_snapshot(book, name, self._venue.now())

    def _send_open_orders(self) -> None:
        products = frozenset(self._subscribed[USER])
        opened = self._feeds.orders.open(self._account or "")
        views = [view for view in opened if view.instrument.symbol in products]
        step = channels.ORDERS_PER_SNAPSHOT
        for start in range(0, len(views) or 1, step):
            page = views[start : start + step]
            key = ("snapshot", self._account, products, start)
            self._tell(USER, key, channels.user_orders, "snapshot", page)

    def _on_events(self, events: Sequence[Event]) -> None:
        trades = [each.trade for each in events if isinstance(each, TradeEvent)]
        for symbol in dict.fromkeys(trade.symbol for trade in trades):
            if symbol in self._subscribed.get("market_trades", ()):
                of_symbol = [trade for trade in trades if trade.symbol == symbol]
                self._tell(
                    "market_trades",
                    (symbol, "update"),
                    channels.market_trades,
                    "update",
                    of_symbol,
                )
            if symbol in self._subscribed.get("ticker", ()):
                self._send_tickers("ticker", "update", (symbol,))
        if LEVEL2 in self._subscribed:
            self._send_changed_books(events)
        if USER in self._subscribed:
            self._send_changed_orders(events)

    def _send_changed_books(self, events: Sequence[Event]) -> None:
        changes = [each for each in events if isinstance(each, BookEvent)]
        for symbol in dict.fromkeys(each.symbol for each in changes):
            if symbol in self._subscribed[LEVEL2]:
                found = [each for each in changes if each.symbol == symbol]
                self._tell(LEVEL2, (symbol, "update"), channels.level2_update, found)

    def _send_changed_orders(self, events: Sequence[Event]) -> None:
        """Send each order that one change has touched once, with its figures after the change."""
        views = {}
        products = frozenset(self._subscribed[USER])
        for event in events:
            if not isinstance(event, OrderEvent) or event.order.account != self._account:
                continue
            if event.order.request.symbol in products:
                view = self._feeds.orders.view(event.order)
                views[view.uuid] = view
        if views:
            key = ("update", self._account, products)
            self._tell(USER, key, channels.user_orders, "update", list(views.values()))

    def _send_tickers(self, channel: str, kind: str, names: Iterable[str]) -> None:
        with_book = channel == "ticker"
        wanted = tuple(names)
        if not wanted:
            return

        def make() -> channels.Event:
            venue, days = self._venue, self._feeds.days
            found = [channels.ticker(venue, days, name, with_book=with_book) for name in wanted]
            return channels.tickers(kind, found)

        self._tell(channel, (kind, wanted), make)

    def _send_candles(self, kind: str, names: Iterable[str], count: int) -> None:
        for name in names:
            self._tell(
                "candles",
                (kind, name),
                channels.candles,
                self._venue,
                kind,
                name,
                count,
            )

    def _send_status(self, kind: str) -> None:
        if names := self._of("status"):
            self._tell("status", (kind, names), channels.status, self._venue, kind, names)

    def _of(self, channel: str) -> tuple[str, ...]:
        return tuple(self._subscribed.get(channel, ()))

    def _tell(
        self,
        channel: str,
        key: Hashable,
        make: Callable[P, channels.Event],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> None:
        """Send an event of a channel, which `make` returns.

        `key` names it among those of the channel: what has the same key is written once.
        """
        written = self._feeds.written.of((channel, key), lambda: make(*arguments, **named))
        self._send(channel, written)

    def _send(self, channel: str, event: str) -> None:
        """Send an event, which is JSON, in the next message."""
        shown = channels.SENT_AS.get(channel, channel)
        time = instant(self._venue.now())
        number = self._sequence
        self._sequence += 1
        self._outbox.put(
            f'{{"channel":"{shown}","client_id":"","timestamp":"{time}",'
            f'"sequence_num":{number},"events":[{event}]}}'
        )
