"""What the checker knows: what the gateway was told and shown, what is true, and what follows."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import count

from tradingbot_exchange.engine.types import Fill, Instrument, NewOrder, OrderType, Side

from breaches.books import DAY, ENDLESS, MONEY, YOUNG, Money, View, Waiting, names, size_of, waiting
from breaches.entries import Entries
from breaches.facts import ZERO, Asked, Own, Rules, Shown

SETTLED = 10_000
MINUTE = 60_000
REMEMBERED = 600_000
ACTS = 4


class Known:
    """Orders, prices, rules and positions, in the view of the gateway and in truth."""

    def __init__(self, instruments: dict[str, Instrument], rules: Rules) -> None:
        self.instruments = instruments
        self.rules = rules
        self.orders: dict[str, Own] = {}
        self.books: dict[str, Shown] = {}
        self.true_held: dict[str, Decimal] = defaultdict(Decimal)
        self.money = Money()
        self.entries: deque[tuple[int, tuple[object, ...]]] = deque()
        self.entry_ids: set[str] = set()
        self.told_more: set[str] = set()
        """Orders whose end named more than the fills that had been shown then."""
        self.used: dict[str, int] = {}
        self.known_ids: set[str] = set()
        """The client ids of all orders that were sent."""
        self.reconciled = False
        self.leaving = False
        self.barred = ""
        """What the operator has told the gateway: `not granted`, `outdated`, or nothing."""
        self.halted_day = -1
        self.doubtful = (0, 0)
        """Until then, and as many actions, the gateway may have forgotten that an order ended."""
        self._used_again = count()
        self.entered = Entries(MONEY)
        self.unprotected: dict[str, int] = {}
        """The last days on which protection of an asset was refused, as the gateway was told."""
        self.unprotected_day = -1
        self.cancels: dict[str, int] = {}
        """When the gateway wanted orders cancelled, by client id."""

    def own(self, client_id: str, number: int | None = None) -> Own | None:
        """Return an order by its client id; by the exchange's number if the id was used again."""
        own = self.orders.get(client_id)
        if number is None or own is None or (own.order is not None and own.order.id == number):
            return own
        return next((o for o in self.orders.values() if o.order and o.order.id == number), None)

    # What the gateway is told

    def shown(self, symbol: str, book: Shown, now: int) -> None:
        """Note a book that the gateway is shown."""
        self.books[symbol] = book
        self._roll(now)

    def learned(self, client_id: str, number: int) -> None:
        """Note that the gateway is told that the exchange has an order."""
        own = self.own(client_id, number)
        if own is not None:
            own.heard, own.lost = True, False

    def lost(self, client_id: str) -> None:
        """Note that the gateway is told that an answer is lost."""
        own = self.orders.get(client_id)
        if own is not None and not own.heard:
            own.lost = True

    def filled(self, client_id: str, fill: Fill) -> None:
        """Note that the gateway is shown a fill."""
        own = self.own(client_id, fill.order_id)
        if own is None or fill.trade_id in own.known_fills:
            return
        own.heard, own.lost = True, False
        own.known_fills[fill.trade_id] = fill
        own.known_filled += fill.quantity
        self.money.count(fill)
        self.entered.count(fill)
        if own.terms.quantity is not None and own.known_filled >= own.terms.quantity:
            self._full(own)

    def ended(self, client_id: str, executed: Decimal, number: int | None) -> None:
        """Note that the gateway is told that an order has ended."""
        own = self.own(client_id, number)
        if own is None:
            return
        own.heard, own.lost = True, False
        own.known_end = max(own.known_end or ZERO, executed)
        if own.missing:
            self.told_more.add(own.terms.client_id)
        if executed and executed == own.terms.quantity:
            self._full(own)

    def refused_by_exchange(self, client_id: str) -> None:
        """Note that the gateway is told that the exchange refuses an order."""
        own = self.orders.get(client_id)
        if own is None or not own.gateways or own.terms.type is OrderType.MARKET:
            return
        if own.known_end is None:
            self.unprotected[names(own.terms.symbol)[0]] = self.money.start
            self.unprotected_day = self.money.start

    def absent(self, client_id: str, asked: int) -> None:
        """Note that the gateway is told that the exchange does not know an order."""
        own = self.orders.get(client_id)
        if own is not None and asked >= own.at + SETTLED and not own.heard:
            own.heard, own.lost, own.known_end = True, False, ZERO

    def _full(self, own: Own) -> None:
        own.known_end = own.known_filled if own.known_end is None else own.known_end
        for other in self.orders.values() if own.group is not None else ():
            if other.group == own.group and other.known_end is None:
                other.known_end = other.known_filled

    def answered(self, fills: Iterable[Fill]) -> None:
        """Note that the gateway is shown fills in one answer, before it is shown each."""
        self.entered.answered(fills)

    def restarted(self, lost: Iterable[Fill], now: int) -> None:
        """Note that the gateway has lost all that it did not save, some fills among it."""
        self.entered.forget(lost)
        self.reconciled = False
        self.leaving = False
        self.barred = ""
        self.doubtful = (now + 2 * SETTLED, ACTS)
        self.books.clear()
        for own in self.orders.values():
            own.lost = own.lost or not own.heard

    def acted(self, now: int) -> None:
        """Note that the gateway was asked for actions, among them its questions."""
        since, left = self.doubtful
        if now >= since and left:
            self.doubtful = (since, left - 1)

    def forget(self, now: int) -> list[str]:
        """Forget orders of which all is known and nothing can come, and return their client ids."""
        lists = {own.group for own in self.orders.values() if own.group and not _over(own)}
        gone = [
            client_id
            for client_id, own in self.orders.items()
            if _over(own) and own.group not in lists and now - own.at > 2 * SETTLED
        ]
        for client_id in gone:
            del self.orders[client_id]
            self.entry_ids.discard(client_id)
            self.told_more.discard(client_id)
        self.used = {name: at for name, at in self.used.items() if now - at < REMEMBERED}
        return gone

    # What follows

    def tick(self, now: int) -> None:
        """Begin the day, before the gateway is called."""
        self._roll(now)

    def _roll(self, now: int) -> None:
        start = now - now % DAY
        if start > self.money.start:
            self.money.begin(start)
            self._mark(now, {names(symbol)[0] for symbol in self.books})
        self._mark(now, {asset for asset, held in self.money.before.items() if held})

    def _mark(self, now: int, assets: set[str]) -> None:
        """Take the last book before the start of the day as its price, or the next one."""
        money = self.money
        for asset in assets if now - money.start <= YOUNG else ():
            book = self.books.get(f"{asset}-{MONEY}")
            if asset in money.marks or book is None or abs(money.start - book.time) > YOUNG:
                continue
            money.marks[asset] = book.bids[0].price, book.asks[0].price

    def priced(self, asset: str, at: int, price: Decimal) -> None:
        """Note a price of a day's start that the gateway is told."""
        if at == self.money.start:
            self.money.marks.setdefault(asset, (price, price))

    def seen(self, now: int) -> None:
        """Halt the day, if the gateway can see now that it has lost too much."""
        self._roll(now)
        if not self.reconciled or self.unclear():
            return
        profit = self.money.profit(self.books, now)
        if profit is not None and profit <= -self.rules.loss:
            self.halted_day = max(self.halted_day, self.money.start)

    def unclear(self) -> bool:
        """Whether fills are missing of which the gateway was told."""
        return any(self.orders[name].missing for name in self.told_more if name in self.orders)

    def blocked(self, now: int) -> bool:
        """Whether open entry orders must go."""
        return (
            self.leaving
            or self.barred == "not granted"
            or self.rules.closed
            or now < self.rules.halted_until
            or self.halted_day == self.money.start
        )

    # What is true

    def move(self, fill: Fill) -> None:
        """Note what is true: a fill at the exchange."""
        base, quote = names(fill.symbol)
        sign = 1 if fill.side is Side.BUY else -1
        self.true_held[base] += sign * fill.quantity
        if quote != MONEY:
            self.true_held[quote] -= sign * fill.quantity * fill.price
        if fill.fee_asset != MONEY:
            self.true_held[fill.fee_asset] -= fill.fee

    def sent(self, asked: Asked, now: int, *, entry: bool, gateways: bool) -> None:
        """Note a request that is about to be sent."""
        for leg in asked.legs:
            self._use_again(leg.client_id)
            self.known_ids.add(leg.client_id)
            self.orders[leg.client_id] = Own(
                terms=leg,
                size=size_of(leg, self.books.get(leg.symbol)),
                group=asked.group,
                gateways=gateways,
                at=now,
            )
            if entry:
                self.entry_ids.add(leg.client_id)
                self.entries.append((now, terms_of(leg)))
                self.used[leg.client_id] = now

    def _use_again(self, client_id: str) -> None:
        """Give another name to an earlier order of a client id."""
        own = self.orders.pop(client_id, None)
        if own is not None:
            name = f"{client_id}~{next(self._used_again)}"
            self.orders[name] = own
            own.terms = replace(own.terms, client_id=name)
            for names_of in (self.entry_ids, self.told_more):
                if client_id in names_of:
                    names_of.remove(client_id)
                    names_of.add(name)

    # Views

    def young(self, symbol: str, now: int) -> Shown | None:
        """Return the book of a symbol, if it is young and has two sides."""
        book = self.books.get(symbol)
        if book is None or abs(now - book.time) > YOUNG or not book.bids or not book.asks:
            return None
        return book

    def view(self, *, known: bool) -> View:
        """Return one of the two views of the books."""
        held = self.money.held if known else self.true_held
        return View(held, waiting(self.orders.values(), known=known))

    def extended(self, view: View, row: Waiting, asked: Asked) -> dict[str, bool]:
        """Return the assets that a request may open or add to, and whether it buys them."""
        found = {}
        for asset, amount in self._moves(row).items():
            up = amount > 0
            held = view.held.get(asset, ZERO)
            room = max(-held if up else held, ZERO)
            for other in view.waiting:
                if other.gateways and not self.is_exit(other):
                    continue
                if asked.replaces in other.client_ids:
                    continue
                moved = self._moves(other).get(asset, ZERO)
                if (moved > 0) == up:
                    room -= abs(moved)
            if abs(amount) > room:
                found[asset] = up
        return found

    def is_exit(self, row: Waiting) -> bool:
        """Whether an order of the gateway is one at the market, which nothing releases."""
        return self.orders[row.client_ids[0]].terms.type is OrderType.MARKET

    def _moves(self, row: Waiting) -> dict[str, Decimal]:
        base, quote = names(row.symbol)
        sign = 1 if row.side is Side.BUY else -1
        moves = {base: sign * row.quantity}
        if quote != MONEY:
            book = self.books.get(row.symbol)
            price = (row.price or ENDLESS) if book is None else max(row.price, book.asks[0].price)
            moves[quote] = -sign * max(row.quantity * price, row.money)
        return moves

    def value(self, view: View, row: Waiting, asset: str, *, up: bool) -> Decimal | None:
        """Return what a position is worth if all that extends it fills, at the worse price."""
        book = self.books.get(f"{asset}-{MONEY}")
        if book is None:
            return None
        mark = book.asks[0].price
        held = view.held.get(asset, ZERO)
        total = (held if up else -held) * mark
        for one in (*view.waiting, row):
            moved = self._moves(one).get(asset, ZERO)
            if not moved or (moved > 0) != up:
                continue
            base, quote = names(one.symbol)
            price, least = mark, ZERO
            if asset == base:
                through = Decimal(1)
                if quote != MONEY:
                    quoted = self.books.get(f"{quote}-{MONEY}")
                    if quoted is None:
                        return None
                    through = quoted.asks[0].price
                price, least = max(mark, one.price * through), one.money * through
            total += max(abs(moved) * price, least)
        return total

    def open_assets(self, view: View) -> set[str]:
        """Return the assets with a position that can be sold, or with orders that may open one."""
        found = {asset for asset, quantity in view.held.items() if not self.dust(asset, quantity)}
        low: dict[str, Decimal] = defaultdict(Decimal)
        high: dict[str, Decimal] = defaultdict(Decimal)
        for row in view.waiting:
            for asset, amount in self._moves(row).items():
                (high if amount > 0 else low)[asset] += amount
        for asset in {*low, *high}:
            held = view.held.get(asset, ZERO)
            if (high[asset] and held + high[asset] > 0) or (low[asset] and held + low[asset] < 0):
                found.add(asset)
        return found

    def dust(self, asset: str, quantity: Decimal) -> bool:
        """Whether the exchange takes no order of so little."""
        if not quantity:
            return True
        one = self.instruments[f"{asset}-{MONEY}"]
        whole = abs(quantity) // one.lot * one.lot
        book = self.books.get(one.symbol)
        if book is None:
            return False
        return whole < one.min_quantity or whole * book.bids[0].price < one.min_notional

    def sent_lately(self, now: int) -> int:
        while self.entries and now - self.entries[0][0] >= MINUTE:
            self.entries.popleft()
        return len(self.entries)


def terms_of(leg: NewOrder) -> tuple[object, ...]:
    fields = ("symbol", "side", "type", "quantity", "quote_quantity", "price", "stop_price")
    return tuple(getattr(leg, name) for name in fields)


def _over(own: Own) -> bool:
    """Whether nothing can come of an order any more."""
    return (
        not own.live
        and own.known_end is not None
        and not own.missing
        and own.known_filled == own.filled
    )
