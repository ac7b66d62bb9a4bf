"""Binance's WebSocket API: the calls of the table, sessions, and events of accounts.

One frame is one request `{id, method, params}`, and one answer `{id, status, result | error,
rateLimits}`. Events come between answers, wrapped as `{subscriptionId, event}`.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from aiohttp import web

from tradingbot_exchange.binance import errors, signing, user_events
from tradingbot_exchange.binance.call_parameters import SIGNED
from tradingbot_exchange.binance.calls import CALLS, Call, Security
from tradingbot_exchange.binance.connection import Connection
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.fault_errors import error_of
from tradingbot_exchange.binance.framing import (
    BadFrameError,
    Proof,
    check_proof,
    read_frame,
    without_envelope,
)
from tradingbot_exchange.binance.parameters import Kind, Parameter, Schema, Values
from tradingbot_exchange.binance.rest import error_response
from tradingbot_exchange.binance.spot import Spot
from tradingbot_exchange.binance.user_stream import UserStreams
from tradingbot_exchange.engine.types import RefusedError
from tradingbot_exchange.faults.board import Verdict
from tradingbot_exchange.faults.model import (
    DoubleAnswer,
    DoubleRequest,
    DropRequest,
    Fault,
    LoseAnswer,
    ServerError,
)
from tradingbot_exchange.faults.requests import REQUEST_FAULTS, RequestFaults
from tradingbot_exchange.venue import ApiKey

CONNECT_WEIGHT = 2
SESSION_WEIGHT = 2
MAX_SUBSCRIPTIONS = 1000
"""Subscriptions that one connection may have at the same time."""

_TOO_MANY = 429
_BANNED = 418

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

BY_WEBSOCKET = {call.websocket: call for call in CALLS if call.websocket is not None}
_NOT_SUPPORTED = frozenset(
    {
        *("orderList.place.oto", "orderList.place.otoco"),
        *("orderList.place.opo", "orderList.place.opoco"),
        *("sor.order.place", "sor.order.test", "order.amend.keepPriority", "order.amendments"),
        *("executionRules", "blockTrades.historical", "referencePrice"),
        *("referencePrice.calculation", "ticker", "ticker.tradingDay"),
        *("myPreventedMatches", "myAllocations"),
    }
)
_SUBSCRIPTION = Schema((Parameter("subscriptionId", Kind.LONG),))
_SESSION = Schema(SIGNED)
_NOTHING = Schema(())


@dataclass(slots=True)
class Subscription:
    """One account whose events a connection receives."""

    account: str
    by_session: bool
    end: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Frame:
    """One request."""

    identifier: object
    method: str
    parameters: dict[str, str]

    @property
    def call(self) -> Call | None:
        """The call of the table; None for requests of sessions and subscriptions."""
        return BY_WEBSOCKET.get(self.method)

    @property
    def operation(self) -> str:
        """What a fault matches: method and path of the same call over REST."""
        call = self.call
        return f"WS /{self.method}" if call is None else f"{call.method} {call.path}"


@dataclass(slots=True)
class Session:
    """The state of one connection."""

    connection: Connection
    address: str
    connected: int
    faults: RequestFaults | None
    delayed: set[asyncio.Task[None]] = field(default_factory=set)
    """Requests that a fault keeps from the exchange for a while."""
    return_rate_limits: bool = True
    key: ApiKey | None = None
    authorized: int | None = None
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    next_subscription: int = 0

    def status(self, now: int) -> dict[str, object]:
        """Return what `session.status` answers."""
        return {
            "apiKey": None if self.key is None else self.key.name,
            "authorizedSince": self.authorized,
            "connectedSince": self.connected,
            "returnRateLimits": self.return_rate_limits,
            "serverTime": now,
            "userDataStream": bool(self.subscriptions),
        }


class WebSocketApi:
    """The WebSocket API of one exchange."""

    def __init__(self, spot: Spot, streams: UserStreams) -> None:
        self._spot = spot
        self._streams = streams
        self._open: list[Session] = []
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
        spot, address = self._spot, request.remote or ""
        now = spot.venue.client_time()
        try:
            spot.weights.admit(address, now=now)
        except ApiError as error:
            return error_response(error)
        spot.weights.add(address, CONNECT_WEIGHT, now=now)
        connection = await Connection.open(request)
        session = Session(connection, address, now, request.config_dict.get(REQUEST_FAULTS))
        session.return_rate_limits = request.query.get("returnRateLimits") != "false"
        self._open.append(session)
        try:
            async with aclosing(connection.messages()) as messages:
                async for text in messages:
                    self._receive(session, text)
        finally:
            self._open.remove(session)
            for task in session.delayed:
                task.cancel()
            for subscription in session.subscriptions.values():
                subscription.end()
        return connection.response

    async def shut_down(self) -> None:
        """Tell all clients that the server ends, and close their connections."""
        event = {"event": user_events.server_shutdown(time=self._spot.venue.client_time())}
        text = _encode(event)
        await asyncio.gather(*(each.connection.say_goodbye(text) for each in self._open))

    # One request

    def _receive(self, session: Session, text: str) -> None:
        """Answer one frame, at once or after the delay of a fault."""
        try:
            frame = Frame(*read_frame(text))
        except BadFrameError as error:
            self._send(session, self._failed(session, Frame(error.identifier, "", {}), error.error))
            return
        faults = session.faults
        verdict = Verdict(0, None) if faults is None else faults.verdict(frame.operation)
        if not verdict.delay:
            self._respond(session, frame, verdict.fault)
            return

        async def wait() -> None:
            await asyncio.sleep(verdict.delay / 1000)
            self._respond(session, frame, verdict.fault)

        # Later requests do not wait for this one: Binance answers in any order, too.
        task = asyncio.create_task(wait())
        session.delayed.add(task)
        task.add_done_callback(session.delayed.discard)

    def _respond(self, session: Session, frame: Frame, fault: Fault | None) -> None:
        """Carry out a request and send its answer, as far as a fault lets it."""
        error = None if fault is None else error_of(fault)
        if error is not None:
            if isinstance(fault, ServerError) and fault.executed:
                self._answer(session, frame)
            self._send(session, self._failed(session, frame, error))
        elif isinstance(fault, DropRequest):
            session.connection.abort()
        else:
            answer = self._answer(session, frame)
            if isinstance(fault, LoseAnswer):
                session.connection.abort()
                return
            if isinstance(fault, DoubleRequest):
                self._answer(session, frame)
            for _ in range(2 if isinstance(fault, DoubleAnswer) else 1):
                self._send(session, answer)

    def _send(self, session: Session, answer: dict[str, object]) -> None:
        session.connection.send(_encode(answer))

    def _answer(self, session: Session, frame: Frame) -> dict[str, object]:
        """Carry out a request and return its answer."""
        account = ""
        try:
            if frame.call is None:
                result = self._session_request(session, frame.method, frame.parameters)
            else:
                account, result = self._call(session, frame.call, frame.parameters)
        except (ApiError, RefusedError) as error:
            told = errors.refusal(error) if isinstance(error, RefusedError) else error
            return self._failed(session, frame, told)
        answer = {"id": frame.identifier, "status": 200, "result": result}
        return answer | self._limits_shown(session, frame, account)

    def _failed(self, session: Session, frame: Frame, error: ApiError) -> dict[str, object]:
        answer = _failure(frame.identifier, error, self._spot.venue.client_time())
        return answer | self._limits_shown(session, frame, "")

    def _limits_shown(self, session: Session, frame: Frame, account: str) -> dict[str, object]:
        show = frame.parameters.get("returnRateLimits")
        if session.return_rate_limits if show is None else show == "true":
            return {"rateLimits": self._rate_limits(session, account)}
        return {}

    def _call(self, session: Session, call: Call, parameters: dict[str, str]) -> tuple[str, object]:
        """Carry out a call of the table; also return the account whose orders it counts."""
        proof = self._proof(session, call.security, parameters)
        sent = without_envelope(parameters)
        result = self._spot.answer(call, sent, proof, address=session.address)
        placing = call.security is Security.TRADE and proof.key is not None
        return (self._spot.venue.keys[proof.key].account if placing and proof.key else ""), result

    def _proof(self, session: Session, security: Security, parameters: dict[str, str]) -> Proof:
        if security is Security.NONE:
            return Proof()
        if parameters.keys().isdisjoint({"apiKey", "signature"}) and session.key is not None:
            if session.key.name not in self._spot.venue.keys:
                session.key = session.authorized = None
                raise errors.rejected_key()
            return Proof(session.key.name, session=True)
        if "apiKey" not in parameters:
            raise errors.missing("apiKey")
        return Proof.of_frame(parameters)

    def _rate_limits(self, session: Session, account: str) -> list[dict[str, object]]:
        now = self._spot.venue.client_time()
        limits = self._spot.settings.limits
        rows = []
        if account:
            rows = [
                ("ORDERS", interval.name, interval.number, most, count)
                for interval, most, count in self._spot.order_counts.counts(account, now=now)
            ]
        used = self._spot.weights.used(session.address, now=now)
        rows.append(("REQUEST_WEIGHT", "MINUTE", 1, limits.weight, used))
        names = ("rateLimitType", "interval", "intervalNum", "limit", "count")
        return [dict(zip(names, row, strict=True)) for row in rows]

    # Sessions

    def _session_request(self, session: Session, method: str, parameters: dict[str, str]) -> object:
        handle = self._methods.get(method)
        if handle is None:
            if method in _NOT_SUPPORTED:
                raise errors.not_supported()
            raise ApiError(-1130, f"Data sent for parameter 'method' is not valid: {method}")
        now = self._spot.venue.client_time()
        self._spot.weights.admit(session.address, now=now)
        self._spot.weights.charge(session.address, SESSION_WEIGHT, now=now)
        return handle(session, parameters)

    def _proven_key(self, parameters: dict[str, str], *, ed25519_only: bool) -> ApiKey:
        """Return the key whose signature a session request carries. Raises ApiError."""
        for name in ("apiKey", "signature"):
            if not parameters.get(name):
                raise errors.missing(name)
        proof = Proof.of_frame(parameters)
        key = self._spot.identify(Security.USER_DATA, proof)
        values = _SESSION.read(without_envelope(parameters))
        if key is None or (ed25519_only and not signing.is_ed25519(key.secret)):
            raise ApiError(-1020, "This operation is only supported with Ed25519 API keys.")
        check_proof(key.secret, proof, values, now=self._spot.venue.client_time())
        return key

    def _logon(self, session: Session, parameters: dict[str, str]) -> object:
        strict = not self._spot.settings.hmac_logon
        key = self._proven_key(parameters, ed25519_only=strict)
        now = self._spot.venue.client_time()
        session.key, session.authorized = key, now
        return session.status(now)

    def _status(self, session: Session, parameters: dict[str, str]) -> object:
        _read(_NOTHING, parameters)
        return session.status(self._spot.venue.client_time())

    def _logout(self, session: Session, parameters: dict[str, str]) -> object:
        _read(_NOTHING, parameters)
        session.key = session.authorized = None
        for number, subscription in tuple(session.subscriptions.items()):
            if subscription.by_session:
                self._end(session, number)
        return session.status(self._spot.venue.client_time())

    # Subscriptions

    def _subscriptions(self, session: Session, parameters: dict[str, str]) -> object:
        _read(_NOTHING, parameters)
        return [{"subscriptionId": number} for number in session.subscriptions]

    def _subscribe(self, session: Session, parameters: dict[str, str]) -> object:
        _read(_NOTHING, parameters)
        if session.key is None:
            raise errors.missing("apiKey")
        return self._begin(session, session.key.account, by_session=True)

    def _subscribe_signature(self, session: Session, parameters: dict[str, str]) -> object:
        key = self._proven_key(parameters, ed25519_only=False)
        return self._begin(session, key.account, by_session=False)

    def _begin(self, session: Session, account: str, *, by_session: bool) -> object:
        if any(each.account == account for each in session.subscriptions.values()):
            raise ApiError(-2035, "User Data Stream subscription already active.")
        if len(session.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ApiError(-2042, "Maximum subscription ID reached for this connection.")
        number = session.next_subscription
        session.next_subscription += 1

        def deliver(event: dict[str, object]) -> None:
            session.connection.send(_encode({"subscriptionId": number, "event": event}))

        end = self._streams.subscribe(account, deliver)
        session.subscriptions[number] = Subscription(account, by_session, end)
        return {"subscriptionId": number}

    def _unsubscribe(self, session: Session, parameters: dict[str, str]) -> object:
        number = _read(_SUBSCRIPTION, parameters).number("subscriptionId")
        if number is None:
            for each in tuple(session.subscriptions):
                self._end(session, each)
            return {}
        if number not in session.subscriptions:
            raise ApiError(-2036, "User Data Stream subscription not active.")
        self._end(session, number)
        return {}

    def _end(self, session: Session, number: int) -> None:
        session.subscriptions.pop(number).end()
        event = user_events.stream_terminated(time=self._spot.venue.client_time())
        session.connection.send(_encode({"subscriptionId": number, "event": event}))


def _read(schema: Schema, parameters: dict[str, str]) -> Values:
    """Read the parameters of a session request. A signature that it does not need is ignored."""
    ignored = {"apiKey", "returnRateLimits", "timestamp", "signature", "recvWindow"}
    return schema.read({name: text for name, text in parameters.items() if name not in ignored})


def _failure(identifier: object, error: ApiError, now: int) -> dict[str, object]:
    body = error.body()
    if error.retry_after is not None and error.status in {_TOO_MANY, _BANNED}:
        body["data"] = {"serverTime": now, "retryAfter": now + error.retry_after * 1000}
    return {"id": identifier, "status": error.status, "error": body}
