"""UUIDs of orders, accounts and fills, which follow from the engine's numbers.

The same seed gives the same UUIDs, and they survive a restart without being stored.
"""

from collections.abc import Iterable
from uuid import UUID, uuid5

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import Fill, Order, OrderList, RefusedError

_NAMESPACE = UUID("6f3c1c1e-5f0b-5d3c-9a58-0c8d1f5d7a10")


def order_uuid(account: str, order_id: int) -> str:
    """Return the id of an order that is not part of a bracket."""
    return _uuid("order", account, order_id)


def bracket_uuid(account: str, list_id: int) -> str:
    """Return the id of a bracket: two orders of the engine, one at Coinbase."""
    return _uuid("bracket", account, list_id)


def shown_uuid(order: Order) -> str:
    """Return the id under which a client knows an order of the engine."""
    if order.list_id is None:
        return order_uuid(order.account, order.id)
    return bracket_uuid(order.account, order.list_id)


def fill_uuid(fill: Fill, kind: str) -> str:
    """Return the `entry` or the `trade` id of a fill."""
    return _uuid(kind, fill.account, fill.symbol, fill.trade_id, fill.side)


def wallet_uuid(account: str, asset: str) -> str:
    """Return the id of what Coinbase calls an account: the wallet of one asset."""
    return _uuid("wallet", account, asset)


def portfolio_uuid(account: str) -> str:
    """Return the id of the default portfolio of an account."""
    return _uuid("portfolio", account)


def user_uuid(account: str) -> str:
    """Return the id of the user."""
    return _uuid("user", account)


def _uuid(*parts: object) -> str:
    return str(uuid5(_NAMESPACE, "/".join(str(part) for part in parts)))


class OrderIndex:
    """Finds the engine's orders by UUID. It is filled as needed, so it needs no storage."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._orders: dict[str, dict[str, int]] = {}
        self._brackets: dict[str, dict[str, int]] = {}
        self._client_ids: dict[str, dict[str, int]] = {}
        self._lists_read: dict[str, int] = {}
        # The engine's latest ids when an account was read whole: an id that nobody has is not
        # searched for again until there are new orders. A batch may name thousands of them.
        self._orders_read: dict[str, int] = {}
        self._brackets_read: dict[str, int] = {}

    def order_id(self, account: str, uuid: str) -> int | None:
        """Return the engine's id of a plain order, or None."""
        known = self._orders.setdefault(account, {})
        latest = self._engine.latest_ids()[0]
        if uuid not in known and self._orders_read.get(account) != latest:
            orders: Iterable[Order] = self._engine.orders(account)
            known.update(
                (order_uuid(account, order.id), order.id)
                for order in orders
                if order.list_id is None
            )
            self._orders_read[account] = latest
        return known.get(uuid)

    def list_id(self, account: str, uuid: str) -> int | None:
        """Return the engine's id of the list behind a bracket, or None."""
        known = self._brackets.setdefault(account, {})
        latest = self._engine.latest_ids()[1]
        if uuid not in known and self._brackets_read.get(account) != latest:
            lists: Iterable[OrderList] = self._engine.order_lists(account)
            known.update((bracket_uuid(account, each.id), each.id) for each in lists)
            self._brackets_read[account] = latest
        return known.get(uuid)

    def list_by_client_id(self, account: str, client_id: str) -> int | None:
        """Return the engine's id of the list that was sent with `client_id`, or None."""
        known = self._client_ids.setdefault(account, {})
        try:
            lists = self._engine.order_lists(account)
        except RefusedError:
            return None  # an account that has never had anything
        for each in lists[self._lists_read.get(account, 0) :]:
            known.setdefault(each.client_id, each.id)
        self._lists_read[account] = len(lists)
        return known.get(client_id)

    def add(self, order: Order) -> None:
        """Remember a new order, so that finding it needs no search."""
        if order.list_id is None:
            known = self._orders.setdefault(order.account, {})
            known[order_uuid(order.account, order.id)] = order.id
        else:
            known = self._brackets.setdefault(order.account, {})
            known[bracket_uuid(order.account, order.list_id)] = order.list_id


class FillIndex:
    """Finds the places of fills among those of their account by UUID. It is filled as needed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._places: dict[tuple[str, str], dict[str, int]] = {}
        """By account and kind of id. Fills are only added, so a place stays."""

    def place(self, account: str, kind: str, uuid: str) -> int | None:
        """Return the place of a fill by its `entry` or `trade` id, None if there is none."""
        known = self._places.setdefault((account, kind), {})
        if uuid not in known:
            try:
                fills = self._engine.fills(account)
            except RefusedError:
                return None  # an account that has never had anything
            for place in range(len(known), len(fills)):
                known[fill_uuid(fills[place], kind)] = place
        return known.get(uuid)
