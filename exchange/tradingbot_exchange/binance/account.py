"""Calls about an account: balances, orders, lists, trades, fees and limits."""

import zlib
from collections.abc import Sequence
from decimal import Decimal

from tradingbot_exchange.binance import errors, shapes
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.parameters import Values
from tradingbot_exchange.binance.spot import Request, Spot
from tradingbot_exchange.binance.symbols import amount, filters
from tradingbot_exchange.binance.trading import find_list, find_order, list_orders, no_discount
from tradingbot_exchange.engine.types import (
    Balance,
    Instrument,
    ListStatus,
    Order,
    OrderList,
)

_DAY_HOURS = 24
_DAY = _DAY_HOURS * 60 * 60 * 1000
_BASIS_POINTS = 10_000
_NOTHING = Balance(Decimal(0), Decimal(0))


def account(spot: Spot, request: Request) -> object:
    """Return what the account may do, and its balances."""
    instrument = next(iter(spot.venue.engine.instruments()))
    key_account = request.account
    balances = balances_of(spot, key_account)
    if request.values.flag("omitZeroBalances"):
        balances = {each: held for each, held in balances.items() if held.free or held.held}
    return {
        "makerCommission": int(instrument.maker_fee * _BASIS_POINTS),
        "takerCommission": int(instrument.taker_fee * _BASIS_POINTS),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(instrument),
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": spot.venue.now(),
        "accountType": "SPOT",
        "balances": [shapes.balance(asset, held) for asset, held in balances.items()],
        "permissions": ["SPOT"],
        "uid": user_id(key_account),
    }


def balances_of(spot: Spot, name: str) -> dict[str, Balance]:
    """Return the account's balance of every asset that is traded or that it has."""
    held = spot.venue.engine.balances(name)
    return {asset: held.get(asset, _NOTHING) for asset in [*spot.symbols.assets(), *held]}


def user_id(name: str) -> int:
    """Return a number for an account, the same in each run."""
    return zlib.crc32(name.encode())


def _rates(instrument: Instrument) -> dict[str, object]:
    return {
        "maker": amount(instrument.maker_fee),
        "taker": amount(instrument.taker_fee),
        "buyer": shapes.ZERO,
        "seller": shapes.ZERO,
    }


def commission(spot: Spot, request: Request) -> object:
    """Return the fees of a symbol."""
    none = dict.fromkeys(("maker", "taker", "buyer", "seller"), shapes.ZERO)
    return {
        "symbol": request.values.text("symbol"),
        "standardCommission": _rates(spot.venue.engine.instrument(request.symbol)),
        "specialCommission": none,
        "taxCommission": none,
        "discount": no_discount(),
    }


def order_counts(spot: Spot, request: Request) -> object:
    """Return how many unfilled orders the account has placed."""
    counts = spot.order_counts.counts(request.account, now=request.time)
    return [
        {
            "rateLimitType": "ORDERS",
            "interval": interval.name,
            "intervalNum": interval.number,
            "limit": limit,
            "count": count,
        }
        for interval, limit, count in counts
    ]


def query_order(spot: Spot, request: Request) -> object:
    """Return one order."""
    order = find_order(spot, request, unknown=errors.unknown_order)
    return shapes.order_view(order, request.values.required_text("symbol"))


def _views(spot: Spot, orders: Sequence[Order]) -> list[dict[str, object]]:
    return [shapes.order_view(order, spot.symbols.name(order.request.symbol)) for order in orders]


def open_orders(spot: Spot, request: Request) -> object:
    """Return the open orders of a symbol, or all."""
    return _views(spot, spot.venue.engine.open_orders(request.account, request.symbol or None))


def check_day(values: Values) -> None:
    """Raise ApiError (-1127) unless startTime and endTime are at most 24 hours apart."""
    start, end = values.number("startTime"), values.number("endTime")
    if start is not None and end is not None and end - start > _DAY:
        text = f"More than {_DAY_HOURS} hours between startTime and endTime."
        raise ApiError(-1127, text)


def is_between(values: Values, time: int) -> bool:
    """Whether a time is not before startTime and not after endTime."""
    start, end = values.number("startTime"), values.number("endTime")
    return (start is None or time >= start) and (end is None or time <= end)


def all_orders(spot: Spot, request: Request) -> object:
    """Return the orders of a symbol, whatever became of them."""
    values = request.values
    check_day(values)
    first, limit = values.number("orderId"), values.limit(500)
    found = [
        order
        for order in spot.venue.engine.orders(request.account, request.symbol)
        if (first is None or order.id >= first) and is_between(values, order.created)
    ]
    oldest_first = first is not None or "startTime" in values
    return _views(spot, found[:limit] if oldest_first else found[-limit:])


def _list_view(spot: Spot, pair: OrderList) -> dict[str, object]:
    name = spot.symbols.name(pair.symbol)
    return shapes.order_list(pair, list_orders(spot, pair), name, time=pair.created)


def query_order_list(spot: Spot, request: Request) -> object:
    """Return one order list."""
    names = ("orderListId", "origClientOrderId")
    pair = find_list(
        spot, request, names, unknown=lambda: ApiError(-2018, "Order list does not exist.")
    )
    return _list_view(spot, pair)


def all_order_lists(spot: Spot, request: Request) -> object:
    """Return order lists, whatever became of them."""
    values = request.values
    check_day(values)
    first = values.number("fromId")
    if first is not None and ("startTime" in values or "endTime" in values):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    found = [
        pair
        for pair in spot.venue.engine.order_lists(request.account)
        if (first is None or pair.id >= first) and is_between(values, pair.created)
    ]
    limit = values.limit(500)
    oldest_first = first is not None or "startTime" in values
    return [_list_view(spot, pair) for pair in (found[:limit] if oldest_first else found[-limit:])]


def open_order_lists(spot: Spot, request: Request) -> object:
    """Return the order lists that are executing."""
    return [
        _list_view(spot, pair)
        for pair in spot.venue.engine.order_lists(request.account)
        if pair.status is ListStatus.EXECUTING
    ]


_TRADE_QUERIES = (
    set[str](),
    {"orderId"},
    {"startTime"},
    {"endTime"},
    {"fromId"},
    {"startTime", "endTime"},
    {"orderId", "fromId"},
)


def my_trades(spot: Spot, request: Request) -> object:
    """Return the account's trades of a symbol."""
    values = request.values
    asked = {each for each in ("orderId", "startTime", "endTime", "fromId") if each in values}
    if asked not in _TRADE_QUERIES:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    check_day(values)
    order_id, first = values.number("orderId"), values.number("fromId")
    found = [
        fill
        for fill in spot.venue.engine.fills(request.account, request.symbol)
        if (order_id is None or fill.order_id == order_id)
        and (first is None or fill.trade_id >= first)
        and is_between(values, fill.time)
    ]
    limit = values.limit(500)
    oldest_first = first is not None or "startTime" in values
    name = values.required_text("symbol")
    engine = spot.venue.engine
    return [
        shapes.account_trade(fill, name, engine.order(request.account, fill.order_id))
        for fill in (found[:limit] if oldest_first else found[-limit:])
    ]


def my_filters(spot: Spot, request: Request) -> object:
    """Return the filters of a symbol."""
    return {
        "exchangeFilters": [],
        "symbolFilters": filters(spot.venue.engine.instrument(request.symbol)),
        "assetFilters": [],
    }
