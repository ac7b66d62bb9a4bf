"""Connections to the market streams: `/ws`, `/ws/<a>/<b>` and `/stream?streams=<a>/<b>`.

A path segment that is not a stream (`/ws/0`, as ccxt opens it) opens a connection without one.
Clients change what they receive with SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY and
GET_PROPERTY.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import aclosing

from aiohttp import WSCloseCode, web

from tradingbot_exchange.binance import user_events
from tradingbot_exchange.binance.connection import Connection
from tradingbot_exchange.binance.feed import FAST, SLOW, MarketFeed
from tradingbot_exchange.binance.spot import Spot

log = logging.getLogger(__name__)

MAX_STREAMS = 1024
"""Streams of one connection."""

_LONGEST_ID = 36
_METHODS = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class StreamError(ValueError):
    """Raised for a control message that cannot be carried out, with Binance's code and text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StreamSession:
    """One connection and its streams."""

    def __init__(self, feed: MarketFeed, connection: Connection, *, combined: bool) -> None:
        self._feed = feed
        self.connection = connection
        self._combined = combined
        self._streams: dict[str, None] = {}
        self._methods: dict[str, Callable[[list[object]], object]] = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "LIST_SUBSCRIPTIONS": self._list,
            "SET_PROPERTY": self._set_property,
            "GET_PROPERTY": self._get_property,
        }

    def send(self, stream: str, message: str) -> None:
        """Send a message of a stream."""
        self.connection.send(self._framed(stream, message))

    def _framed(self, stream: str, message: str) -> str:
        return f'{{"stream":"{stream}","data":{message}}}' if self._combined else message

    async def shut_down(self, time: int) -> None:
        """Notify the client that the server ends, and close."""
        message = _encode(user_events.server_shutdown(time=time))
        await self.connection.say_goodbye(self._framed("!serverShutdown", message))

    def open_streams(self, names: list[str]) -> None:
        """Subscribe to the streams that a path names; unknown ones never send anything."""
        for name in names[:MAX_STREAMS]:
            if name not in self._streams:
                self._streams[name] = None
                if self._feed.is_stream(name):
                    self._feed.subscribe(name, self.send)

    def close(self) -> None:
        """Leave all streams."""
        for name in self._streams:
            self._feed.unsubscribe(name, self.send)
        self._streams.clear()

    def answer(self, text: str) -> dict[str, object]:
        """Return the answer to one control message."""
        identifier: object = None
        try:
            frame = _read(text)
            identifier = _identifier(frame)
            handle = self._method(str(frame["method"]))
            return {"result": handle(_parameters(frame)), "id": identifier}
        except StreamError as error:
            return {"error": {"code": error.code, "msg": error.message}, "id": identifier}

    def _method(self, name: str) -> Callable[[list[object]], object]:
        handle = self._methods.get(name)
        if handle is None:
            text = f"Invalid request: unknown variant `{name}`, expected one of {_METHODS}"
            raise StreamError(2, text)
        return handle

    def _subscribe(self, parameters: list[object]) -> None:
        names = [str(each) for each in parameters]
        if len(self._streams | dict.fromkeys(names)) > MAX_STREAMS:
            raise StreamError(2, f"Invalid request: too many streams, at most {MAX_STREAMS}")
        self.open_streams(names)

    def _unsubscribe(self, parameters: list[object]) -> None:
        for name in map(str, parameters):
            if self._streams.pop(name, self) is None:
                self._feed.unsubscribe(name, self.send)

    def _list(self, parameters: list[object]) -> list[str]:
        if parameters:
            raise StreamError(2, "Invalid request: too many parameters")
        return list(self._streams)

    def _set_property(self, parameters: list[object]) -> None:
        _check_property(parameters, expected=2)
        if not isinstance(parameters[1], bool):
            raise StreamError(1, "Invalid value type: expected Boolean")
        self._combined = parameters[1]

    def _get_property(self, parameters: list[object]) -> bool:
        _check_property(parameters, expected=1)
        return self._combined


def _check_property(parameters: list[object], *, expected: int) -> None:
    if not parameters or not isinstance(parameters[0], str):
        raise StreamError(2, "Invalid request: property name must be a string")
    if parameters[0] != "combined":
        raise StreamError(0, "Unknown property")
    if len(parameters) != expected:
        raise StreamError(2, "Invalid request: too many parameters")


def _read(text: str) -> dict[str, object]:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StreamError(3, "Invalid JSON: expected value at line 1 column 1") from error
    if not isinstance(frame, dict):
        raise StreamError(3, "Invalid JSON: expected an object")
    if "method" not in frame:
        raise StreamError(2, "Invalid request: missing field `method`")
    return frame


def _parameters(frame: dict[str, object]) -> list[object]:
    parameters = frame.get("params", [])
    if not isinstance(parameters, list):
        raise StreamError(2, "Invalid request: params must be an array")
    return parameters


def _identifier(frame: dict[str, object]) -> object:
    identifier = frame.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, int | str | None):
        raise StreamError(2, "Invalid request: request ID must be an unsigned integer")
    if isinstance(identifier, str) and len(identifier) > _LONGEST_ID:
        raise StreamError(2, "Invalid request: request ID must be an unsigned integer")
    return identifier


def _report(clock: "asyncio.Task[None]") -> None:
    """Log why the periodic streams ended, unless the server ends."""
    error = None if clock.cancelled() else clock.exception()
    if error is not None:
        log.error("the periodic market streams have stopped", exc_info=error)


class MarketStreams:
    """All connections to the market streams, and the clock that drives the periodic ones."""

    def __init__(self, spot: Spot) -> None:
        self._spot = spot
        self._feed = MarketFeed(spot)
        self._open: list[StreamSession] = []
        self._clock: asyncio.Task[None] | None = None

    async def raw(self, request: web.Request) -> web.StreamResponse:
        """Serve `/ws`: messages as they are."""
        names = request.match_info.get("streams", "").split("/")
        return await self._serve(request, [each for each in names if "@" in each], combined=False)

    async def combined(self, request: web.Request) -> web.StreamResponse:
        """Serve `/stream`: messages with the name of their stream."""
        names = [name for name in request.query.get("streams", "").split("/") if name]
        return await self._serve(request, names, combined=True)

    async def _serve(
        self, request: web.Request, names: list[str], *, combined: bool
    ) -> web.StreamResponse:
        connection = await Connection.open(request)
        session = StreamSession(self._feed, connection, combined=combined)
        session.open_streams(names)
        self._open.append(session)
        try:
            await self._listen(session)
        finally:
            self._open.remove(session)
            session.close()
        return connection.response

    async def _listen(self, session: StreamSession) -> None:
        """Answer a client's messages until it leaves, or sends too many in a second."""
        second, count = 0, 0
        async with aclosing(session.connection.messages()) as messages:
            async for text in messages:
                now = self._spot.venue.client_time() // 1000
                second, count = now, count + 1 if now == second else 1
                if count > self._spot.settings.stream_messages:
                    reason = b"Too many requests"
                    await session.connection.close(WSCloseCode.POLICY_VIOLATION, reason)
                    return
                session.connection.send(_encode(session.answer(text)))

    def start(self) -> None:
        """Begin with the periodic streams."""
        self._clock = asyncio.create_task(self._run())
        self._clock.add_done_callback(_report)

    async def _run(self) -> None:
        fast_ticks = round(SLOW / FAST)
        tick = 0
        while True:
            await asyncio.sleep(FAST)
            tick += 1
            if not self._feed.is_idle:
                self._spot.venue.advance()
                self._feed.tick(fast=True)
                if tick % fast_ticks == 0:
                    self._feed.tick(fast=False)

    async def shut_down(self) -> None:
        """End the periodic streams and all connections."""
        if self._clock is not None:
            self._clock.cancel()
        now = self._spot.venue.client_time()
        await asyncio.gather(*(session.shut_down(now) for session in self._open))
