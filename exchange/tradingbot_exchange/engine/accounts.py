"""Accounts: balances, open orders, and the history of those that keep one."""

from collections.abc import Iterator
from decimal import Decimal

from tradingbot_exchange.engine.amounts import from_units
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.lists import Pair
from tradingbot_exchange.engine.types import Balance, Fill, Order, OrderList


class Purse:
    """What an account has of one asset, in units. `held` belongs to open orders."""

    __slots__ = ("free", "held")

    def __init__(self, free: int = 0, held: int = 0) -> None:
        self.free = free
        self.held = held

    def balance(self, unit: Decimal) -> Balance:
        """Return the amounts as decimals."""
        return Balance(from_units(unit, self.free), from_units(unit, self.held))


class Account:
    """One account.

    Without history, ended orders and lists and all fills are forgotten, so that an account that
    places orders all day takes no more memory than its open orders.
    """

    def __init__(self, name: str, *, unit: Decimal, keeps_history: bool = True) -> None:
        self.name = name
        self.unit = unit
        self.keeps_history = keeps_history
        self.purses: dict[str, Purse] = {}
        self.open: dict[int, Entry] = {}
        self.orders: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self.lists: dict[int, OrderList] = {}
        self.pairs: dict[int, Pair] = {}
        """OCO lists whose orders still depend on each other."""
        self._by_client_id: dict[str, list[int]] = {}
        self._open_by_symbol: dict[str, int] = {}
        self._stops_by_symbol: dict[str, int] = {}

    def purse(self, asset: str) -> Purse:
        """Return the purse of an asset; an empty one is made."""
        purse = self.purses.get(asset)
        if purse is None:
            purse = self.purses[asset] = Purse()
        return purse

    def free(self, asset: str) -> int:
        """Return the units that no order holds."""
        purse = self.purses.get(asset)
        return 0 if purse is None else purse.free

    def open_count(self, symbol: str) -> int:
        """Return the number of open orders, waiting ones included."""
        return self._open_by_symbol.get(symbol, 0)

    def stop_count(self, symbol: str) -> int:
        """Return the number of orders that wait for their stop price."""
        return self._stops_by_symbol.get(symbol, 0)

    def count_stop(self, symbol: str, change: int) -> None:
        """Count an order that begins (1) or ends (-1) to wait."""
        self._stops_by_symbol[symbol] = self._stops_by_symbol.get(symbol, 0) + change

    def record(self, order: Order) -> None:
        """Keep an order."""
        self.orders[order.id] = order
        if order.request.client_id:
            self._by_client_id.setdefault(order.request.client_id, []).append(order.id)

    def opened(self, entry: Entry) -> None:
        """Note that an order is open."""
        self.open[entry.order.id] = entry
        symbol = entry.market.symbol
        self._open_by_symbol[symbol] = self._open_by_symbol.get(symbol, 0) + 1

    def ended(self, entry: Entry) -> None:
        """Note that an order has ended; forget it if the account keeps no history."""
        del self.open[entry.order.id]
        self._open_by_symbol[entry.market.symbol] -= 1
        if not self.keeps_history:
            self._forget(entry.order)

    def unpaired(self, pair: Pair) -> None:
        """Note that the orders of an OCO list no longer depend on each other."""
        del self.pairs[pair.id]
        if not self.keeps_history:
            del self.lists[pair.id]

    def by_client_id(self, client_id: str) -> Iterator[Order]:
        """Iterate over the orders of a client id, newest first."""
        return (self.orders[number] for number in reversed(self._by_client_id.get(client_id, ())))

    def newest_of(self, client_id: str) -> int | None:
        """Return the id of the newest order of a client id."""
        numbers = self._by_client_id.get(client_id)
        return numbers[-1] if numbers else None

    def forget_history(self) -> None:
        """Forget ended orders and lists and all fills, and keep none from now on."""
        self.keeps_history = False
        self.fills.clear()
        for order in [order for order in self.orders.values() if order.id not in self.open]:
            self._forget(order)
        for number in [number for number in self.lists if number not in self.pairs]:
            del self.lists[number]

    def _forget(self, order: Order) -> None:
        del self.orders[order.id]
        client_id = order.request.client_id
        if client_id:
            numbers = self._by_client_id[client_id]
            numbers.remove(order.id)
            if not numbers:
                del self._by_client_id[client_id]
