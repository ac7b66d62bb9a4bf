"""Everything that an engine knows."""

from collections.abc import Iterable
from decimal import Decimal
from heapq import heapify, heappush

from tradingbot_exchange.engine.accounts import Account
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.types import Instrument, Reason, RefusedError


class State:
    """Markets, accounts and counters.

    `fees` are collected, `outside` is what the outside market has won or lost in `trade_through`
    (it may be negative); both are in units by asset. `unit`: the smallest amount of any asset.
    `quiet`: calls return no events of books, balances and trades.
    """

    def __init__(
        self, instruments: Iterable[Instrument], *, unit: Decimal, quiet: bool = False
    ) -> None:
        self.unit = unit
        self.quiet = quiet
        self.markets: dict[str, Market] = {}
        for instrument in instruments:
            if instrument.symbol in self.markets:
                raise ValueError(f"{instrument.symbol}: the symbol is given twice")
            self.markets[instrument.symbol] = Market(instrument, unit=unit, public=not quiet)
        self.accounts: dict[str, Account] = {}
        self.fees: dict[str, int] = {}
        self.outside: dict[str, int] = {}
        self.orders = 0
        """The highest order id so far."""
        self.lists = 0
        self.time = 0
        """The latest time of any call."""
        self.expiries: list[tuple[int, int, Entry]] = []
        """A heap of GTD orders by end time and id; ended ones are removed later."""
        self._gtd_open = 0

    def market(self, symbol: str) -> Market:
        """Return a market. Raises RefusedError (UNKNOWN_SYMBOL)."""
        market = self.markets.get(symbol)
        if market is None:
            raise RefusedError(Reason.UNKNOWN_SYMBOL, f"there is no symbol {symbol!r}")
        return market

    def account(self, name: str) -> Account:
        """Return an account. Raises RefusedError (UNKNOWN_ACCOUNT)."""
        account = self.accounts.get(name)
        if account is None:
            raise RefusedError(Reason.UNKNOWN_ACCOUNT, f"there is no account {name!r}")
        return account

    def entry(self, account: Account, order_id: int) -> Entry:
        """Return an open order. Raises RefusedError (UNKNOWN_ORDER)."""
        entry = account.open.get(order_id)
        if entry is None:
            raise RefusedError(Reason.UNKNOWN_ORDER, f"order {order_id} is not open")
        return entry

    def schedule_end(self, entry: Entry) -> None:
        """Note when a GTD order ends."""
        expires_at = entry.order.request.expires_at
        if expires_at is None:
            return
        self._gtd_open += 1
        if len(self.expiries) > 2 * self._gtd_open + 64:
            self.expiries = [item for item in self.expiries if is_open(item[2])]
            heapify(self.expiries)
        heappush(self.expiries, (expires_at, entry.order.id, entry))

    def ended(self, entry: Entry) -> None:
        """Forget when an order would have ended."""
        if entry.order.request.expires_at is not None:
            self._gtd_open -= 1


def is_open(entry: Entry) -> bool:
    """Whether the order has not ended."""
    return entry.order.id in entry.account.open
