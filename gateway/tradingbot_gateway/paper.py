"""Paper: an exchange inside the gateway, which fills orders against the real market's quotes.

No order leaves the process. The account, its rules, its events and its errors are those of the
simulated exchange, so the rest of the gateway, and the bot, find what they find in Live. The real
exchange is asked for prices only, and needs no key.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    ASSET_UNIT,
    Event,
    Instrument,
    OrderEvent,
    Side,
    Trade,
)
from tradingbot_exchange.market.liquidity import HOUSE, Quote, requote
from tradingbot_exchange.market.symbols import Symbol
from tradingbot_exchange.venue import ApiKey, Candle, Listener

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.errors import StateFileError
from tradingbot_gateway.markets import Depth
from tradingbot_gateway.paper_state import PaperState

log = logging.getLogger(__name__)

ACCOUNT = "paper"
_MANY = 10**6
_FUNDS = Decimal(10**18)
"""What the rest of the market has of every asset: a book of small coins has 10^12 of them."""
_ZERO = Decimal(0)


class PaperVenue:
    """A venue whose books are the real market's: what the simulated exchange's dialect needs."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        balances: Mapping[str, Decimal],
        *,
        key: ApiKey,
        wall: Wall,
        state: Path | None,
        unit: Decimal = ASSET_UNIT,
    ) -> None:
        """`instruments` by the exchange's names. `key`: of the account; only the gateway has it.

        `state`: a file that keeps the account over a restart, with another one beside it. `unit`:
        the smallest amount of any asset. Raises StateFileError.
        """
        self._symbols = {
            name: _symbol(each) for name, each in instruments.items() if _usable(each, unit)
        }
        known = tuple(each.instrument for each in self._symbols.values())
        self._wall = wall
        self._state = None if state is None else PaperState(state, ACCOUNT, quoting=(HOUSE,))
        self._latest = 0
        self._listeners: list[Listener] = []
        self._keys = {key.name: key}
        restored = None if self._state is None else _restored(self._state, known, unit)
        if restored is None:
            self._engine = Engine(known, unit=unit)
            self._open_accounts(balances)
        else:
            self._engine = restored
            self._withdraw_quotes()

    # The venue, as the dialect sees it

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self._engine

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        """The one key."""
        return self._keys

    def now(self) -> int:
        """Return the time in milliseconds. It never goes back."""
        self._latest = max(self._latest, self._wall())
        return self._latest

    def market_time(self) -> int:
        """Return the same: nothing skews this clock."""
        return self.now()

    def client_time(self) -> int:
        """Return the machine's time in milliseconds."""
        return self._wall()

    def apply(self, change: Callable[[Engine, int], tuple[object, list[Event]]]) -> object:
        """Change the engine, keep it, notify listeners, and return the first value."""
        self.advance()
        result, events = change(self._engine, self.now())
        self._done(events)
        return result

    def advance(self) -> None:
        """End the orders whose time has come. The market comes by itself."""
        self._done(self._engine.expire(now=self.now()))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the events of each change; the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def candles(self, symbol: str, interval_ms: int, *, start: int, end: int) -> list[Candle]:
        """Return nothing: the real exchange has the candles."""
        del symbol, interval_ms, start, end
        return []

    def trades(self, symbol: str, *, after_id: int = 0, limit: int = 1000) -> list[Trade]:
        """Return nothing: the real exchange has the trades."""
        del symbol, after_id, limit
        return []

    def credit(self, account: str, asset: str, amount: Decimal) -> None:
        """Deposit, or withdraw if negative."""
        self.apply(lambda engine, now: (None, engine.deposit(account, asset, amount, now=now)))

    # The market

    def quoted(self, name: str, depth: Depth) -> None:
        """Take the real market's book: it fills what it meets, and triggers the stops it reaches.

        Stops are compared with the best bid: a sale triggers when that is what can be had.
        """
        symbol = self._symbols.get(name)
        if symbol is None or not depth.bids or not depth.asks:
            return
        self.advance()
        now = self.now()
        wanted = [Quote(Side.BUY, price, size) for price, size in depth.bids]
        wanted += [Quote(Side.SELL, price, size) for price, size in depth.asks]
        events = requote(self._engine, symbol, wanted, now=now)
        events += self._engine.trade_through(
            symbol.instrument.symbol, depth.bids[0][0], now=now, quantity=_ZERO
        )
        self._done(events)

    def _done(self, events: Sequence[Event]) -> None:
        own = [
            each.order.id
            for each in events
            if isinstance(each, OrderEvent) and each.order.account == ACCOUNT
        ]
        if own:
            self._keep(own)
        shown = [each for each in events if not _is_of_house(each)]
        for listener in tuple(self._listeners) if shown else ():
            listener(shown)

    # State

    def _open_accounts(self, balances: Mapping[str, Decimal]) -> None:
        now = self.now()
        self._engine.open_account(HOUSE, keeps_history=False)
        assets = {
            asset
            for each in self._symbols.values()
            for asset in (each.instrument.base, each.instrument.quote)
        }
        for asset in sorted(assets):
            self._engine.deposit(HOUSE, asset, _FUNDS, now=now)
        for asset, amount in balances.items():
            self._engine.deposit(ACCOUNT, asset, amount, now=now)
        self._keep(())

    def _withdraw_quotes(self) -> None:
        """Cancel the quotes of the last run: nothing may be filled at old prices."""
        for order in self._engine.open_orders(HOUSE):
            self._engine.cancel(HOUSE, order.id, now=self.now())

    def _keep(self, orders: Sequence[int]) -> None:
        """Keep the account after a change of these orders."""
        if self._state is not None:
            self._state.write(self._engine, dict.fromkeys(orders))


def _restored(state: PaperState, instruments: Sequence[Instrument], unit: Decimal) -> Engine | None:
    try:
        found = state.read()
        return None if found is None else Engine.restore(instruments, found, unit=unit)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StateFileError(
            f"{state.path} is not the account of these symbols: remove it and the ledger to begin"
            " again"
        ) from error


def _usable(instrument: Instrument, unit: Decimal) -> bool:
    """Whether an engine with this unit can hold the instrument's amounts."""
    try:
        Engine((instrument,), unit=unit)
    except ValueError as error:
        log.warning("%s can't be traded in Paper: %s", instrument.symbol, error)
        return False
    return True


def _symbol(instrument: Instrument) -> Symbol:
    """Return what the market quotes: it may have as many orders as its book has levels."""
    return Symbol(
        instrument=replace(instrument, max_orders=_MANY),
        start_price=instrument.tick,
        size=instrument.lot,
        gap=instrument.tick,
    )


def _is_of_house(event: Event) -> bool:
    if isinstance(event, OrderEvent):
        return event.order.account == HOUSE
    return getattr(event, "account", None) == HOUSE
