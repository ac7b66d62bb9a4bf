"""Orders and fills of the past: filters and pages."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from tradingbot_exchange.coinbase.errors import InvalidArgumentError, NotFoundError
from tradingbot_exchange.coinbase.identifiers import portfolio_uuid
from tradingbot_exchange.coinbase.order_views import (
    TIMES_IN_FORCE,
    OrderView,
    fill_object,
    order_object,
)
from tradingbot_exchange.coinbase.orders import Orders
from tradingbot_exchange.coinbase.queries import Request
from tradingbot_exchange.engine.types import Fill

T = TypeVar("T")

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
            and (not self.ids or view.uuid in self.ids)
            and _allows(self.products, request.symbol)
            and (not self.statuses or view.status in self.statuses)
            and (not self.types or view.type in self.types)
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
    query, account = request.query, request.account
    wanted = _filter(request)
    only_open = wanted.statuses == {"OPEN"}
    views = orders.open(account) if only_open else orders.all(account)
    found: Iterable[OrderView] = (view for view in views if wanted(view))
    if query.text("sort_by") == "LAST_FILL_TIME":
        last_fills = orders.last_fills(account)
        found = sorted(found, key=lambda view: _last_fill(view, last_fills) or 0, reverse=True)
    limit = query.whole("limit", MAX_PAGE, most=MAX_PAGE)
    after = None
    if cursor := query.text("cursor"):
        last = orders.find(account, cursor)
        if last is None:
            raise _unknown_cursor()
        after = last.limit.id
    page, more = _page(found, limit, after=after, key=lambda view: view.limit.id)
    filled = {order.id for view in page for order in view.orders if order.fills}
    last_fills = orders.last_fills(account, filled)
    return {
        "orders": [order_object(view, _last_fill(view, last_fills)) for view in page],
        "sequence": "0",
        "has_next": more,
        "cursor": page[-1].uuid if more and page else "",
    }


def fills(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `GET orders/historical/fills`, newest first. `cursor` is the last entry_id.

    A fill is named by its place among all fills of the account until its page is known: to write
    all of them for each request takes seconds after an hour of trading.
    """
    query, account = request.query, request.account
    kept = orders.fills(account)
    places: Iterable[int] = reversed(range(len(kept)))
    if trade_ids := query.several("trade_ids"):
        named = (orders.fill_index.place(account, "trade", each) for each in trade_ids)
        places = sorted((place for place in named if place is not None), reverse=True)
    if query.text("retail_portfolio_id", portfolio_uuid(account)) != portfolio_uuid(account):
        places = ()
    asked = _fill_filter(orders, request)
    found: Iterable[int] = (place for place in places if asked(kept[place]))
    if query.text("sort_by") == "PRICE":
        found = sorted(found, key=lambda place: kept[place].price, reverse=True)
    limit = query.whole("limit", DEFAULT_FILLS, most=MAX_PAGE)
    after = None
    if cursor := query.text("cursor"):
        after = orders.fill_index.place(account, "entry", cursor)
        if after is None:
            raise _unknown_cursor()
    page, more = _page(found, limit, after=after, key=lambda place: place)
    engine = orders.venue.engine
    shown = [
        fill_object(fill, engine.order(account, fill.order_id))
        for fill in (kept[place] for place in page)
    ]
    return {"fills": shown, "cursor": shown[-1]["entry_id"] if more and shown else ""}


def _fill_filter(orders: Orders, request: Request) -> Callable[[Fill], bool]:
    """Return whether a fill is asked for by its time, its product and its order."""
    query, account = request.query, request.account
    start, end = query.instant("start_sequence_timestamp"), query.instant("end_sequence_timestamp")
    products = query.several("product_ids", "product_id")
    order_ids = query.several("order_ids", "order_id")
    views = (orders.find(account, each) for each in order_ids)
    of_orders = {order.id for view in views if view is not None for order in view.orders}

    def asked(fill: Fill) -> bool:
        return (
            (start is None or fill.time >= start)
            and (end is None or fill.time < end)
            and _allows(products, fill.symbol)
            and (not order_ids or fill.order_id in of_orders)
        )

    return asked


def _page(
    found: Iterable[T], limit: int, *, after: int | None, key: Callable[[T], int]
) -> tuple[list[T], bool]:
    """Return at most `limit` entries behind the one with the key `after`, and whether more follow.

    No more of `found` is read than that. Raises InvalidArgumentError if `after` is not in it.
    """
    rest = iter(found)
    if after is not None and all(key(each) != after for each in rest):
        raise _unknown_cursor()
    page = list(islice(rest, limit + 1))
    return page[:limit], len(page) > limit


def _unknown_cursor() -> InvalidArgumentError:
    return InvalidArgumentError("cursor is unknown")


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


def _allows(wanted: frozenset[str], value: str) -> bool:
    return not wanted or value in wanted


def _last_fill(view: OrderView, last_fills: Mapping[int, int]) -> int | None:
    times = [last_fills[each.id] for each in view.orders if each.id in last_fills]
    return max(times, default=None)
