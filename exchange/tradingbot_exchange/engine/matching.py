"""The engine's interface: one call, one change of state, and the events of it."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from tradingbot_exchange.engine.types import (
    Balance,
    Book,
    Event,
    Fill,
    Instrument,
    NewOrder,
    Order,
    OrderList,
)


class Engine:
    """Books, orders and balances of one exchange.

    Every call that changes something returns the events of the change, in the order in which they
    happened. A call that raises RefusedError has changed nothing.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        raise NotImplementedError

    # Accounts

    def deposit(self, account: str, asset: str, amount: Decimal, *, now: int) -> list[Event]:
        """Add `amount`, or take it away if negative; open the account if it is new."""
        raise NotImplementedError

    def balances(self, account: str) -> dict[str, Balance]:
        """Return every asset that the account has ever had."""
        raise NotImplementedError

    def total(self, asset: str) -> Decimal:
        """Return the sum over all accounts and collected fees: deposits less withdrawals."""
        raise NotImplementedError

    # Orders

    def submit(self, account: str, order: NewOrder, *, now: int) -> tuple[Order, list[Event]]:
        """Accept an order and match it."""
        raise NotImplementedError

    def check(self, account: str, order: NewOrder) -> None:
        """Raise RefusedError if `submit` would."""
        raise NotImplementedError

    def submit_oco(
        self, account: str, limit: NewOrder, stop: NewOrder, *, client_id: str, now: int
    ) -> tuple[OrderList, list[Event]]:
        """Accept a limit (or take-profit) order and a stop order of the same side and quantity.

        They hold the asset once. As soon as one is filled in part or triggered, the other is
        canceled, in the same call.
        """
        raise NotImplementedError

    def cancel(self, account: str, order_id: int, *, now: int) -> tuple[Order, list[Event]]:
        """Cancel an order, and with it its OCO list."""
        raise NotImplementedError

    def replace(
        self, account: str, order_id: int, order: NewOrder, *, now: int
    ) -> tuple[Order, list[Event]]:
        """Cancel an order and submit another one. If that is refused, the first one stays."""
        raise NotImplementedError

    def edit(
        self, account: str, order_id: int, *, price: Decimal, quantity: Decimal, now: int
    ) -> tuple[Order, list[Event]]:
        """Change an open order. It keeps its place in the book if only its quantity falls."""
        raise NotImplementedError

    # The market

    def trade_through(
        self, symbol: str, price: Decimal, *, now: int, quantity: Decimal | None = None
    ) -> list[Event]:
        """Let the outside market trade at `price`, with `quantity` at most (None: without limit).

        Bids above `price` and asks below it are filled at their own price, by a party that has no
        account; orders at `price` too. Then stops that `price` reaches are triggered.
        """
        raise NotImplementedError

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Refuse new orders of a symbol, or accept them again. Cancels always work."""
        raise NotImplementedError

    def expire(self, *, now: int) -> list[Event]:
        """End the GTD orders whose time has come."""
        raise NotImplementedError

    # Queries

    def instruments(self) -> Sequence[Instrument]:
        """Return all instruments, in the order in which they were given."""
        raise NotImplementedError

    def instrument(self, symbol: str) -> Instrument:
        """Return an instrument. Raises RefusedError (UNKNOWN_SYMBOL)."""
        raise NotImplementedError

    def is_halted(self, symbol: str) -> bool:
        """Whether new orders of the symbol are refused."""
        raise NotImplementedError

    def order(self, account: str, order_id: int) -> Order:
        """Return an order, open or not. Raises RefusedError (UNKNOWN_ORDER)."""
        raise NotImplementedError

    def order_by_client_id(self, account: str, client_id: str, symbol: str | None = None) -> Order:
        """Return the newest order of that id. Raises RefusedError (UNKNOWN_ORDER)."""
        raise NotImplementedError

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """Return the orders that wait or rest, oldest first."""
        raise NotImplementedError

    def orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """Return all orders, oldest first."""
        raise NotImplementedError

    def order_list(self, account: str, list_id: int) -> OrderList:
        """Return an OCO list. Raises RefusedError (UNKNOWN_ORDER)."""
        raise NotImplementedError

    def order_lists(self, account: str) -> list[OrderList]:
        """Return all OCO lists, oldest first."""
        raise NotImplementedError

    def fills(self, account: str, symbol: str | None = None) -> list[Fill]:
        """Return the account's fills, oldest first."""
        raise NotImplementedError

    def book(self, symbol: str, depth: int) -> Book:
        """Return the best `depth` levels of both sides."""
        raise NotImplementedError

    def last_price(self, symbol: str) -> Decimal | None:
        """Return the price of the last trade."""
        raise NotImplementedError

    # State

    def snapshot(self) -> dict[str, object]:
        """Return the whole state as JSON values."""
        raise NotImplementedError

    @classmethod
    def restore(cls, instruments: Iterable[Instrument], state: dict[str, object]) -> "Engine":
        """Return an engine that goes on where `snapshot` was taken."""
        raise NotImplementedError
