"""The checker: does each invariant hold, by the exchange's own books?

It is told what the gateway was told, and what it answered; it computes everything by itself.
"""

from collections import defaultdict, deque
from decimal import Decimal

from tradingbot_exchange.engine.types import Fill, Instrument, OrderType, Side

from breaches.books import DAY, MONEY, YOUNG, Money, View, Waiting, as_waiting, names, waiting
from breaches.facts import ZERO, Asked, Breach, Own, Rules, Shown

SETTLED = 10_000
MINUTE = 60_000
REPEATED = 1_000
REMEMBERED = 600_000
ACTS = 4


class Checker:
    """What is known of orders, prices and rules, and what follows for the next verdict."""

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
        self.reconciled = False
        self.leaving = False
        self.halted_day = -1
        self.doubtful = (0, 0)
        """Until then, and as many actions, the gateway may have forgotten that an order ended."""

    # What the gateway is told

    def shown(self, symbol: str, book: Shown, now: int) -> None:
        """Note a book that the gateway is shown."""
        self.books[symbol] = book
        self._roll(now)

    def learned(self, client_id: str) -> None:
        """Note that the gateway is told that the exchange has an order."""
        own = self.orders.get(client_id)
        if own is not None:
            own.heard, own.lost = True, False

    def lost(self, client_id: str) -> None:
        """Note that the gateway is told that an answer is lost."""
        own = self.orders.get(client_id)
        if own is not None and not own.heard:
            own.lost = True

    def filled(self, client_id: str, fill: Fill) -> None:
        """Note that the gateway is shown a fill."""
        own = self.orders.get(client_id)
        if own is None or fill.trade_id in own.known_fills:
            return
        own.heard, own.lost = True, False
        own.known_fills[fill.trade_id] = fill
        own.known_filled += fill.quantity
        self.money.count(fill)
        if own.terms.quantity is not None and own.known_filled >= own.terms.quantity:
            self._full(own)

    def ended(self, client_id: str, executed: Decimal) -> None:
        """Note that the gateway is told of the end of an order."""
        own = self.orders.get(client_id)
        if own is None:
            return
        own.heard, own.lost = True, False
        own.known_end = max(own.known_end or ZERO, executed)
        if own.missing:
            self.told_more.add(client_id)
        if executed and executed == own.terms.quantity:
            self._full(own)

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

    def restarted(self, now: int) -> None:
        """Note that the gateway has lost all that it did not save."""
        self.reconciled = False
        self.leaving = False
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
            money.marks[asset] = (book.asks if money.before[asset] < 0 else book.bids)[0].price

    def priced(self, asset: str, at: int, price: Decimal) -> None:
        """Note a price of a day's start that the gateway is told."""
        if at == self.money.start:
            self.money.marks.setdefault(asset, price)

    def seen(self, now: int) -> None:
        """Halt the day, if the gateway can see now that it has lost too much."""
        self._roll(now)
        if not self.reconciled or self._unclear():
            return
        profit = self.money.profit(self.books, now)
        if profit is not None and profit <= -self.rules.loss:
            self.halted_day = max(self.halted_day, self.money.start)

    def _unclear(self) -> bool:
        return any(self.orders[name].missing for name in self.told_more if name in self.orders)

    def blocked(self, now: int) -> bool:
        """Whether open entry orders must go."""
        return (
            self.leaving
            or self.rules.closed
            or now < self.rules.halted_until
            or self.halted_day == self.money.start
        )

    # Verdicts

    def view(self, *, known: bool) -> View:
        """Return one of the two views of the books."""
        held = self.money.held if known else self.true_held
        return View(held, waiting(self.orders.values(), self.books, known=known))

    def allowed(self, asked: Asked, now: int) -> None:
        """Raise Breach if a request must not have been allowed. Call it before it is sent."""
        self.seen(now)
        row = as_waiting(asked, self.books.get(asked.legs[0].symbol))
        extended = self._extended(self.view(known=False), row, asked)
        if not extended or not self._extended(self.view(known=True), row, asked):
            return
        self._must_not_be_barred(asked, now)
        self._must_be_priced(asked, extended, now)
        self._must_be_in_the_collar(asked, now)
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
        extended = self._extended(view, row, asked)
        if not extended and control != "Duplicate":
            raise Breach(f"an exit was refused by {control}")
        if control == "MaxPositionSize" and not any(
            (self.value(view, row, asset, up=up) or ZERO) > self.rules.size
            for asset, up in extended.items()
        ):
            raise Breach("an entry was refused by MaxPositionSize that fits")
        if control == "MaxOpenPositions":
            if len(self.open_assets(view) | set(extended)) <= self.rules.positions:
                raise Breach("an entry was refused by MaxOpenPositions that fits")
        if control == "MaxOrdersPerMinute" and (
            self._sent_lately(now) + len(asked.legs) <= self.rules.rate
        ):
            raise Breach("an entry was refused by MaxOrdersPerMinute that fits")

    def _extended(self, view: View, row: Waiting, asked: Asked) -> dict[str, bool]:
        """Return the assets that a request may open or add to, and whether it buys them."""
        found = {}
        for asset, amount in self._moves(row).items():
            up = amount > 0
            held = view.held.get(asset, ZERO)
            room = max(-held if up else held, ZERO)
            for other in view.waiting:
                if other.gateways and not self._is_exit(other):
                    continue
                if asked.replaces in other.client_ids:
                    continue
                moved = self._moves(other).get(asset, ZERO)
                if (moved > 0) == up:
                    room -= abs(moved)
            if abs(amount) > room:
                found[asset] = up
        return found

    def _is_exit(self, row: Waiting) -> bool:
        """Whether an order of the gateway is one at the market, which nothing releases."""
        return self.orders[row.client_ids[0]].terms.type is OrderType.MARKET

    def _moves(self, row: Waiting) -> dict[str, Decimal]:
        base, quote = names(row.symbol)
        sign = 1 if row.side is Side.BUY else -1
        moves = {base: sign * row.quantity}
        if quote != MONEY:
            book = self.books.get(row.symbol)
            price = max(row.price, ZERO if book is None else book.asks[0].price)
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
                    through = self.books[f"{quote}-{MONEY}"].asks[0].price
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
        if self._sent_lately(now) + len(asked.legs) > rules.rate:
            raise Breach(f"more than {rules.rate} entries in a minute")
        for leg in asked.legs:
            if leg.client_id in self.used:
                raise Breach(f"client id {leg.client_id} a second time")
            if any(now - at < REPEATED and terms == _terms(leg) for at, terms in self.entries):
                raise Breach("the same entry within a second")

    def _sent_lately(self, now: int) -> int:
        while self.entries and now - self.entries[0][0] >= MINUTE:
            self.entries.popleft()
        return len(self.entries)

    def _must_be_priced(self, asked: Asked, extended: dict[str, bool], now: int) -> None:
        symbol = asked.legs[0].symbol
        for name in {symbol, *(f"{asset}-{MONEY}" for asset in extended)}:
            book = self.books.get(name)
            if book is None or abs(now - book.time) > YOUNG or not book.bids or not book.asks:
                raise Breach(f"an entry without a young price of {name}")
        if self.money.profit(self.books, now) is None:
            raise Breach("an entry while the profit of the day is unknown")

    def _must_be_in_the_collar(self, asked: Asked, now: int) -> None:
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
                raise Breach(f"collar: {price} is too far from {mark} at {now}")

    # What is sent

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
        if left < 0:
            raise Breach(f"{leg.quantity} {base} is to be closed of {held}, with open exits")

    def move(self, fill: Fill) -> None:
        """Note what is true: a fill at the exchange."""
        base, quote = names(fill.symbol)
        sign = 1 if fill.side is Side.BUY else -1
        self.true_held[base] += sign * fill.quantity
        if quote != MONEY:
            self.true_held[quote] -= sign * fill.quantity * fill.price
        if fill.fee_asset != MONEY:
            self.true_held[fill.fee_asset] -= fill.fee

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

    def sent(self, asked: Asked, now: int, *, entry: bool, gateways: bool) -> None:
        """Note a request that is about to be sent."""
        for leg in asked.legs:
            self.orders[leg.client_id] = Own(
                terms=leg, group=asked.group, gateways=gateways, at=now
            )
            if entry:
                self.entry_ids.add(leg.client_id)
                self.entries.append((now, _terms(leg)))
                self.used[leg.client_id] = now


def _terms(leg: object) -> tuple[object, ...]:
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
