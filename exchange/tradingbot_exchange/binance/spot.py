"""What all calls and streams of one exchange share, and how one request is carried out.

REST and the WebSocket API both end in `Spot.answer`: they differ in how a request is framed and
proven, and in nothing else.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar, cast

from tradingbot_exchange.binance import errors
from tradingbot_exchange.binance.calls import Call, Security
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.framing import Proof, check_proof
from tradingbot_exchange.binance.limits import OrderCounts, RateLimits, RequestWeights
from tradingbot_exchange.binance.parameters import Values
from tradingbot_exchange.binance.symbols import Symbols
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import Change, Event, OrderEvent, RefusedError
from tradingbot_exchange.venue import ApiKey, Venue

T = TypeVar("T")

_KEY_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def random_client_id() -> str:
    """Return a client id for an order that was sent without one."""
    return secrets.token_hex(11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be chosen about this dialect."""

    limits: RateLimits = field(default_factory=RateLimits)
    hmac_logon: bool = False
    """Whether `session.logon` accepts HMAC and RSA keys; Binance accepts Ed25519 only."""
    stream_messages: int = 5
    """Messages that a market stream accepts in a second."""
    client_id: Callable[[], str] = random_client_id


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was checked. `account` is empty if the call is public.

    `time` is when it arrived, by the clock that clients compare theirs with.
    """

    values: Values
    account: str
    time: int
    symbol: str = ""
    """The engine's name of the parameter `symbol`."""
    permissions: frozenset[str] = frozenset()
    """Of the key."""


Handler = Callable[["Spot", Request], object]


class Spot:
    """One simulated Binance spot exchange."""

    def __init__(
        self, venue: Venue, handlers: Mapping[str, Handler], settings: Settings | None = None
    ) -> None:
        self.venue = venue
        self.settings = settings or Settings()
        self.symbols = Symbols(venue.engine.instruments())
        self.weights = RequestWeights(self.settings.limits)
        self.order_counts = OrderCounts(self.settings.limits)
        self.cancel_id = ""
        """The client id of the cancel that is carried out now."""
        self._handlers = handlers
        venue.listen(self._uncount_filled)

    # Requests

    def answer(self, call: Call, sent: Mapping[str, str], proof: Proof, *, address: str) -> object:
        """Carry out a request, and return the value of its answer. Raises ApiError."""
        now = self.venue.client_time()
        weighed = call.path.startswith("/api/")
        if weighed:
            self.weights.admit(address, now=now)
        weight, charged = 1, False
        try:
            key = self.identify(call.security, proof)
            if key is not None and proof.payload is None and call.security.signed:
                raise errors.bad_signature()
            values = call.schema.read(sent)
            weight = call.weigh(values)
            if key is not None and call.security.signed:
                check_proof(key.secret, proof, values, now=now)
            if weighed and not call.free_if_successful:
                charged = True
                self.weights.charge(address, weight, now=now)
            if not call.free_if_successful:
                self.venue.advance()
            return self._handlers[call.name](self, self._request(values, key, now))
        except RefusedError as error:
            if weighed and not charged:
                self.weights.add(address, weight, now=now)
            raise errors.refusal(error) from error
        except ApiError:
            if weighed and not charged:
                self.weights.add(address, weight, now=now)
            raise

    def _request(self, values: Values, key: ApiKey | None, now: int) -> Request:
        name = values.text("symbol")
        symbol = self.symbols.instrument(name).symbol if name is not None else ""
        if key is None:
            return Request(values, "", now, symbol)
        return Request(values, key.account, now, symbol, key.permissions)

    def identify(self, security: Security, proof: Proof) -> ApiKey | None:
        """Return the key of a request, or None if it needs none. Raises ApiError (-2014, -2015)."""
        if security is Security.NONE:
            return None
        if proof.key is None or _KEY_NAME.fullmatch(proof.key) is None:
            raise errors.bad_key_format()
        key = self.venue.keys.get(proof.key)
        needed = "trade" if security is Security.TRADE else "read"
        if key is None or needed not in key.permissions:
            raise errors.rejected_key()
        return key

    # The engine

    def apply(self, change: Callable[[Engine, int], tuple[T, list[Event]]]) -> T:
        """Change the engine through the venue, and return the first value of the change."""
        return cast("T", self.venue.apply(change))

    @contextmanager
    def canceling(self, cancel_id: str) -> Iterator[None]:
        """Name the cancel that is carried out inside, for the events that come of it."""
        self.cancel_id = cancel_id
        try:
            yield
        finally:
            self.cancel_id = ""

    def _uncount_filled(self, events: Sequence[Event]) -> None:
        """Take an order off the unfilled ones with its first fill."""
        for event in events:
            if isinstance(event, OrderEvent) and event.change is Change.FILLED:
                order = event.order
                if event.fill is not None and event.fill.quantity == event.filled:
                    now = self.venue.client_time()
                    self.order_counts.give_back(order.account, 1, now=now)
