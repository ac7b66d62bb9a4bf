"""A world that is hostile to the gateway: lost, late and doubled answers, crashes, jumps of prices.

All of it follows from a seed. The world drives the gateway's desk as a server would, and tells the
checker what it tells the desk.
"""

import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count
from typing import Any

from tradingbot_exchange.engine.types import Fill, NewOrder, OrderEvent
from tradingbot_gateway.risk.actions import Action, Ask, Cancel, FindPrice, Place
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import (
    Acknowledged,
    Ended,
    Event,
    Filled,
    Found,
    Lost,
    Priced,
)
from tradingbot_gateway.risk.events import End as EndOf
from tradingbot_gateway.risk.figures import Figures
from tradingbot_gateway.risk.reconciliation import Answers, reconcile
from tradingbot_gateway.risk.types import Quote
from tradingbot_gateway.risk.verdicts import Allowed, Refused, Release

from breaches.checker import Checker
from breaches.disk import Disk
from breaches.facts import LIVE, ZERO, Asked, Rules, Shown
from breaches.translate import (
    MARKETS,
    end_of,
    engine_order,
    fill_of,
    filled,
    request_of,
    seen_order,
    seen_trade,
    settings_of,
)
from breaches.venue import ENDS, INSTRUMENTS, MONEY, START, Venue

BEGIN = 1_764_072_000_000
"""A day at 12:00 UTC."""
DAY = 86_400_000
ARRIVES = 4_900
"""Milliseconds within which a request arrives, or never does."""

RULES = Rules(
    size=Decimal(1000),
    positions=2,
    loss=Decimal(100),
    collar=Decimal(5),
    rate=60,
    stop=Decimal("2.5"),
    profit=Decimal(5),
    symbols=None,
)


class World:
    """The gateway's surroundings: a bot, an exchange, a network, a disk, and people."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = BEGIN
        self.counts: Counter[str] = Counter()
        self.names = count()
        self.checker = Checker(INSTRUMENTS, RULES)
        self.venue = Venue(self._happened)
        self.desk = Desk(MARKETS, settings_of(RULES))
        self.reliable = False
        self.connected = True
        self.midnight: dict[int, dict[str, Decimal]] = {}
        self._order = count()
        self._inbox: list[tuple[int, int, Callable[[], None]]] = []
        self._wire: list[tuple[int, int, Asked]] = []
        self.disk = Disk()
        for symbol, price in START.items():
            self.venue.move(symbol, price, self.now, Decimal(50))
        self.show_all()
        self.reconcile()

    # Time

    def wait(self, milliseconds: int) -> None:
        """Let time pass; what is due on the wire arrives at the exchange."""
        then = self.now + milliseconds
        while self._wire and self._wire[0][0] <= then:
            due, _, asked = heappop(self._wire)
            self._pass_midnight(max(self.now, due))
            self.now = max(self.now, due)
            self._arrive(asked)
        self._pass_midnight(then)
        self.now = then

    def _pass_midnight(self, then: int) -> None:
        start = then - then % DAY
        if start > self.now - self.now % DAY:
            self.midnight = {
                start: {s.split("-")[0]: p for s, p in self.venue.prices.items() if MONEY in s}
            }

    # The disk

    def call(self, function: Callable[[], Any]) -> Any:
        """Call the desk, and save what has to be saved before anything else happens."""
        self.checker.tick(self.now)
        result = function()
        self.checker.seen(self.now)
        self.save()
        return result

    def save(self) -> None:
        """Write the journal."""
        events = self.desk.drain()
        self.counts.update(f"journal {event.kind}" for event in events)
        self.disk.write(events)
        self.disk.compact(self.desk)

    def crash(self) -> None:
        """End the gateway, and start another from what is on the disk."""
        self.counts["crash"] += 1
        self._inbox.clear()
        lost = [fill_of(event, self.venue.own) for event in self.disk.crash(self.random)]
        self.checker.restarted([fill for fill in lost if fill is not None], self.now)
        self.checker.tick(self.now)
        snapshot, events = self.disk.read()
        settings = settings_of(self.checker.rules)
        self.desk = Desk.restore(MARKETS, settings, snapshot=snapshot, events=events, now=self.now)
        self.connected = False
        self.save()

    # The market

    def show(self, symbol: str) -> None:
        """Show a book to the gateway."""
        bids, asks = self.venue.book(symbol)
        if not bids or not asks:
            return
        quote = Quote(symbol=symbol, bids=bids, asks=asks, time=self.now)
        self.checker.tick(self.now)
        self.checker.shown(symbol, Shown(bids=bids, asks=asks, time=self.now), self.now)
        self.call(lambda: self.desk.quoted(quote, self.now))

    def show_all(self) -> None:
        """Show all books."""
        for symbol in INSTRUMENTS:
            self.show(symbol)

    # The bot

    def ask(self, asked: Asked) -> None:
        """Let the bot ask for something, and send it if it may be sent."""
        for _ in range(3):
            verdict = self.call(lambda: self.desk.decide(request_of(asked), self.now))
            if not isinstance(verdict, Release):
                break
            self.counts["released"] += 1
            for cancel in verdict.cancels:
                self._cancel(cancel, at_once=True)
        if isinstance(verdict, Refused):
            self.counts[f"refused {verdict.control}"] += 1
            self.checker.refused(asked, verdict.control, self.now)
        elif isinstance(verdict, Allowed):
            self.counts["entry allowed" if verdict.entry else "exit allowed"] += 1
            self.checker.allowed(asked, self.now, entry=verdict.entry)
            self.send(asked, entry=verdict.entry, gateways=False)

    def send(self, asked: Asked, *, entry: bool, gateways: bool) -> None:
        """Send a request: it is saved as sent. The gateway may crash here, and anything be lost."""
        luck = 1.0 if self.reliable else self.random.random()
        if any(leg.client_id in self.checker.known_ids for leg in asked.legs):
            luck /= 10  # answers that name another order of the same client id
        self.checker.sent(asked, self.now, entry=entry, gateways=gateways)
        if luck < 0.004:  # it is saved and never sent
            self._never(asked)
            self.crash()
        elif luck < 0.02:
            self.counts["request lost"] += 1
            self._never(asked)
            self._later(12_000, lambda: self._lose(asked))
        elif luck < 0.06:
            self.counts["request late"] += 1
            due = self.now + self.random.randint(0, ARRIVES)
            heappush(self._wire, (due, next(self._order), asked))
            self._later(12_000, lambda: self._lose(asked))
            if luck < 0.025:
                self.crash()
        else:
            self._arrive(asked)
            if luck < 0.064:
                self.crash()

    def _never(self, asked: Asked) -> None:
        for leg in asked.legs:
            self.checker.orders[leg.client_id].travels = False

    def _arrive(self, asked: Asked) -> None:
        """Let the exchange accept or refuse a request, and answer, or not."""
        own = None
        for leg in asked.legs:
            own = self.checker.orders.get(leg.client_id)
            if own is not None:
                own.travels = False
        is_gateways = own is not None and own.gateways
        if is_gateways and not self.reliable and self.random.random() < 0.03:
            self.counts["not taken"] += 1
            for leg in asked.legs:
                self._later(200, self._not_accepted(leg, EndOf.NOT_TAKEN))
            return
        accepted = self.venue.submit(asked, self.now)
        if not self.reliable and self.random.random() < 0.03:
            self.counts["answer lost"] += 1
            self._later(12_000, lambda: self._lose(asked))
            return
        if not accepted:
            self.counts["refused by the exchange"] += 1
        for leg in asked.legs:
            self._later(200, self._answer(leg, accepted=accepted))

    def _answer(self, leg: NewOrder, *, accepted: bool) -> Callable[[], None]:
        if accepted:
            number = str(self.venue.own.orders[leg.client_id].id)
            return lambda: self.tell(
                Acknowledged(time=self.now, client_id=leg.client_id, exchange_id=number)
            )
        return self._not_accepted(leg, EndOf.REFUSED)

    def _not_accepted(self, leg: NewOrder, how: EndOf) -> Callable[[], None]:
        return lambda: self.tell(
            Ended(time=self.now, client_id=leg.client_id, how=how, executed=ZERO)
        )

    def _lose(self, asked: Asked) -> None:
        for leg in asked.legs:
            self.tell(Lost(time=self.now, client_id=leg.client_id))

    # What the exchange says

    def _happened(self, client_id: str, event: OrderEvent) -> None:
        """Note the truth, and let the stream tell it, once or twice, now or later."""
        own = self.checker.orders[client_id]
        if own.order is not None and own.order.id != event.order.id:
            raise AssertionError(f"two orders {client_id} at the exchange")
        own.order, own.travels = event.order, False
        if event.fill is not None:
            self.counts["fill"] += 1
            own.fills[event.fill.trade_id] = event.fill
            self.checker.move(event.fill)
        if not self.connected:
            return
        if event.fill is not None:
            fill = event.fill
            self._stream(lambda: self.tell(filled(client_id, fill)))
        if event.change in ENDS or event.status not in LIVE:
            told = Ended(
                time=event.time,
                client_id=client_id,
                how=end_of(event),
                executed=event.filled,
                exchange_id=str(event.order.id),
            )
            self._stream(lambda: self.tell(told))

    def _stream(self, message: Callable[[], None]) -> None:
        self._later(300, message)
        if self.random.random() < 0.1:
            self.counts["doubled"] += 1
            self._later(20_000, message)

    def _later(self, within: int, message: Callable[[], None]) -> None:
        delay = 0 if self.reliable else int(within * self.random.random() ** 2)
        heappush(self._inbox, (self.now + delay, next(self._order), message))

    def deliver(self, *, everything: bool = False) -> None:
        """Tell the gateway what is due."""
        while self._inbox and (everything or self._inbox[0][0] <= self.now):
            heappop(self._inbox)[2]()

    def tell(self, event: Event) -> None:
        """Tell the gateway, and the checker."""
        checker = self.checker
        checker.tick(self.now)
        match event:
            case Acknowledged() | Found():
                name = event.client_id if isinstance(event, Acknowledged) else event.order.client_id
                checker.learned(name, int(event.exchange_id))
            case Lost():
                checker.lost(event.client_id)
            case Filled():
                fill = fill_of(event, self.venue.own)
                if fill is not None:
                    checker.filled(event.client_id, fill)
            case Ended(how=EndOf.NOT_FOUND):
                checker.absent(event.client_id, event.time)
            case Ended():
                if event.how is EndOf.REFUSED:
                    checker.refused_by_exchange(event.client_id)
                number = int(event.exchange_id) if event.exchange_id else None
                checker.ended(event.client_id, event.executed or ZERO, number)
        self.call(lambda: self.desk.on(event, self.now))

    # What the gateway does by itself

    def act(self) -> int:
        """Do what the gateway wants done, and return how much that was."""
        self.checker.acted(self.now)
        actions: tuple[Action, ...] = self.call(lambda: self.desk.actions(self.now))
        cancels = [action.client_id for action in actions if isinstance(action, Cancel)]
        self.checker.cancelled(cancels, self.now)
        self._report()
        for number, action in enumerate(actions):
            self.counts[f"action {type(action).__name__}"] += 1
            if isinstance(action, Cancel):
                self._cancel(action)
            elif isinstance(action, Place):
                asked = Asked(
                    legs=tuple(engine_order(order) for order in action.orders), group=action.group
                )
                self.checker.placed(asked, self.now)
                desk = self.desk
                self.send(asked, entry=False, gateways=True)
                if self.desk is not desk:  # it crashed: the rest was saved and is never sent
                    for lost in actions[number + 1 :]:
                        if isinstance(lost, Place):
                            rest = Asked(
                                legs=tuple(engine_order(order) for order in lost.orders),
                                group=lost.group,
                            )
                            self.checker.sent(rest, self.now, entry=False, gateways=True)
                            self._never(rest)
                    break
            elif isinstance(action, Ask):
                self._later(500, self._answers([action.client_id]))
            elif isinstance(action, FindPrice):
                price = self.midnight.get(action.at, self.venue.prices)[action.asset]
                self._later(500, self._price(action.asset, action.at, price))
        return len(actions)

    def _report(self) -> None:
        figures = self.call(lambda: self.desk.report(self.now))
        known = isinstance(figures, Figures)
        self.counts["reported" if known else "not reported"] += 1
        self.checker.reported(
            (figures.day_pnl, figures.open_positions, figures.exposure) if known else None, self.now
        )

    def _price(self, asset: str, at: int, price: Decimal) -> Callable[[], None]:
        def tell() -> None:
            self.checker.tick(self.now)
            self.checker.priced(asset, at, price)
            self.tell(Priced(time=self.now, asset=asset, at=at, price=price))

        return tell

    def _cancel(self, cancel: Cancel, *, at_once: bool = False) -> None:
        if not self.reliable and self.random.random() < 0.05:
            self.counts["cancel lost"] += 1
            return
        self.venue.cancel(cancel.client_id, self.now)
        if at_once:
            self._answers([cancel.client_id, *self.venue.own.list_of(cancel.client_id)])()

    def _answers(self, client_ids: list[str]) -> Callable[[], None]:
        """Ask the exchange for orders now, and return how the answer is told."""
        orders, absent = [], set()
        fills: list[Fill] = []
        for client_id in dict.fromkeys(client_ids):
            order = self.venue.own.orders.get(client_id)
            if order is None:
                absent.add(client_id)
                continue
            orders.append(seen_order(order, self.venue.own.groups.get(client_id)))
            fills += self.venue.own.fills.get(client_id, ())
        answers = Answers(
            asked=self.now,
            orders=tuple(orders),
            trades=tuple(map(seen_trade, fills)),
            not_found=frozenset(absent),
            named=frozenset(client_ids),
        )

        def tell() -> None:
            self.checker.answered(fills)
            for event in reconcile(self.desk.ledger, answers):
                self.tell(event)

        return tell

    def reconcile(self) -> None:
        """Ask the exchange for everything, as after a start or a cut of the stream."""
        self.counts["reconciled"] += 1
        ledger = self.desk.ledger
        names = [tracked.order.client_id for tracked in ledger.open_orders()]
        self.connected = True
        self._answers([*self.venue.open_orders(), *names])()
        self.checker.tick(self.now)
        self.checker.reconciled = True
        self.call(lambda: self.desk.reconciled(self.now))

    def disconnect(self) -> None:
        """Cut the stream: what was on it is lost."""
        self.counts["stream cut"] += 1
        self.connected = False
        self._inbox.clear()
        self.checker.reconciled = False
        self.desk.disconnected("the stream was cut")
