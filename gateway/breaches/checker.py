"""The checker: does each invariant hold, by the exchange's own books?

It is told what the gateway was told, and what it answered; it computes everything by itself.
"""

from decimal import Decimal

from tradingbot_exchange.engine.types import OrderType, Side

from breaches.books import MONEY, YOUNG, Waiting, as_waiting, names
from breaches.facts import ZERO, Asked, Breach
from breaches.known import Known, terms_of

REPEATED = 1_000


class Checker(Known):
    """Raises Breach for what the gateway must not do."""

    def allowed(self, asked: Asked, now: int) -> None:
        """Raise Breach if a request must not have been allowed. Call it before it is sent."""
        self.seen(now)
        row = as_waiting(asked, self.books.get(asked.legs[0].symbol))
        extended = self.extended(self.view(known=False), row, asked)
        if not self.extended(self.view(known=True), row, asked):
            self._must_be_released(row)
            return
        if not extended:
            return
        self._must_not_be_barred(asked, now)
        self._must_be_priced(asked, extended, now)
        self._must_be_in_the_collar(asked)
        view = self.view(known=False)
        for asset, up in extended.items():
            value = self.value(view, row, asset, up=up)
            if value is None or value > self.rules.size:
                raise Breach(f"size: {asset} may be worth {value}, the limit is {self.rules.size}")
        after = self.open_assets(view) | set(extended)
        if len(after) > self.rules.positions:
            raise Breach(f"positions: {sorted(after)}, the limit is {self.rules.positions}")

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
        if not extended and control != "Duplicate":
            raise Breach(f"an exit was refused by {control}")
        if control == "MaxPositionSize" and not any(
            (self.value(view, row, asset, up=up) or ZERO) > self.rules.size
            for asset, up in extended.items()
        ):
            raise Breach("an entry was refused by MaxPositionSize that fits")
        after = self.open_assets(view) | set(extended)
        if control == "MaxOpenPositions" and len(after) <= self.rules.positions:
            raise Breach("an entry was refused by MaxOpenPositions that fits")
        if control == "MaxOrdersPerMinute" and (
            self.sent_lately(now) + len(asked.legs) <= self.rules.rate
        ):
            raise Breach("an entry was refused by MaxOrdersPerMinute that fits")

    def _must_be_released(self, row: Waiting) -> None:
        """Refuse an exit that is sent while protection locks what it sells."""
        for other in self.view(known=False).waiting:
            same = (other.symbol, other.side) == (row.symbol, row.side)
            if same and other.gateways and not self._is_exit(other):
                raise Breach(f"an exit in {row.symbol} is sent beside protection")

    def _must_not_be_barred(self, asked: Asked, now: int) -> None:
        symbol, side = asked.legs[0].symbol, asked.legs[0].side
        rules = self.rules
        if not self.reconciled:
            raise Breach("an entry before the exchange was asked")
        if self.leaving:
            raise Breach("an entry after the pod was told to go")
        if rules.closed:
            raise Breach("an entry while closed")
        if now < rules.halted_until or self.halted_day == self.money.start:
            raise Breach("an entry while halted")
        if rules.symbols is None:
            if names(symbol)[1] != MONEY:
                raise Breach(f"an entry in {symbol}")
        elif symbol not in rules.symbols:
            raise Breach(f"an entry in {symbol}, which is not allowed")
        if any(
            own.lost and own.terms.symbol == symbol and own.terms.side is side
            for own in self.orders.values()
        ):
            raise Breach(f"an entry in {symbol} while the outcome of another is unknown")
        self._must_be_new(asked, now)

    def _must_be_new(self, asked: Asked, now: int) -> None:
        if self.sent_lately(now) + len(asked.legs) > self.rules.rate:
            raise Breach(f"more than {self.rules.rate} entries in a minute")
        for leg in asked.legs:
            if leg.client_id in self.used:
                raise Breach(f"client id {leg.client_id} a second time")
            if any(now - at < REPEATED and terms == terms_of(leg) for at, terms in self.entries):
                raise Breach("the same entry within a second")

    def _must_be_priced(self, asked: Asked, extended: dict[str, bool], now: int) -> None:
        symbol = asked.legs[0].symbol
        for name in {symbol, *(f"{asset}-{MONEY}" for asset in extended)}:
            book = self.books.get(name)
            if book is None or abs(now - book.time) > YOUNG or not book.bids or not book.asks:
                raise Breach(f"an entry without a young price of {name}")
        if self.money.profit(self.books, now) is None:
            raise Breach("an entry while the profit of the day is unknown")

    def _must_be_in_the_collar(self, asked: Asked) -> None:
        book = self.books[asked.legs[0].symbol]
        for leg in asked.legs:
            buy = leg.side is Side.BUY
            away = self.rules.collar / 100
            mark = book.bids[0].price if buy else book.asks[0].price
            if leg.stop_price is not None:
                mark = leg.stop_price
            price = leg.price
            if leg.type is OrderType.MARKET:
                left = leg.quantity or leg.quote_quantity or ZERO
                for level in book.asks if buy else book.bids:
                    price = level.price
                    left -= level.quantity * (1 if leg.quantity is not None else level.price)
                    if left <= 0:
                        break
                if left > 0:
                    raise Breach("collar: a market order beyond the book")
            if price is None:
                raise Breach("collar: an entry without a price")
            if price > mark * (1 + away) if buy else price < mark * (1 - away):
                raise Breach(f"collar: {price} is too far from {mark}")

    # What the gateway does by itself

    def placed(self, asked: Asked) -> None:
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

    def calm(self, now: int) -> None:
        """Raise Breach if something is not done yet, although all is known and time has passed."""
        rows = self.view(known=False).waiting
        if self.blocked(now):
            for row in rows:
                if not row.gateways and self.entry_ids.intersection(row.client_ids):
                    raise Breach(f"entry order {row.client_ids} is still open")
        for asset, quantity in self.true_held.items():
            self._must_be_protected(asset, quantity, rows)

    def _must_be_protected(self, asset: str, quantity: Decimal, rows: list[Waiting]) -> None:
        one = self.instruments[f"{asset}-{MONEY}"]
        side = Side.SELL if quantity > 0 else Side.BUY
        closing = [row for row in rows if row.symbol == one.symbol and row.side is side]
        own = sum((row.quantity for row in closing if row.gateways), ZERO)
        if own > abs(quantity):
            raise Breach(f"{own} {asset} is protected, and {quantity} is held")
        crosses = any(asset in names(row.symbol) and row.symbol != one.symbol for row in rows)
        if any(row.side is not side and row.gateways and row.symbol == one.symbol for row in rows):
            raise Breach(f"{asset} is protected in the wrong direction")
        bare = abs(quantity) - sum((row.quantity for row in closing), ZERO)
        bare = bare // one.lot * one.lot
        # Small enough for the exchange to take no stop 20 % below the price.
        price = self.books[one.symbol].bids[0].price * Decimal("0.8")
        if not crosses and bare >= one.min_quantity and bare * price >= one.min_notional:
            raise Breach(f"{bare} {asset} of {quantity} is not protected")
