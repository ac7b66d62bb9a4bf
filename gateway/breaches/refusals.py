"""What must not be refused: a gateway that refuses everything keeps all limits, and is useless."""

from collections.abc import Callable

from breaches.books import MONEY, as_waiting, names
from breaches.facts import ZERO, Asked, Breach
from breaches.judgement import Judgement

SETTLED = 10_000


class Refusals(Judgement):
    """Raises Breach for a refusal without a reason."""

    def refused(self, asked: Asked, control: str, now: int) -> None:
        """Raise Breach if a request must not have been refused."""
        self.seen(now)
        row = as_waiting(asked, self.books.get(asked.legs[0].symbol))
        view = self.view(known=True)
        crosses = any(names(row.symbol)[1] != MONEY for row in view.waiting)
        if crosses or not self.reconciled or self.doubtful[1]:
            return  # what the gateway has forgotten, or how much a cross takes, is not known here
        if any(row.money for row in view.waiting):
            return  # the gateway counts what the money was worth when it was sent
        extended = self.extended(view, row, asked)
        if not extended and not (control == "Duplicate" and self._is_open(asked)):
            raise Breach(f"an exit was refused by {control}")
        after = self.open_assets(view) | set(extended)
        reasons: dict[str, Callable[[], bool]] = {
            "NotReconciled": lambda: False,
            "Terminating": lambda: self.leaving,
            "NotGranted": lambda: bool(self.barred),
            "Closed": lambda: self.rules.closed,
            "AllowedSymbols": lambda: self.is_breach(self.must_be_allowed, asked),
            "UnknownOutcome": lambda: any(
                not own.heard and (own.lost or now - own.at > SETTLED)
                for own in self.orders.values()
                if (own.terms.symbol, own.terms.side) == (row.symbol, row.side)
            ),
            "Duplicate": lambda: (
                not self.known_ids.isdisjoint(leg.client_id for leg in asked.legs)
                or self.is_breach(self.must_be_new, asked, now)
            ),
            "MaxOrdersPerMinute": lambda: self.sent_lately(now) + len(asked.legs) > self.rules.rate,
            "NoPrice": lambda: self.is_breach(self.must_be_priced, asked, extended, now),
            "DailyLossLimit": lambda: self._may_be_halted(now),
            "PriceCollar": lambda: self.is_breach(self.must_be_in_the_collar, asked),
            "MaxOpenPositions": lambda: len(after) > self.rules.positions,
            "MaxPositionSize": lambda: any(
                (self.value(view, row, asset, up=up) or ZERO) > self.rules.size
                for asset, up in extended.items()
            ),
        }
        if not reasons[control]():
            raise Breach(f"an entry was refused by {control} that fits")

    def _is_open(self, asked: Asked) -> bool:
        """Whether a client id is that of an order that may be open, as the gateway was told."""
        found = [own for leg in asked.legs if (own := self.orders.get(leg.client_id))]
        groups = {own.group for own in found if own.group}
        found += [own for own in self.orders.values() if own.group in groups]
        return any(own.known_live or own.missing for own in found)

    def _may_be_halted(self, now: int) -> bool:
        profit = self.money.profit(self.books, now)
        return (
            now < self.rules.halted_until
            or self.money.start in {self.halted_day, self.unprotected_day}
            or self.unclear()
            or profit is None
            or profit <= -self.rules.loss
        )
