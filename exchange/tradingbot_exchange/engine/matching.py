"""The engine's interface: one call, one change of state, and the events of it."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from decimal import Decimal
from heapq import heappop

from tradingbot_exchange.engine import snapshots
from tradingbot_exchange.engine.accounts import Account
from tradingbot_exchange.engine.admission import (
    Admitted,
    admit_edit,
    admit_oco,
    admit_order,
)
from tradingbot_exchange.engine.amounts import from_units, to_units
from tradingbot_exchange.engine.checks import bad_parameters, check_price, outside_lots
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.execution import Execution
from tradingbot_exchange.engine.ladder import Ladder
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.state import State, is_open
from tradingbot_exchange.engine.types import (
    ASSET_UNIT,
    Balance,
    BalanceEvent,
    Book,
    Event,
    Fill,
    Instrument,
    Level,
    NewOrder,
    Order,
    OrderList,
    OrderStatus,
    Reason,
    RefusedError,
)


class Engine:
    """Books, orders and balances of one exchange.

    Every call that changes something returns the events of the change, in the order in which they
    happened; books and balances come last. A call that raises RefusedError has changed nothing.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        *,
        unit: Decimal = ASSET_UNIT,
        quiet: bool = False,
    ) -> None:
        """Raise ValueError for an instrument whose figures do not fit together.

        `unit`: the smallest amount of any asset. A finer one allows finer ticks and lots.
        `quiet`: calls return no events of books, balances and trades, which cost more than a sixth
        of their time.
        """
        self._state = State(instruments, unit=unit, quiet=quiet)

    # Accounts

    def open_account(self, account: str, *, keeps_history: bool = True) -> None:
        """Open an account, or change whether an existing one keeps its history.

        Without history, ended orders and lists and all fills of the account are forgotten. This is
        for accounts that place orders all day and that nobody asks about, such as a market maker's.
        """
        existing = self._state.accounts.get(account)
        if existing is None:
            self._state.accounts[account] = Account(
                account, unit=self._state.unit, keeps_history=keeps_history
            )
        elif keeps_history:
            existing.keeps_history = True
        else:
            existing.forget_history()

    def accounts(self) -> list[str]:
        """Return the names of all accounts, in the order in which they were opened."""
        return list(self._state.accounts)

    def deposit(self, account: str, asset: str, amount: Decimal, *, now: int) -> list[Event]:
        """Add `amount`, or take it away if negative; open the account if it is new.

        Raises RefusedError: BAD_PARAMETERS, or INSUFFICIENT_BALANCE if less than that is free.
        """
        unit = self._state.unit
        units = to_units(amount, unit)
        if units is None:
            raise bad_parameters(f"amount must be a multiple of {unit:f}, not {amount}")
        if not asset:
            raise bad_parameters("asset must not be empty")
        existing = self._state.accounts.get(account)
        free = 0 if existing is None else existing.free(asset)
        if free + units < 0:
            raise RefusedError(
                Reason.INSUFFICIENT_BALANCE,
                f"{from_units(unit, free):f} {asset} is free, not {-amount}",
            )
        if existing is None:
            existing = self._state.accounts[account] = Account(account, unit=self._state.unit)
        self._state.time = max(self._state.time, now)
        purse = existing.purse(asset)
        purse.free += units
        if not units:
            return []
        return [BalanceEvent(account=account, balances={asset: purse.balance(unit)}, time=now)]

    def balances(self, account: str) -> dict[str, Balance]:
        """Return every asset that the account has ever had.

        Raises RefusedError (UNKNOWN_ACCOUNT), as all calls for an account do.
        """
        unit, purses = self._state.unit, self._state.account(account).purses
        return {asset: purse.balance(unit) for asset, purse in purses.items()}

    def free(self, account: str, asset: str) -> Decimal:
        """Return what no order of the account holds."""
        return from_units(self._state.unit, self._state.account(account).free(asset))

    def total(self, asset: str) -> Decimal:
        """Return the sum over all accounts, collected fees and the outside market.

        This is deposits less withdrawals. The outside market's part is what it has won in
        `trade_through`, and is negative if it has lost.
        """
        units = self._state.fees.get(asset, 0) + self._state.outside.get(asset, 0)
        for account in self._state.accounts.values():
            purse = account.purses.get(asset)
            if purse is not None:
                units += purse.free + purse.held
        return from_units(self._state.unit, units)

    def collected_fees(self) -> dict[str, Decimal]:
        """Return all fees that were ever charged, by asset."""
        unit = self._state.unit
        return {asset: from_units(unit, units) for asset, units in self._state.fees.items()}

    # Orders

    def submit(self, account: str, order: NewOrder, *, now: int) -> tuple[Order, list[Event]]:
        """Accept an order and match it.

        An order that is accepted and can't go on ends EXPIRED, with its reason in `ended_by`:
        UNFILLED_IOC, UNFILLED_FOK, or NO_LIQUIDITY for a market order.
        """
        owner = self._state.account(account)
        admitted = admit_order(self._state, owner, order, now=now)
        execution = Execution(self._state, now)
        entry = _begin(execution, owner, admitted)
        return entry.order, execution.close()

    def check(self, account: str, order: NewOrder) -> None:
        """Raise RefusedError if `submit` would at the time of the latest call."""
        state = self._state
        admit_order(state, state.account(account), order, now=state.time)

    def submit_oco(
        self, account: str, limit: NewOrder, stop: NewOrder, *, client_id: str, now: int
    ) -> tuple[OrderList, list[Event]]:
        """Accept a limit (or take-profit) order and a stop order of the same side and quantity.

        They hold the asset once. As soon as one is filled in part or triggered, the other ends, in
        the same call (EXPIRED, OCO_TRIGGERED), and the list is done.
        """
        owner = self._state.account(account)
        first, second = admit_oco(self._state, owner, limit, stop, client_id=client_id, now=now)
        execution = Execution(self._state, now)
        entries = execution.accept(owner, first), execution.accept(owner, second)
        listed = execution.pair(*entries, client_id)
        execution.work(entries[1])
        execution.work(entries[0])
        events = execution.close()
        return owner.lists.get(listed.id, listed), events

    def cancel(self, account: str, order_id: int, *, now: int) -> tuple[Order, list[Event]]:
        """Cancel an order, and with it its OCO list.

        Raises RefusedError (UNKNOWN_ORDER) if the order is not open.
        """
        owner = self._state.account(account)
        entry = self._state.entry(owner, order_id)
        execution = Execution(self._state, now)
        execution.end(entry, OrderStatus.CANCELED, Reason.BY_USER)
        return entry.order, execution.close()

    def replace(
        self, account: str, order_id: int, order: NewOrder, *, now: int
    ) -> tuple[Order, list[Event]]:
        """Cancel an order, and with it its OCO list, and submit another one; return the new one.

        If the new one is refused, the first one stays.
        """
        owner = self._state.account(account)
        entry = self._state.entry(owner, order_id)
        leaving = (entry,) if entry.pair is None else (entry.pair.limit, entry.pair.stop)
        admitted = admit_order(self._state, owner, order, now=now, leaving=leaving)
        execution = Execution(self._state, now)
        execution.end(entry, OrderStatus.CANCELED, Reason.REPLACED)
        new = _begin(execution, owner, admitted)
        return new.order, execution.close()

    def edit(
        self, account: str, order_id: int, *, price: Decimal, quantity: Decimal, now: int
    ) -> tuple[Order, list[Event]]:
        """Change an open limit order. `quantity` includes what is filled already.

        It keeps its place in the book if only its quantity falls. Raises RefusedError
        (BAD_PARAMETERS) for an order that waits for its stop price or belongs to an OCO list.
        """
        owner = self._state.account(account)
        entry = self._state.entry(owner, order_id)
        ticks, lots = admit_edit(owner, entry, price=price, quantity=quantity)
        execution = Execution(self._state, now)
        entry.order.request = replace(entry.order.request, price=price, quantity=quantity)
        execution.change(entry, price=ticks, lots=lots)
        return entry.order, execution.close()

    # The market

    def trade_through(
        self, symbol: str, price: Decimal, *, now: int, quantity: Decimal | None = None
    ) -> list[Event]:
        """Let the outside market trade at `price`, with `quantity` at most (None: without limit).

        Bids above `price` and asks below it are filled at their own price, by a party that has no
        account; orders at `price` too. Then stops that `price` reaches are triggered. `quantity` is
        rounded down to whole lots, and has no other limit. A halted symbol does not trade: nothing
        happens.
        """
        market = self._state.market(symbol)
        ticks = check_price(market, "price", price)
        lots = None if quantity is None else outside_lots(market, quantity)
        if market.halted:
            return []
        if not market.meets(ticks):
            self._state.time = max(self._state.time, now)
            market.last = ticks
            return []
        execution = Execution(self._state, now)
        execution.outside(market, ticks, lots)
        return execution.close()

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Refuse new orders of a symbol, or accept them again. Cancels always work."""
        self._state.market(symbol).halted = halted

    def expire(self, *, now: int) -> list[Event]:
        """End the GTD orders whose time has come. Call it before other calls of the same time."""
        expiries = self._state.expiries
        execution = Execution(self._state, now)
        while expiries and expiries[0][0] <= now:
            entry = heappop(expiries)[2]
            if is_open(entry):
                execution.end(entry, OrderStatus.EXPIRED, Reason.REACHED_END_TIME)
        return execution.close()

    # Queries

    def instruments(self) -> Sequence[Instrument]:
        """Return all instruments, in the order in which they were given."""
        return [market.instrument for market in self._state.markets.values()]

    def instrument(self, symbol: str) -> Instrument:
        """Return an instrument. Raises RefusedError (UNKNOWN_SYMBOL)."""
        return self._state.market(symbol).instrument

    def is_halted(self, symbol: str) -> bool:
        """Whether new orders of the symbol are refused."""
        return self._state.market(symbol).halted

    def order(self, account: str, order_id: int) -> Order:
        """Return an order, open or not. Raises RefusedError (UNKNOWN_ORDER)."""
        order = self._state.account(account).orders.get(order_id)
        if order is None:
            raise RefusedError(Reason.UNKNOWN_ORDER, f"there is no order {order_id}")
        return order

    def order_by_client_id(self, account: str, client_id: str, symbol: str | None = None) -> Order:
        """Return the newest order of that id. Raises RefusedError (UNKNOWN_ORDER)."""
        for order in self._state.account(account).by_client_id(client_id):
            if symbol is None or order.request.symbol == symbol:
                return order
        raise RefusedError(Reason.UNKNOWN_ORDER, f"there is no order with client id {client_id!r}")

    def has_open_orders(self, account: str) -> bool:
        """Whether an order of the account waits or rests."""
        return bool(self._state.account(account).open)

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """Return the orders that wait or rest, oldest first."""
        entries = self._state.account(account).open.values()
        return [entry.order for entry in entries if symbol in (None, entry.market.symbol)]

    def orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """Return all orders, oldest first. An account without history has only open ones."""
        orders = self._state.account(account).orders.values()
        if symbol is None:
            return list(orders)
        return [order for order in orders if order.request.symbol == symbol]

    def latest_ids(self) -> tuple[int, int]:
        """Return the highest id of an order and of an OCO list so far, of any account."""
        return self._state.orders, self._state.lists

    def order_list(self, account: str, list_id: int) -> OrderList:
        """Return an OCO list. Raises RefusedError (UNKNOWN_ORDER)."""
        listed = self._state.account(account).lists.get(list_id)
        if listed is None:
            raise RefusedError(Reason.UNKNOWN_ORDER, f"there is no order list {list_id}")
        return listed

    def order_lists(self, account: str) -> list[OrderList]:
        """Return all OCO lists, oldest first."""
        return list(self._state.account(account).lists.values())

    def fills(self, account: str, symbol: str | None = None) -> list[Fill]:
        """Return the account's fills, oldest first."""
        fills = self._state.account(account).fills
        return [fill for fill in fills if fill.symbol == symbol] if symbol else list(fills)

    def book(self, symbol: str, depth: int) -> Book:
        """Return the best `depth` levels of both sides."""
        market = self._state.market(symbol)
        return Book(
            bids=_levels(market, market.bids, depth),
            asks=_levels(market, market.asks, depth),
            sequence=market.sequence,
        )

    def last_price(self, symbol: str) -> Decimal | None:
        """Return the price of the last trade."""
        market = self._state.market(symbol)
        return None if market.last is None else market.price(market.last)

    # State

    def snapshot(self) -> dict[str, object]:
        """Return the whole state as JSON values."""
        return snapshots.take(self._state)

    def live_snapshot(self, *, without: AbstractSet[str]) -> dict[str, object]:
        """Return `snapshot` without what has ended, which only grows: `ended` has it.

        And as if the accounts `without` had cancelled their orders.
        """
        return snapshots.take_live(self._state, without=without)

    def ended(
        self, account: str, *, orders: Iterable[int], first_fill: int
    ) -> list[tuple[str, dict[str, object]]]:
        """Return those of an account's orders that have ended, with their lists and new fills.

        Each is an item of a member of the account in a snapshot. `first_fill`: how many fills are
        known. Raises RefusedError.
        """
        found = self._state.account(account)
        return snapshots.ended(found, orders=orders, first_fill=first_fill)

    @classmethod
    def restore(
        cls,
        instruments: Iterable[Instrument],
        state: dict[str, object],
        *,
        unit: Decimal = ASSET_UNIT,
    ) -> "Engine":
        """Return an engine that goes on where `snapshot` was taken.

        Raises ValueError if `state` is not a snapshot, or one of other instruments or another unit.
        """
        engine = cls((), unit=unit)
        engine._state = snapshots.restore(instruments, state, unit=unit)
        return engine


def _begin(execution: Execution, account: Account, admitted: Admitted) -> Entry:
    entry = execution.accept(account, admitted.terms, unspent=admitted.unspent)
    execution.hold(entry, admitted.hold)
    execution.work(entry)
    return entry


def _levels(market: Market, side: Ladder, depth: int) -> tuple[Level, ...]:
    levels = (level for level, _ in zip(side, range(depth), strict=False))
    return tuple(Level(market.price(level.price), market.quantity(level.lots)) for level in levels)
