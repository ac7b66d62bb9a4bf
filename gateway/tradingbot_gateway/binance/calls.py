"""The calls of Binance that a bot may make through the gateway: one table.

What is not in it is refused: withdrawals, transfers, margin, lending, calls about API keys, and
every way to place an order that the gateway does not judge. docs/gateway-binance.md is generated
from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tradingbot_exchange.binance.calls import CALLS, Call, Security
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.parameters import Schema


class Treatment(StrEnum):
    """What the gateway does with a call."""

    MARKET = "market data, passed through"
    READ = "read, signed with the real key"
    ACCOUNT = "read, signed; holds of the gateway's own orders count as free"
    LISTED = "read, signed; the gateway's own protection is not listed"
    ORDER = "judged, tagged, signed"
    ORDER_LIST = "judged as its two orders, tagged, signed"
    CANCEL_REPLACE = "the new order is judged; then both are sent"
    CANCEL = "refused by no limit, signed; of the bot's own orders alone"
    CANCEL_ALL = "the bot's own orders are cancelled one by one; those of others stay"
    NOTHING = "answered by the gateway: an empty list"
    SESSION = "answered by the gateway"


_HEAVY = 80
"""The weight that counts for a request whose parameters the gateway can't read."""

Weigh = Callable[[Mapping[str, str]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """One call that may pass. `path` is None for what only the WebSocket API has."""

    name: str
    method: str = "GET"
    path: str | None = None
    websocket: str | None = None
    security: Security = Security.NONE
    treatment: Treatment
    schema: Schema | None = None
    """The parameters, for calls that are judged: one that is not known is refused."""
    weigh: Weigh = field(default=lambda _: _HEAVY)
    """Returns the request weight that the exchange counts for these parameters."""


_TREATMENTS = {
    **dict.fromkeys(("newOrder",), Treatment.ORDER),
    **dict.fromkeys(("newOco", "newOldOco"), Treatment.ORDER_LIST),
    **dict.fromkeys(("cancelReplace",), Treatment.CANCEL_REPLACE),
    **dict.fromkeys(("cancelOrder", "cancelOrderList"), Treatment.CANCEL),
    **dict.fromkeys(("cancelOpenOrders",), Treatment.CANCEL_ALL),
    **dict.fromkeys(
        ("openOrders", "allOrders", "openOrderLists", "allOrderLists"), Treatment.LISTED
    ),
    **dict.fromkeys(("account",), Treatment.ACCOUNT),
    **dict.fromkeys(("marginPairs", "isolatedMarginPairs"), Treatment.NOTHING),
}
"""Of the calls that need a key. All others are read."""

_JUDGED = frozenset({Treatment.ORDER, Treatment.ORDER_LIST, Treatment.CANCEL_REPLACE})


def _allowed(call: Call) -> Allowed:
    if call.security is Security.NONE:
        treatment = Treatment.MARKET
    else:
        treatment = _TREATMENTS.get(call.name, Treatment.READ)
    return Allowed(
        name=call.name,
        method=call.method,
        path=call.path,
        websocket=call.websocket,
        security=call.security,
        treatment=treatment,
        schema=call.schema if treatment in _JUDGED else None,
        weigh=_weigher(call),
    )


def _weigher(call: Call) -> Weigh:
    def weigh(sent: Mapping[str, str]) -> int:
        if isinstance(call.weight, int):
            return call.weight
        try:
            return call.weigh(call.schema.read(sent))
        except ApiError:
            return _HEAVY

    return weigh


def _market(name: str, path: str, websocket: str | None = None) -> Allowed:
    return Allowed(name=name, path=path, websocket=websocket, treatment=Treatment.MARKET)


def _read(name: str, path: str, websocket: str | None = None) -> Allowed:
    return Allowed(
        name=name,
        path=path,
        websocket=websocket,
        security=Security.USER_DATA,
        treatment=Treatment.READ,
    )


_MORE = (
    _market("ticker", "/api/v3/ticker", "ticker"),
    _market("tickerTradingDay", "/api/v3/ticker/tradingDay", "ticker.tradingDay"),
    _market("executionRules", "/api/v3/executionRules", "executionRules"),
    _market("referencePrice", "/api/v3/referencePrice", "referencePrice"),
    _read("amendments", "/api/v3/order/amendments", "order.amendments"),
    _read("preventedMatches", "/api/v3/myPreventedMatches", "myPreventedMatches"),
    _read("allocations", "/api/v3/myAllocations", "myAllocations"),
)
"""Reads of Binance that the simulated exchange does not have."""

SESSION_METHODS = (
    *("session.logon", "session.status", "session.logout", "session.subscriptions"),
    *("userDataStream.subscribe", "userDataStream.subscribe.signature"),
    "userDataStream.unsubscribe",
)

ALLOWED = (
    *map(_allowed, CALLS),
    *_MORE,
    *(Allowed(name=name, websocket=name, treatment=Treatment.SESSION) for name in SESSION_METHODS),
)
"""Every call that may pass."""

BY_PATH = {(each.method, each.path): each for each in ALLOWED if each.path is not None}
BY_WEBSOCKET = {
    each.websocket: each
    for each in ALLOWED
    if each.websocket is not None and each.treatment is not Treatment.SESSION
}

STREAM_PATHS = ("/ws", "/ws/{streams:.*}", "/stream")
"""Market streams, passed through."""
