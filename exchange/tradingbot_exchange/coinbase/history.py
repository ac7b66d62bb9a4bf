"""Orders and fills of the past: filters and pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.coinbase.errors import InvalidArgumentError, NotFoundError
from tradingbot_exchange.coinbase.identifiers import portfolio_uuid
from tradingbot_exchange.coinbase.order_views import (
    TIMES_IN_FORCE,
    OrderView,
    fill_object,
    order_object,
)
from tradingbot_exchange.coinbase.orders import Orders
from tradingbot_exchange.coinbase.queries import Query, Request
from tradingbot_exchange.engine.types import Order

MAX_PAGE = 1000
DEFAULT_FILLS = 100

_STATUSES = frozenset(
    {"PENDING", "OPEN", "FILLED", "CANCELLED", "EXPIRED", "FAILED", "QUEUED", "CANCEL_QUEUED"}
)
_SPOT = frozenset({"SPOT", "UNKNOWN_PRODUCT_TYPE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders are asked for. An empty set asks for all."""

    ids: frozenset[str]
    products: frozenset[str]
    statuses: frozenset[str]
    types: frozenset[str]
    times_in_force: frozenset[str]
    assets: frozenset[str]
    side: str
    start: int | None
    end: int | None
    nothing: bool
    """Whether futures, another portfolio or another source are asked for."""

    def __call__(self, view: OrderView) -> bool:
        """Whether an order is asked for."""
        request = view.limit.request
        if self.start is not None and view.created < self.start:
            return False
        if self.end is not None and view.created >= self.end:
            return False
        return (
            not self.nothing
            and _allows(self.ids, view.uuid)
            and _allows(self.products, request.symbol)
            and _allows(self.statuses, view.status)
            and _allows(self.types, view.type)
            and _allows(self.times_in_force, TIMES_IN_FORCE[request.time_in_force])
            and (not self.assets or not self.assets.isdisjoint(request.symbol.split("-")))
            and self.side in ("", request.side)
        )


def order(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `GET orders/historical/{order_id}`."""
    view = orders.find(request.account, request.path["order_id"])
    if view is None:
        raise NotFoundError("order with this orderID was not found")
    ids = {each.id for each in view.orders if each.fills}
    fills = reversed(orders.fills(request.account)) if ids else ()
    last = next((fill.time for fill in fills if fill.order_id in ids), None)
    return {"order": order_object(view, last)}


def batch(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `GET orders/historical/batch`, newest first. `cursor` is the id of the last order."""
    query = request.query
    wanted = _filter(request)
    only_open = wanted.statuses == {"OPEN"}
    views = orders.open(request.account) if only_open else orders.all(request.account)
    found = [view for view in views if wanted(view)]
    last_fills = orders.last_fills(request.account)
    if query.text("sort_by") == "LAST_FILL_TIME":
        found.sort(key=lambda view: _last_fill(view, last_fills) or 0, reverse=True)
    limit = query.whole("limit", MAX_PAGE, most=MAX_PAGE)
    start = _after(query, [view.uuid for view in found])
    page = found[start : start + limit]
    more = start + len(page) < len(found)
    return {
        "orders": [order_object(view, _last_fill(view, last_fills)) for view in page],
        "sequence": "0",
        "has_next": more,
        "cursor": page[-1].uuid if more and page else "",
    }


def fills(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `GET orders/historical/fills`, newest first. `cursor` is the last entry_id."""
    query, account = request.query, request.account
    by_id: dict[int, Order] = {}
    shown = []
    engine = orders.venue.engine
    start, end = query.instant("start_sequence_timestamp"), query.instant("end_sequence_timestamp")
    products = query.several("product_ids", "product_id")
    for fill in reversed(orders.fills(account)):
        if (start is not None and fill.time < start) or (end is not None and fill.time >= end):
            continue
        if not _allows(products, fill.symbol):
            continue
        if fill.order_id not in by_id:
            by_id[fill.order_id] = engine.order(account, fill.order_id)
        shown.append(fill_object(fill, by_id[fill.order_id]))
    order_ids = query.several("order_ids", "order_id")
    trade_ids = query.several("trade_ids")
    found = [
        each
        for each in shown
        if _allows(order_ids, str(each["order_id"])) and _allows(trade_ids, str(each["trade_id"]))
    ]
    if query.text("retail_portfolio_id", portfolio_uuid(account)) != portfolio_uuid(account):
        found = []
    if query.text("sort_by") == "PRICE":
        found.sort(key=lambda each: Decimal(str(each["price"])), reverse=True)
    limit = query.whole("limit", DEFAULT_FILLS, most=MAX_PAGE)
    first = _after(query, [str(each["entry_id"]) for each in found])
    page = found[first : first + limit]
    more = first + len(page) < len(found)
    return {"fills": page, "cursor": page[-1]["entry_id"] if more and page else ""}


def _filter(request: Request) -> OrderFilter:
    query = request.query
    statuses = query.several("order_status")
    if unknown := sorted(statuses - _STATUSES):
        raise InvalidArgumentError(f"order_status: {unknown[0]!r} is not a status")
    if "OPEN" in statuses and len(statuses) > 1:
        raise InvalidArgumentError("order_status: OPEN can't be asked for with other statuses")
    portfolio = portfolio_uuid(request.account)
    return OrderFilter(
        ids=query.several("order_ids"),
        products=query.several("product_ids", "product_id"),
        statuses=statuses,
        types=query.several("order_types", "order_type"),
        times_in_force=query.several("time_in_forces"),
        assets=query.several("asset_filters"),
        side=query.text("order_side").removeprefix("UNKNOWN_ORDER_SIDE"),
        start=query.instant("start_date"),
        end=query.instant("end_date"),
        nothing=query.text("product_type", "SPOT") not in _SPOT
        or query.text("retail_portfolio_id", portfolio) != portfolio
        or query.text("contract_expiry_type", "UNKNOWN_CONTRACT_EXPIRY_TYPE")
        != "UNKNOWN_CONTRACT_EXPIRY_TYPE"
        or query.text("order_placement_source", "RETAIL_ADVANCED") != "RETAIL_ADVANCED",
    )


def _after(query: Query, ids: Sequence[str]) -> int:
    """Return where the page begins: behind the one that `cursor` names."""
    cursor = query.text("cursor")
    if not cursor:
        return 0
    if cursor not in ids:
        raise InvalidArgumentError("cursor is unknown")
    return ids.index(cursor) + 1


def _allows(wanted: frozenset[str], value: str) -> bool:
    return not wanted or value in wanted


def _last_fill(view: OrderView, last_fills: Mapping[int, int]) -> int | None:
    times = [last_fills[each.id] for each in view.orders if each.id in last_fills]
    return max(times, default=None)
