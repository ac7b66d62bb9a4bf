"""The checker's own books: positions, orders that may fill, and the profit of the day.

They share nothing with the gateway. There are two views of the same orders: what is true at the
exchange, and what the gateway was told.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tradingbot_exchange.engine.types import Fill, NewOrder, Side

from breaches.facts import ZERO, Asked, Own, Shown

MONEY = "USDT"
YOUNG = 30_000
DAY = 86_400_000
ENDLESS = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Waiting:
    """What may still fill: the sum of it, and the worst price for a buyer."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    money: Decimal
    client_ids: tuple[str, ...]
    gateways: bool


@dataclass(slots=True)
class View:
    """Positions and waiting orders, as one of the two views has them."""

    held: Mapping[str, Decimal]
    waiting: list[Waiting]


def names(symbol: str) -> tuple[str, str]:
    """Return base and quote."""
    base, quote = symbol.split("-")
    return base, quote


def size_of(terms: NewOrder, book: Shown | None) -> Decimal:
    """Return the quantity of an order; of one by money, what the money is worth at the best."""
    if terms.quantity is not None:
        return terms.quantity
    money = terms.quote_quantity or ZERO
    if book is None or not book.asks or not book.bids:
        return ENDLESS
    return money / (book.asks[0].price if terms.side is Side.BUY else book.bids[-1].price)


def as_waiting(asked: Asked, book: Shown | None) -> Waiting:
    """Return what a request adds to the waiting orders."""
    return Waiting(
        asked.legs[0].symbol,
        asked.legs[0].side,
        max(size_of(leg, book) for leg in asked.legs),
        max(max(leg.price or ZERO, leg.stop_price or ZERO) for leg in asked.legs),
        max(leg.quote_quantity or ZERO for leg in asked.legs),
        tuple(leg.client_id for leg in asked.legs),
        gateways=False,
    )


def waiting(orders: Iterable[Own], *, known: bool) -> list[Waiting]:
    """Return what may still fill in a view, lists counted once."""
    lists: dict[str, list[Own]] = {}
    found = []
    for own in orders:
        if own.group is None:
            if own.known_live if known else own.live:
                rest = max(own.size - (own.known_filled if known else own.filled), ZERO)
            else:
                rest = own.missing if known else ZERO
            if rest:
                found.append(_row([own], rest))
        else:
            lists.setdefault(own.group, []).append(own)
    for members in lists.values():
        alive = [own for own in members if (own.known_live if known else own.live)]
        total = max((own.terms.quantity or ZERO for own in alive), default=ZERO)
        filled = sum(((own.known_filled if known else own.filled) for own in members), ZERO)
        missing = sum((own.missing for own in members), ZERO) if known else ZERO
        rest = max(total - filled, missing)
        if rest:
            found.append(_row(members, rest))
    return found


def _row(members: list[Own], rest: Decimal) -> Waiting:
    first = members[0]
    return Waiting(
        first.terms.symbol,
        first.terms.side,
        rest,
        max(max(own.terms.price or ZERO, own.terms.stop_price or ZERO) for own in members),
        first.terms.quote_quantity or ZERO,
        tuple(own.terms.client_id for own in members),
        first.gateways,
    )


@dataclass(slots=True)
class Money:
    """Cash of the day, and quantities now and at its start, from the fills that were shown."""

    start: int = 0
    held: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    before: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    cash: Decimal = ZERO
    marks: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    """Bid and ask when the day began."""

    def count(self, fill: Fill) -> None:
        """Count a fill once."""
        base, quote = names(fill.symbol)
        sign = 1 if fill.side is Side.BUY else -1
        moves: dict[str, Decimal] = defaultdict(Decimal)
        moves[base] += sign * fill.quantity
        moves[quote] -= sign * fill.quantity * fill.price
        moves[fill.fee_asset] -= fill.fee
        cash = moves.pop(MONEY, ZERO)
        for asset, amount in moves.items():
            self.held[asset] += amount
            if fill.time < self.start:
                self.before[asset] += amount
        if fill.time >= self.start:
            self.cash += cash

    def begin(self, start: int) -> None:
        """Begin a day."""
        self.start = start
        self.before = defaultdict(Decimal, self.held)
        self.cash = ZERO
        self.marks = {}

    def profit(self, bids: Mapping[str, Shown], now: int) -> Decimal | None:
        """Return the profit of the day; None if a price lacks."""
        result = self.cash
        for asset, quantity in self.held.items():
            if quantity:
                book = bids.get(f"{asset}-{MONEY}")
                if book is None or abs(now - book.time) > YOUNG:
                    return None
                result += quantity * (book.bids if quantity > 0 else book.asks)[0].price
        for asset, quantity in self.before.items():
            if quantity:
                if asset not in self.marks:
                    return None
                result -= quantity * self.marks[asset][quantity < 0]
        return result
