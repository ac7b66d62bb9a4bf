"""What an entry must be like to be allowed, apart from its size."""

from collections.abc import Callable
from typing import Any

from tradingbot_exchange.engine.types import OrderType, Side

from breaches.books import MONEY, names
from breaches.facts import ZERO, Asked, Breach
from breaches.known import REMEMBERED, Known, terms_of

REPEATED = 1_000


class Judgement(Known):
    """Raises Breach for an entry that must not be allowed."""

    def is_breach(self, check: Callable[..., None], *arguments: Any) -> bool:
        """Whether a check raises Breach."""
        try:
            check(*arguments)
        except Breach:
            return True
        return False

    def must_not_be_barred(self, asked: Asked, now: int) -> None:
        """Raise Breach for an entry while nothing may be opened."""
        symbol, side = asked.legs[0].symbol, asked.legs[0].side
        rules = self.rules
        if not self.reconciled:
            raise Breach("an entry before the exchange was asked")
        if self.leaving:
            raise Breach("an entry after the pod was told to go")
        if self.barred:
            raise Breach(f"an entry while {self.barred}")
        if rules.closed:
            raise Breach("an entry while closed")
        if now < rules.halted_until or self.halted_day == self.money.start:
            raise Breach("an entry while halted")
        self.must_be_allowed(asked)
        if any(
            own.lost and own.terms.symbol == symbol and own.terms.side is side
            for own in self.orders.values()
        ):
            raise Breach(f"an entry in {symbol} while the outcome of another is unknown")
        self.must_be_new(asked, now)

    def must_be_allowed(self, asked: Asked) -> None:
        """Raise Breach for an entry in a symbol that is not allowed."""
        symbol, rules = asked.legs[0].symbol, self.rules
        if rules.symbols is None:
            if names(symbol)[1] != MONEY:
                raise Breach(f"an entry in {symbol}")
        elif symbol not in rules.symbols:
            raise Breach(f"an entry in {symbol}, which is not allowed")

    def must_be_new(self, asked: Asked, now: int) -> None:
        """Raise Breach for an entry that was sent before, or is one too many."""
        if self.sent_lately(now) + len(asked.legs) > self.rules.rate:
            raise Breach(f"more than {self.rules.rate} entries in a minute")
        for leg in asked.legs:
            if now - self.used.get(leg.client_id, -REMEMBERED) < REMEMBERED:
                raise Breach(f"client id {leg.client_id} a second time")
            if any(now - at < REPEATED and terms == terms_of(leg) for at, terms in self.entries):
                raise Breach("the same entry within a second")

    def must_be_priced(self, asked: Asked, extended: dict[str, bool], now: int) -> None:
        """Raise Breach for an entry whose worth, or that of the day, is not known."""
        symbol = asked.legs[0].symbol
        for name in {symbol, *(f"{asset}-{MONEY}" for asset in extended)}:
            if self.young(name, now) is None:
                raise Breach(f"an entry without a young price of {name}")
        if self.money.profit(self.books, now) is None:
            raise Breach("an entry while the profit of the day is unknown")

    def must_be_in_the_collar(self, asked: Asked) -> None:
        """Raise Breach for an entry far from the market."""
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
