"""Binance's WebSocket API, which ends here: each frame is a call of the table, or of the session.

Calls travel to the exchange as REST, so an order has one way to be judged, sent and lost, whatever
it came by. Events are those of the gateway's own user data stream, after it has counted them; when
that stream is cut, connections with a subscription are closed, so that the bot reads again what it
may have missed.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, web
from tradingbot_exchange.binance import errors, user_events
from tradingbot_exchange.binance.calls import Security
from tradingbot_exchange.binance.connection import Connection
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.framing import (
    BadFrameError,
    Proof,
    read_frame,
    without_envelope,
)

from tradingbot_gateway.account_stream import Event
from tradingbot_gateway.answers import Answer, Wall
from tradingbot_gateway.binance.account import Account
from tradingbot_gateway.binance.calls import BY_WEBSOCKET, SESSION_METHODS, Allowed
from tradingbot_gateway.binance.dispatch import Dispatch
from tradingbot_gateway.binance.proof import Gatekeeper
from tradingbot_gateway.binance.refusals import RefusalError, not_allowed
from tradingbot_gateway.binance.views import in_event
from tradingbot_gateway.connection import LONGEST_FRAME

log = logging.getLogger(__name__)

_AT_ONCE = 50
"""Calls of one connection that are under way at the same time."""

_LONGEST_SHOWN = 100
_WEIGHT, _ORDERS_10S, _ORDERS_DAY = (
    "x-mbx-used-weight-1m",
    "x-mbx-order-count-10s",
    "x-mbx-order-count-1d",
)
_LIMITS = (
    (_ORDERS_10S, "ORDERS", "SECOND", 10, 100),
    (_ORDERS_DAY, "ORDERS", "DAY", 1, 200_000),
    (_WEIGHT, "REQUEST_WEIGHT", "MINUTE", 1, 6000),
)
"""Headers of REST that become `rateLimits`, with the limits that Binance documents."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(eq=False, slots=True)
class Session:
    """The state of one connection."""

    api: "WebSocketApi"
    connection: Connection
    connected: int
    key: str | None = None
    authorized: int | None = None
    subscriptions: dict[int, bool] = field(default_factory=dict)
    """Subscriptions, and whether they were made by the session's key."""
    next_subscription: int = 0

    def status(self, now: int) -> dict[str, object]:
        """Return what `session.status` answers."""
        return {
            "apiKey": self.key,
            "authorizedSince": self.authorized,
            "connectedSince": self.connected,
            "returnRateLimits": True,
            "serverTime": now,
            "userDataStream": bool(self.subscriptions),
        }

    def on_event(self, event: Event) -> None:
        """Send an event to the bot, once for each subscription."""
        shown = (
            in_event(event, self.api.account.holds(), self.api.account.tag)
            if self.subscriptions
            else None
        )
        if shown is None:
            return
        for number in self.subscriptions:
            self.connection.send(_encode({"subscriptionId": number, "event": shown}))

    def on_cut(self) -> None:
        """Close the connection, if it receives events."""
        if self.subscriptions:
            self.api.cut(self)


class WebSocketApi:
    """The WebSocket API of one gateway."""

    def __init__(
        self, dispatch: Dispatch, gatekeeper: Gatekeeper, account: Account, wall: Wall
    ) -> None:
        self.account = account
        self._dispatch = dispatch
        self._gatekeeper = gatekeeper
        self._wall = wall
        self._open: set[Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._methods: dict[str, Callable[[Session, dict[str, str]], object]] = {
            "session.logon": self._logon,
            "session.status": self._status,
            "session.logout": self._logout,
            "session.subscriptions": self._subscriptions,
            "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe_signature,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        connection = await Connection.open(request, longest=LONGEST_FRAME)
        session = Session(self, connection, self._wall())
        self._open.add(session)
        self.account.listeners.add(session)
        places = asyncio.Semaphore(_AT_ONCE)
        try:
            async with aclosing(connection.messages()) as messages:
                async for text in messages:
                    await places.acquire()
                    self._start(self._serve(session, text, places))
        finally:
            self._open.discard(session)
            self.account.listeners.discard(session)
        return connection.response

    async def shut_down(self) -> None:
        """Close all connections."""
        text = _encode({"event": user_events.server_shutdown(time=self._wall())})
        closing = (each.connection.say_goodbye(text) for each in tuple(self._open))
        await asyncio.gather(*closing, return_exceptions=True)

    def cut(self, session: Session) -> None:
        """Close a connection whose events may be incomplete."""
        self._start(self._close(session))

    async def _close(self, session: Session) -> None:
        await session.connection.response.close(code=WSCloseCode.SERVICE_RESTART)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # One frame

    async def _serve(self, session: Session, text: str, places: asyncio.Semaphore) -> None:
        try:
            session.connection.send(_encode(await self._answer(session, text)))
        finally:
            places.release()

    async def _answer(self, session: Session, text: str) -> dict[str, object]:
        identifier: object = None
        try:
            identifier, method, parameters = read_frame(text)
            call = BY_WEBSOCKET.get(method)
            if call is None:
                result = self._session_request(session, method, parameters)
                return {"id": identifier, "status": 200, "result": result, "rateLimits": []}
            proof = self._proof(session, call, parameters)
            answer = await self._dispatch.answer(call, without_envelope(parameters), proof)
            return framed(identifier, answer)
        except BadFrameError as error:
            return framed(error.identifier, self._dispatch.refusal(error.error))
        except RefusalError as error:
            return framed(identifier, self._dispatch.refuse(error.message, error))
        except ApiError as error:
            return framed(identifier, self._dispatch.refusal(error))

    def _proof(self, session: Session, call: Allowed, parameters: Mapping[str, str]) -> Proof:
        if call.security is Security.NONE:
            return Proof()
        if parameters.keys().isdisjoint({"apiKey", "signature"}) and session.key is not None:
            return Proof(session.key, session=True)
        if "apiKey" not in parameters:
            raise errors.missing("apiKey")
        return Proof.of_frame(parameters)

    # Sessions

    def _session_request(self, session: Session, method: str, parameters: dict[str, str]) -> object:
        if method not in SESSION_METHODS:
            raise not_allowed(method[:_LONGEST_SHOWN])
        return self._methods[method](session, parameters)

    def _prove(self, parameters: Mapping[str, str]) -> str:
        """Return the key whose signature a session request carries. Raises ApiError."""
        for name in ("apiKey", "signature"):
            if not parameters.get(name):
                raise errors.missing(name)
        self._gatekeeper.check(Security.USER_DATA, Proof.of_frame(parameters), parameters)
        return parameters["apiKey"]

    def _logon(self, session: Session, parameters: dict[str, str]) -> object:
        session.key, session.authorized = self._prove(parameters), self._wall()
        return session.status(self._wall())

    def _status(self, session: Session, parameters: dict[str, str]) -> object:
        del parameters
        return session.status(self._wall())

    def _logout(self, session: Session, parameters: dict[str, str]) -> object:
        del parameters
        session.key = session.authorized = None
        for number in [each for each, by_session in session.subscriptions.items() if by_session]:
            self._end(session, number)
        return session.status(self._wall())

    # Subscriptions

    def _subscriptions(self, session: Session, parameters: dict[str, str]) -> object:
        del parameters
        return [{"subscriptionId": number} for number in session.subscriptions]

    def _subscribe(self, session: Session, parameters: dict[str, str]) -> object:
        del parameters
        if session.key is None:
            raise errors.missing("apiKey")
        return self._begin(session, by_session=True)

    def _subscribe_signature(self, session: Session, parameters: dict[str, str]) -> object:
        self._prove(parameters)
        return self._begin(session, by_session=False)

    def _begin(self, session: Session, *, by_session: bool) -> object:
        if session.subscriptions:
            raise ApiError(-2035, "User Data Stream subscription already active.")
        number = session.next_subscription
        session.next_subscription += 1
        session.subscriptions[number] = by_session
        return {"subscriptionId": number}

    def _unsubscribe(self, session: Session, parameters: dict[str, str]) -> object:
        text = parameters.get("subscriptionId")
        if text is None:
            for each in tuple(session.subscriptions):
                self._end(session, each)
        elif text.isdecimal() and int(text) in session.subscriptions:
            self._end(session, int(text))
        else:
            raise ApiError(-2036, "User Data Stream subscription not active.")
        return {}

    def _end(self, session: Session, number: int) -> None:
        del session.subscriptions[number]
        event = user_events.stream_terminated(time=self._wall())
        session.connection.send(_encode({"subscriptionId": number, "event": event}))


def framed(identifier: object, answer: Answer) -> dict[str, object]:
    """Return an answer of REST as one of the WebSocket API."""
    frame: dict[str, object] = {"id": identifier, "status": answer.status}
    body = answer.json() if answer.body else {"code": -1000, "msg": "The exchange is unreachable."}
    frame["result" if answer.succeeded else "error"] = body
    frame["rateLimits"] = _rate_limits(answer.headers)
    return frame


def _rate_limits(headers: Mapping[str, str]) -> list[dict[str, object]]:
    sent = {name.lower(): value for name, value in headers.items()}
    names = ("rateLimitType", "interval", "intervalNum", "limit")
    return [
        {**dict(zip(names, row, strict=True)), "count": int(sent[header])}
        for header, *row in _LIMITS
        if header in sent and sent[header].isdecimal()
    ]
