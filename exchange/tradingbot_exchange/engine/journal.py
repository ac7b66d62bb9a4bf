"""The events of one call, and the balances before it."""

from tradingbot_exchange.engine.accounts import Account, Purse
from tradingbot_exchange.engine.amounts import times
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.ladder import Ladder
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.types import (
    BalanceEvent,
    BookEvent,
    Change,
    Event,
    Fill,
    Level,
    OrderEvent,
    Reason,
)


class Journal:
    """Collects the events of one call. Every balance and book must be changed through it."""

    __slots__ = ("_before", "_markets", "events", "now", "quiet")

    def __init__(self, now: int, *, quiet: bool) -> None:
        self.now = now
        self.quiet = quiet
        self.events: list[Event] = []
        self._before: dict[Account, dict[str, tuple[int, int]]] = {}
        self._markets: list[Market] = []

    def purse(self, account: Account, asset: str) -> Purse:
        """Return a purse that is about to change."""
        purse = account.purse(asset)
        if self.quiet:
            return purse
        before = self._before.get(account)
        if before is None:
            self._before[account] = {asset: (purse.free, purse.held)}
        elif asset not in before:
            before[asset] = (purse.free, purse.held)
        return purse

    def changes_book(self, market: Market) -> None:
        """Note that the call may change a book."""
        if not self.quiet and market not in self._markets:
            self._markets.append(market)

    def order(
        self,
        entry: Entry,
        change: Change,
        *,
        fill: Fill | None = None,
        reason: Reason | None = None,
    ) -> None:
        """Record a change of an order."""
        order = entry.order
        order.updated = self.now
        self.events.append(
            OrderEvent(
                change=change,
                order=order,
                status=order.status,
                filled=order.filled,
                filled_quote=order.filled_quote,
                time=self.now,
                fill=fill,
                reason=reason,
            )
        )

    def close(self) -> list[Event]:
        """Add what changed in books and balances, and return all events."""
        for market in self._markets:
            self._close_book(market)
        for account, assets in self._before.items():
            purses = account.purses
            balances = {
                asset: purse.balance(account.unit)
                for asset, (free, held) in assets.items()
                if (purse := purses[asset]).free != free or purse.held != held
            }
            if balances:
                self.events.append(
                    BalanceEvent(account=account.name, balances=balances, time=self.now)
                )
        return self.events

    def _close_book(self, market: Market) -> None:
        bids, asks = _levels(market, market.bids), _levels(market, market.asks)
        if not bids and not asks:
            return
        market.sequence += 1
        self.events.append(
            BookEvent(
                symbol=market.symbol,
                bids=bids,
                asks=asks,
                sequence=market.sequence,
                time=self.now,
            )
        )


def _levels(market: Market, side: Ladder) -> tuple[Level, ...]:
    if not side.changed:
        return ()
    tick, lot = market.tick, market.lot
    return tuple([Level(times(tick, price), times(lot, lots)) for price, lots in side.changes()])
