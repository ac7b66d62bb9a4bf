"""Which orders must protect a position, and at which prices."""

from collections.abc import Iterable
from decimal import Decimal

from tradingbot_exchange.engine.types import NewOrder, OrderType, Side

from breaches.books import MONEY, Waiting, names
from breaches.facts import ZERO, Asked, Breach, Own
from breaches.refusals import Refusals

STOPS = (OrderType.STOP_LIMIT, OrderType.STOP_MARKET)
TICKS = 2
"""Prices are rounded to a tick, and an average that moves by one is left alone."""


class Protection(Refusals):
    """Raises Breach for protection that lacks, or is wrong."""

    def placed(self, asked: Asked, now: int) -> None:
        """Raise Breach if an order that the gateway places is too much. Call it before `sent`."""
        leg = asked.legs[0]
        base = names(leg.symbol)[0]
        held = self.true_held[base]
        left = (held if leg.side is Side.SELL else -held) - (leg.quantity or ZERO)
        for row in self.view(known=False).waiting:
            if row.symbol == leg.symbol and row.side is leg.side:
                if row.gateways:
                    raise Breach(f"{base} is protected, or closed, twice")
                left -= row.quantity
        # How much of a quote asset a cross brings is known once its fill has been shown.
        known = self.view(known=True).waiting
        crosses = any(base == names(row.symbol)[1] for row in known)
        if left < 0 and not crosses:
            raise Breach(f"{leg.quantity} {base} is to be closed of {held}, with open exits")
        if leg.type is not OrderType.MARKET:
            self._must_have_the_prices(base, asked.legs)
        elif self.unprotected.get(base) == self.money.start and self._passed(base, now) is False:
            self.halted_day = self.money.start  # the exchange takes no protection: halted for that

    def _levels(self, asset: str) -> tuple[Decimal, Decimal] | None:
        """Return the prices of stop-loss and take-profit, if they are known here."""
        entry, held = self.entered.price(asset), self.money.held[asset]
        if entry is None or not held:
            return None
        sign = 1 if held > 0 else -1
        stop, profit = (sign * share / 100 for share in (self.rules.stop, self.rules.profit))
        return entry * (1 - stop), entry * (1 + profit)

    def _passed(self, asset: str, now: int) -> bool | None:
        """Whether the market is beyond the stop-loss; None if that is not known here."""
        levels, price = self._levels(asset), self.young(f"{asset}-{MONEY}", now)
        if levels is None or price is None:
            return None
        long = self.money.held[asset] > 0
        tick = self.instruments[f"{asset}-{MONEY}"].tick * TICKS
        away = price.bids[0].price - levels[0] if long else levels[0] - price.asks[0].price
        return None if abs(away) <= tick else away < 0

    def _must_have_the_prices(self, asset: str, legs: Iterable[NewOrder]) -> None:
        levels = self._levels(asset)
        if levels is None:
            return
        near = self.instruments[f"{asset}-{MONEY}"].tick * TICKS
        for leg in legs:
            wanted = levels[1] if leg.stop_price is None else levels[0]
            price = leg.stop_price or leg.price or ZERO
            if abs(price - wanted) > near:
                raise Breach(f"{asset} is protected at {price}, and not at {wanted:.4f}")

    def calm(self, now: int) -> None:
        """Raise Breach if something is not done yet, although all is known and time has passed."""
        rows = self.view(known=False).waiting
        if self.blocked(now):
            for row in rows:
                if not row.gateways and self.entry_ids.intersection(row.client_ids):
                    raise Breach(f"entry order {row.client_ids} is still open")
        for asset, quantity in self.true_held.items():
            self._must_be_protected(asset, quantity, rows, now)

    def _must_be_protected(
        self, asset: str, quantity: Decimal, rows: list[Waiting], now: int
    ) -> None:
        one = self.instruments[f"{asset}-{MONEY}"]
        side = Side.SELL if quantity > 0 else Side.BUY
        closing = [row for row in rows if row.symbol == one.symbol and row.side is side]
        own = sum((row.quantity for row in closing if row.gateways), ZERO)
        if own > abs(quantity):
            raise Breach(f"{own} {asset} is protected, and {quantity} is held")
        crosses = any(asset in names(row.symbol) and row.symbol != one.symbol for row in rows)
        if any(row.side is not side and row.gateways and row.symbol == one.symbol for row in rows):
            raise Breach(f"{asset} is protected in the wrong direction")
        passed = self._passed(asset, now)
        if passed is True:  # an exit at a better price would not stop the loss
            closing = [row for row in closing if self._stops(asset, row)]
        elif passed is False:
            for row in closing:
                if row.gateways:
                    self._must_have_the_prices(asset, [own.terms for own in self._orders(row)])
        bare = abs(quantity) - sum((row.quantity for row in closing), ZERO)
        bare = bare // one.lot * one.lot
        # Small enough for the exchange to take no stop 20 % below the price.
        price = self.books[one.symbol].bids[0].price * Decimal("0.8")
        if not crosses and bare >= one.min_quantity and bare * price >= one.min_notional:
            raise Breach(f"{bare} {asset} of {quantity} is not protected")

    def _orders(self, row: Waiting) -> list[Own]:
        found = [self.orders[name] for name in row.client_ids]
        return [own for own in found if own.live and own.terms.type is not OrderType.MARKET]

    def _stops(self, asset: str, row: Waiting) -> bool:
        """Whether an order closes at the stop-loss at the latest."""
        levels = self._levels(asset)
        if levels is None or any(
            self.orders[name].terms.type is OrderType.MARKET for name in row.client_ids
        ):
            return True
        near = self.instruments[row.symbol].tick * TICKS
        sign = 1 if row.side is Side.SELL else -1
        return any(
            own.terms.type in STOPS and sign * ((own.terms.stop_price or ZERO) - levels[0]) >= -near
            for own in self._orders(row)
        )
