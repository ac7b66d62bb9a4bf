"""The checker: does each invariant hold, by the exchange's own books?

It is told what the gateway was told, and what it answered; it computes everything by itself.
"""

from collections.abc import Iterable
from decimal import Decimal

from breaches.books import MONEY, Waiting, as_waiting
from breaches.facts import ZERO, Asked, Breach
from breaches.protection import Protection

AGAIN = 2_000


class Checker(Protection):
    """Raises Breach for what the gateway must not do."""

    def allowed(self, asked: Asked, now: int, *, entry: bool) -> None:
        """Raise Breach if a request must not have been allowed. Call it before it is sent.

        `entry` is what the gateway takes it for.
        """
        self.seen(now)
        row = as_waiting(asked, self.books.get(asked.legs[0].symbol))
        extended = self.extended(self.view(known=False), row, asked)
        if not self.extended(self.view(known=True), row, asked):
            self._must_be_released(row)
            return
        if not extended:
            return
        if not entry:
            raise Breach(f"an entry in {sorted(extended)} counts as an exit")
        self.must_not_be_barred(asked, now)
        self.must_be_priced(asked, extended, now)
        self.must_be_in_the_collar(asked)
        view = self.view(known=False)
        for asset, up in extended.items():
            value = self.value(view, row, asset, up=up)
            if value is None or value > self.rules.size:
                raise Breach(f"size: {asset} may be worth {value}, the limit is {self.rules.size}")
        after = self.open_assets(view) | set(extended)
        if len(after) > self.rules.positions:
            raise Breach(f"positions: {sorted(after)}, the limit is {self.rules.positions}")

    def _must_be_released(self, row: Waiting) -> None:
        """Refuse an exit that is sent while protection locks what it sells."""
        for other in self.view(known=False).waiting:
            same = (other.symbol, other.side) == (row.symbol, row.side)
            if same and other.gateways and not self.is_exit(other):
                raise Breach(f"an exit in {row.symbol} is sent beside protection")

    # What the gateway does by itself

    def cancelled(self, client_ids: Iterable[str], now: int) -> None:
        """Raise Breach if entry orders are open that must go, and are not among the cancels."""
        self.cancels = {name: at for name, at in self.cancels.items() if now - at < AGAIN}
        self.cancels |= dict.fromkeys(client_ids, now)
        if not self.blocked(now):
            return
        for row in self.view(known=True).waiting:
            alive = any(self.orders[name].known_live for name in row.client_ids)
            entry = not row.gateways and self.entry_ids.intersection(row.client_ids)
            if alive and entry and self.cancels.keys().isdisjoint(row.client_ids):
                raise Breach(f"entry order {row.client_ids} is not cancelled at once")

    # What the gateway says

    def reported(self, figures: tuple[Decimal, int, Decimal] | None, now: int) -> None:
        """Raise Breach for a wrong profit of the day, number of positions, or exposure.

        None: the gateway says that it does not know them.
        """
        self.seen(now)
        profit = None if self.unclear() else self.money.profit(self.books, now)
        if not self.reconciled or profit is None:
            if figures is not None:
                raise Breach("the figures of the day are reported, and can't be known")
            return
        if figures is None:
            if not self.doubtful[1]:
                raise Breach("the figures of the day are known, and not reported")
            return
        held = {asset: quantity for asset, quantity in self.money.held.items() if quantity}
        exposure = ZERO
        for asset, quantity in held.items():
            book = self.books[f"{asset}-{MONEY}"]
            exposure += abs(quantity) * (book.bids if quantity > 0 else book.asks)[0].price
        positions = sum(not self.dust(asset, quantity) for asset, quantity in held.items())
        if figures != (profit, positions, exposure):
            raise Breach(f"the report has {figures}, right is {(profit, positions, exposure)}")
