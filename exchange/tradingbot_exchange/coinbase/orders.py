"""The orders of an account; two orders of the engine that are one bracket count once."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from tradingbot_exchange.coinbase.identifiers import FillIndex, OrderIndex
from tradingbot_exchange.coinbase.order_views import OrderView
from tradingbot_exchange.engine.types import Fill, Order, OrderList, RefusedError
from tradingbot_exchange.venue import Venue


class Orders:
    """The orders of a venue, as Coinbase counts them."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.index = OrderIndex(venue.engine)
        self.fill_index = FillIndex(venue.engine)

    def find(self, account: str, uuid: str) -> OrderView | None:
        """Return an order by its id."""
        try:
            order_id = self.index.order_id(account, uuid)
            if order_id is not None:
                return self.view(self.venue.engine.order(account, order_id))
            list_id = self.index.list_id(account, uuid)
            if list_id is not None:
                return self.bracket(self.venue.engine.order_list(account, list_id))
        except RefusedError:
            return None  # an account that has never had anything
        return None

    def find_by_client_id(self, account: str, client_id: str) -> OrderView | None:
        """Return the order that was sent with `client_id`."""
        engine = self.venue.engine
        try:
            return self.view(engine.order_by_client_id(account, client_id))
        except RefusedError:
            pass
        list_id = self.index.list_by_client_id(account, client_id)
        return None if list_id is None else self.bracket(engine.order_list(account, list_id))

    def view(self, order: Order) -> OrderView:
        """Return what the owner sees of one of the engine's orders."""
        engine = self.venue.engine
        if order.list_id is not None:
            return self.bracket(engine.order_list(order.account, order.list_id))
        instrument = engine.instrument(order.request.symbol)
        return OrderView(limit=order, stop=None, pair=None, instrument=instrument)

    def bracket(self, pair: OrderList) -> OrderView:
        """Return what the owner sees of a list."""
        engine = self.venue.engine
        limit, stop = (engine.order(pair.account, order_id) for order_id in pair.orders)
        instrument = engine.instrument(pair.symbol)
        return OrderView(limit=limit, stop=stop, pair=pair, instrument=instrument)

    def all(self, account: str) -> Iterator[OrderView]:
        """Iterate over all orders of an account, newest first."""
        return self._views(self._orders(account))

    def open(self, account: str) -> list[OrderView]:
        """Return the open orders of an account, newest first."""
        try:
            return list(self._views(self.venue.engine.open_orders(account)))
        except RefusedError:
            return []

    def fills(self, account: str) -> Sequence[Fill]:
        """Return the fills of an account, oldest first."""
        try:
            return self.venue.engine.fills(account)
        except RefusedError:
            return []

    def last_fills(self, account: str, wanted: AbstractSet[int] | None = None) -> dict[int, int]:
        """Return the time of the last fill of each of the engine's orders, or of `wanted` alone."""
        if wanted is None:
            return {fill.order_id: fill.time for fill in self.fills(account)}
        found: dict[int, int] = {}
        if not wanted:
            return found
        for fill in reversed(self.fills(account)):
            if fill.order_id in wanted:
                found.setdefault(fill.order_id, fill.time)
                if len(found) == len(wanted):
                    break
        return found

    def _orders(self, account: str) -> Sequence[Order]:
        try:
            return self.venue.engine.orders(account)
        except RefusedError:
            return []

    def _views(self, orders: Sequence[Order]) -> Iterator[OrderView]:
        seen: set[int] = set()
        for order in reversed(orders):
            if order.list_id in seen:
                continue
            if order.list_id is not None:
                seen.add(order.list_id)
            yield self.view(order)
