"""The calls of Binance spot that exist here: one table for REST, the WebSocket API and the docs.

Paths, names, parameters and weights are Binance's (rest-api.md and web-socket-api.md, 2026-07-21).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tradingbot_exchange.binance.call_parameters import (
    ANY_SYMBOL,
    END,
    FROM_ID,
    INTERVALS,
    LIMIT,
    MAYBE_SIGNED,
    NEW_CLIENT_ID,
    NEW_ORDER,
    OCO,
    OLD_OCO,
    ORDER_ID,
    ORIG_CLIENT_ID,
    REPLACE,
    RESTRICTIONS,
    SIGNED,
    START,
    STATUS,
    SYMBOL,
    SYMBOLS,
    TYPE,
)
from tradingbot_exchange.binance.parameters import Kind, Parameter, Schema, Values


class Security(StrEnum):
    """What a call needs. KEY is a key without a signature, as some of /sapi take it."""

    NONE = "NONE"
    KEY = "KEY"
    USER_DATA = "USER_DATA"
    TRADE = "TRADE"

    @property
    def signed(self) -> bool:
        """Whether a timestamp and a signature are mandatory."""
        return self is Security.TRADE or self is Security.USER_DATA


Weight = int | Callable[[Values], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `path` begins with /api or /sapi; `websocket` is its name in the WebSocket API."""

    name: str
    method: str
    path: str
    websocket: str | None = None
    security: Security = Security.NONE
    weight: Weight = 1
    free_if_successful: bool = False
    """Calls that only cost weight when they fail, since 2026-04-02."""
    weights: str = ""
    """The weight in words, where it is not one number."""
    schema: Schema = field(default_factory=lambda: Schema(()))

    def weigh(self, values: Values) -> int:
        """Return the weight of a request."""
        return self.weight if isinstance(self.weight, int) else self.weight(values)


def _depth_weight(values: Values) -> int:
    limit = values.limit(100)
    return next(weight for most, weight in DEPTH_WEIGHTS if limit <= most)


DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
"""The weight of a depth request up to a limit."""


def _by_symbols(one: int, every: int) -> Callable[[Values], int]:
    def weigh(values: Values) -> int:
        return one if "symbol" in values else every

    return weigh


_TICKER_WEIGHTS = ((20, 2), (100, 40), (10**6, 80))


def _ticker_weight(values: Values) -> int:
    symbols = values.symbols()
    if symbols is None:
        return 2 if "symbol" in values else 80
    return next(
        weight for most, weight in ((20, 2), (100, 40), (10**6, 80)) if len(symbols) <= most
    )


def _kline(name: str, websocket: str) -> Call:
    return Call(
        name=name,
        method="GET",
        path=f"/api/v3/{name}",
        websocket=websocket,
        weight=2,
        schema=Schema(
            (
                SYMBOL,
                Parameter("interval", Kind.ENUM, mandatory=True, choices=INTERVALS),
                *(START, END, LIMIT),
                Parameter("timeZone", Kind.TEXT),
            )
        ),
    )


GENERAL = (
    Call(name="ping", method="GET", path="/api/v3/ping", websocket="ping"),
    Call(name="time", method="GET", path="/api/v3/time", websocket="time"),
    Call(
        name="exchangeInfo",
        method="GET",
        path="/api/v3/exchangeInfo",
        websocket="exchangeInfo",
        weight=20,
        schema=Schema(
            (
                *(ANY_SYMBOL, SYMBOLS, STATUS),
                Parameter("permissions", Kind.TEXT),
                Parameter("showPermissionSets", Kind.BOOLEAN),
            )
        ),
    ),
)

MARKET_DATA = (
    Call(
        name="depth",
        method="GET",
        path="/api/v3/depth",
        websocket="depth",
        weight=_depth_weight,
        weights="5, 25, 50, 250 for a limit up to 100, 500, 1000, 5000",
        schema=Schema((SYMBOL, Parameter("limit", Kind.LONG, limit=5000), STATUS)),
    ),
    Call(
        name="trades",
        method="GET",
        path="/api/v3/trades",
        websocket="trades.recent",
        weight=25,
        schema=Schema((SYMBOL, LIMIT)),
    ),
    Call(
        name="historicalTrades",
        method="GET",
        path="/api/v3/historicalTrades",
        websocket="trades.historical",
        weight=25,
        schema=Schema((SYMBOL, LIMIT, FROM_ID)),
    ),
    Call(
        name="aggTrades",
        method="GET",
        path="/api/v3/aggTrades",
        websocket="trades.aggregate",
        weight=4,
        schema=Schema((SYMBOL, FROM_ID, START, END, LIMIT)),
    ),
    _kline("klines", "klines"),
    _kline("uiKlines", "uiKlines"),
    Call(
        name="avgPrice",
        method="GET",
        path="/api/v3/avgPrice",
        websocket="avgPrice",
        weight=2,
        schema=Schema((SYMBOL,)),
    ),
    Call(
        name="ticker24hr",
        method="GET",
        path="/api/v3/ticker/24hr",
        websocket="ticker.24hr",
        weight=_ticker_weight,
        weights="2 for up to 20 symbols, 40 up to 100, 80 beyond or for all",
        schema=Schema((ANY_SYMBOL, SYMBOLS, Parameter("type", Kind.ENUM, choices=TYPE), STATUS)),
    ),
    Call(
        name="tickerPrice",
        method="GET",
        path="/api/v3/ticker/price",
        websocket="ticker.price",
        weight=_by_symbols(2, 4),
        weights="2 for one symbol, 4 otherwise",
        schema=Schema((ANY_SYMBOL, SYMBOLS, STATUS)),
    ),
    Call(
        name="bookTicker",
        method="GET",
        path="/api/v3/ticker/bookTicker",
        websocket="ticker.book",
        weight=_by_symbols(2, 4),
        weights="2 for one symbol, 4 otherwise",
        schema=Schema((ANY_SYMBOL, SYMBOLS, STATUS)),
    ),
)


def _trade(
    name: str, method: str, path: str, websocket: str, parameters: tuple[Parameter, ...]
) -> Call:
    return Call(
        name=name,
        method=method,
        path=f"/api/v3/{path}",
        websocket=websocket,
        security=Security.TRADE,
        weight=1,
        free_if_successful=True,
        weights="1 if it fails",
        schema=Schema((*parameters, *SIGNED)),
    )


_CANCEL = (SYMBOL, ORDER_ID, ORIG_CLIENT_ID, NEW_CLIENT_ID, RESTRICTIONS)

TRADING = (
    _trade("newOrder", "POST", "order", "order.place", NEW_ORDER),
    Call(
        name="testOrder",
        method="POST",
        path="/api/v3/order/test",
        websocket="order.test",
        security=Security.TRADE,
        weight=lambda values: 20 if values.flag("computeCommissionRates") else 1,
        weights="1, or 20 with computeCommissionRates",
        schema=Schema((*NEW_ORDER, Parameter("computeCommissionRates", Kind.BOOLEAN), *SIGNED)),
    ),
    _trade("cancelOrder", "DELETE", "order", "order.cancel", _CANCEL),
    _trade(
        "cancelReplace",
        "POST",
        "order/cancelReplace",
        "order.cancelReplace",
        (*NEW_ORDER, *REPLACE),
    ),
    _trade("cancelOpenOrders", "DELETE", "openOrders", "openOrders.cancelAll", (SYMBOL,)),
    _trade("newOco", "POST", "orderList/oco", "orderList.place.oco", OCO),
    _trade("newOldOco", "POST", "order/oco", "orderList.place", OLD_OCO),
    _trade(
        "cancelOrderList",
        "DELETE",
        "orderList",
        "orderList.cancel",
        (
            *(SYMBOL, NEW_CLIENT_ID),
            Parameter("orderListId", Kind.LONG),
            Parameter("listClientOrderId", Kind.CLIENT_ID),
        ),
    ),
)


def _account(
    name: str,
    path: str,
    websocket: str,
    weight: Weight,
    *parameters: Parameter,
    weights: str = "",
) -> Call:
    return Call(
        name=name,
        method="GET",
        path=f"/api/v3/{path}",
        websocket=websocket,
        security=Security.USER_DATA,
        weight=weight,
        weights=weights,
        schema=Schema((*parameters, *SIGNED)),
    )


_OPEN_WEIGHTS = "6 for one symbol, 80 for all"
_BY_ORDER = "20, or 5 with orderId"

ACCOUNT = (
    _account(
        "account",
        "account",
        "account.status",
        20,
        Parameter("omitZeroBalances", Kind.BOOLEAN),
    ),
    _account("commission", "account/commission", "account.commission", 20, SYMBOL),
    _account("orderCounts", "rateLimit/order", "account.rateLimits.orders", 40),
    _account("queryOrder", "order", "order.status", 4, SYMBOL, ORDER_ID, ORIG_CLIENT_ID),
    _account(
        "openOrders",
        "openOrders",
        "openOrders.status",
        _by_symbols(6, 80),
        ANY_SYMBOL,
        weights=_OPEN_WEIGHTS,
    ),
    _account("allOrders", "allOrders", "allOrders", 20, SYMBOL, ORDER_ID, START, END, LIMIT),
    _account(
        "queryOrderList",
        "orderList",
        "orderList.status",
        4,
        Parameter("orderListId", Kind.LONG),
        ORIG_CLIENT_ID,
    ),
    _account("allOrderLists", "allOrderList", "allOrderLists", 20, FROM_ID, START, END, LIMIT),
    _account("openOrderLists", "openOrderList", "openOrderLists.status", 6),
    _account(
        "myTrades",
        "myTrades",
        "myTrades",
        lambda values: 5 if "orderId" in values else 20,
        *(SYMBOL, ORDER_ID, START, END, FROM_ID, LIMIT),
        weights=_BY_ORDER,
    ),
    _account("myFilters", "myFilters", "myFilters", 40, SYMBOL),
)


def _wallet(name: str, path: str, *parameters: Parameter, key_only: bool = False) -> Call:
    return Call(
        name=name,
        method="GET",
        path=f"/sapi/v1/{path}",
        security=Security.KEY if key_only else Security.USER_DATA,
        schema=Schema((*parameters, *(MAYBE_SIGNED if key_only else SIGNED))),
    )


SAPI = (
    Call(name="systemStatus", method="GET", path="/sapi/v1/system/status"),
    _wallet("coins", "capital/config/getall"),
    _wallet("tradeFee", "asset/tradeFee", ANY_SYMBOL),
    _wallet("accountStatus", "account/status"),
    _wallet("apiTradingStatus", "account/apiTradingStatus"),
    _wallet("apiRestrictions", "account/apiRestrictions"),
    _wallet("marginPairs", "margin/allPairs", ANY_SYMBOL, key_only=True),
    _wallet("isolatedMarginPairs", "margin/isolated/allPairs", ANY_SYMBOL, key_only=True),
    _wallet("delistSchedule", "spot/delist-schedule", key_only=True),
)

CALLS = (*GENERAL, *MARKET_DATA, *TRADING, *ACCOUNT, *SAPI)
"""Every call that is answered here."""

NOT_SUPPORTED = frozenset(
    {
        ("POST", "/api/v3/orderList/oto"),
        ("POST", "/api/v3/orderList/otoco"),
        ("POST", "/api/v3/orderList/opo"),
        ("POST", "/api/v3/orderList/opoco"),
        ("POST", "/api/v3/sor/order"),
        ("POST", "/api/v3/sor/order/test"),
        ("PUT", "/api/v3/order/amend/keepPriority"),
        ("GET", "/api/v3/order/amendments"),
        ("GET", "/api/v3/executionRules"),
        ("GET", "/api/v3/historicalBlockTrades"),
        ("GET", "/api/v3/referencePrice"),
        ("GET", "/api/v3/referencePrice/calculation"),
        ("GET", "/api/v3/ticker"),
        ("GET", "/api/v3/ticker/tradingDay"),
        ("GET", "/api/v3/myPreventedMatches"),
        ("GET", "/api/v3/myAllocations"),
    }
)
"""Calls that Binance has, and that are refused here with -1020."""
