"""One call: orders are accepted, matched, triggered and ended, and their events collected."""

from collections import deque
from typing import Final

from tradingbot_exchange.engine.accounts import Account
from tradingbot_exchange.engine.amounts import times
from tradingbot_exchange.engine.checks import STOPS, Terms, would_take
from tradingbot_exchange.engine.entries import Entry
from tradingbot_exchange.engine.journal import Journal
from tradingbot_exchange.engine.ladder import Ladder
from tradingbot_exchange.engine.lists import Pair
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.plans import fillable, most_lots
from tradingbot_exchange.engine.settlement import fill, outside_trade, trade
from tradingbot_exchange.engine.state import State
from tradingbot_exchange.engine.types import (
    Change,
    Event,
    ListEvent,
    ListStatus,
    Order,
    OrderList,
    OrderStatus,
    Reason,
    TimeInForce,
)


class Execution:
    """Changes the state. All checks have been made before, so nothing here is refused."""

    __slots__ = ("_journal", "_state", "_triggered")

    def __init__(self, state: State, now: int) -> None:
        self._state: Final = state
        self._journal: Final = Journal(now, quiet=state.quiet)
        self._triggered: deque[Entry] = deque()
        state.time = max(state.time, now)

    def close(self) -> list[Event]:
        """Work off triggered stops, in the order in which they were reached; return the events."""
        while self._triggered:
            self.work(self._triggered.popleft())
        return self._journal.close()

    # Orders begin

    def accept(self, account: Account, terms: Terms, *, unspent: bool = False) -> Entry:
        """Give an order its id. It holds nothing yet, and is in no book."""
        state, market, request = self._state, terms.market, terms.order
        state.orders += 1
        order = Order(
            id=state.orders,
            account=account.name,
            request=request,
            status=OrderStatus.OPEN if terms.stop is None else OrderStatus.WAITING,
            quantity=times(market.lot, 0 if request.quantity is None else terms.lots),
            created=self._journal.now,
            updated=self._journal.now,
        )
        entry = Entry(
            order=order,
            account=account,
            market=market,
            buy=terms.buy,
            lots=terms.lots,
            price=terms.price,
            stop=terms.stop,
            hold_price=terms.price or terms.stop or 0,
        )
        entry.unspent = unspent
        account.record(order)
        account.opened(entry)
        if terms.stop is not None:
            account.count_stop(market.symbol, 1)
        state.schedule_end(entry)
        self._journal.changes_book(market)
        self._journal.order(entry, Change.ACCEPTED)
        return entry

    def hold(self, entry: Entry, units: int) -> None:
        """Set what an order holds."""
        change = units - entry.held
        if change:
            purse = self._journal.purse(entry.account, entry.hold_asset)
            purse.free -= change
            purse.held += change
            entry.held = units

    def pair(self, limit: Entry, stop: Entry, client_id: str) -> OrderList:
        """Make an OCO list of two accepted orders, with one hold."""
        self._state.lists += 1
        account = limit.account
        pair = Pair(self._state.lists, limit, stop)
        listed = OrderList(
            id=pair.id,
            account=account.name,
            symbol=limit.market.symbol,
            client_id=client_id,
            orders=(limit.order.id, stop.order.id),
            status=ListStatus.EXECUTING,
            created=self._journal.now,
        )
        for entry in (limit, stop):
            entry.pair = pair
            entry.order.list_id = pair.id
        account.pairs[pair.id] = pair
        account.lists[pair.id] = listed
        self.hold(limit, pair.need())
        self._journal.events.append(ListEvent(list=listed, time=self._journal.now))
        return listed

    # Orders work

    def work(self, entry: Entry) -> None:
        """Let an order wait for its stop price, or match it and let the rest of it rest or end."""
        market, order = entry.market, entry.order
        if entry.stop is not None:
            _stops(entry).append(entry, entry.stop)
            return
        request = order.request
        if request.time_in_force is TimeInForce.FOK and not fillable(entry):
            self.end(entry, OrderStatus.EXPIRED, Reason.UNFILLED_FOK)
            return
        if (
            request.post_only
            and entry.price is not None
            and would_take(market, entry.price, buy=entry.buy)
        ):
            self.end(entry, OrderStatus.EXPIRED, Reason.WOULD_TAKE)
            return
        short = self._match(entry)
        if order.status is OrderStatus.FILLED:
            return
        if entry.price is None:
            reason = Reason.INSUFFICIENT_BALANCE if short else Reason.NO_LIQUIDITY
            self.end(entry, OrderStatus.EXPIRED, reason)
        elif request.time_in_force is TimeInForce.IOC:
            self.end(entry, OrderStatus.EXPIRED, Reason.UNFILLED_IOC)
        else:
            (market.bids if entry.buy else market.asks).append(entry, entry.price)

    def _match(self, taker: Entry) -> bool:
        """Match with the other side as far as it goes. Whether the money ran out."""
        market = taker.market
        side = market.asks if taker.buy else market.bids
        limit = None if taker.price is None else side.key(taker.price)
        # A triggered stop-market buy holds nothing that covers any price: it takes what is free.
        limited = taker.buy and taker.price is None and taker.order.triggered is not None
        while taker.lots:
            level = side.best
            if level is None or (limit is not None and level.key < limit):
                break
            maker = level.head
            if maker.account is taker.account:
                self.end(maker, OrderStatus.EXPIRED, Reason.SELF_TRADE)
                continue
            lots = min(taker.lots, maker.lots)
            if limited:
                lots = min(lots, self._affordable(taker, level.price))
                if not lots:
                    return True
            self._trade(taker, maker, side, level.price, lots)
        return False

    def _affordable(self, taker: Entry, price: int) -> int:
        market, spent = taker.market, taker.quote_filled
        with_fee = market.fee_in_quote
        money = taker.account.free(market.quote) + spent + (taker.fee_charged if with_fee else 0)
        return most_lots(market, price, money, spent=spent, with_fee=with_fee)

    def _trade(self, taker: Entry, maker: Entry, side: Ladder, price: int, lots: int) -> None:
        state, journal, market = self._state, self._journal, taker.market
        side.reduce(maker, lots)
        taker.lots -= lots
        number = trade(journal, market, price=price, lots=lots, buyer_is_maker=not taker.buy)
        fill(state, journal, maker, price=price, lots=lots, trade_id=number, maker=True)
        fill(state, journal, taker, price=price, lots=lots, trade_id=number, maker=False)
        self._after_fill(maker)
        self._after_fill(taker)
        self.reach(market, price)

    def _after_fill(self, entry: Entry) -> None:
        if entry.pair is not None:
            self._unpair(entry.pair, entry, OrderStatus.EXPIRED, Reason.OCO_TRIGGERED)
        if entry.order.status is OrderStatus.FILLED:
            self._leave(entry)

    def outside(self, market: Market, price: int, lots: int | None) -> None:
        """Let the outside market trade at a price."""
        self._journal.changes_book(market)
        for side in (market.bids, market.asks):
            limit = side.key(price)
            while (level := side.best) is not None and level.key >= limit and lots != 0:
                maker = level.head
                taken = maker.lots if lots is None else min(maker.lots, lots)
                lots = None if lots is None else lots - taken
                side.reduce(maker, taken)
                outside_trade(self._state, self._journal, maker, price=level.price, lots=taken)
                self._after_fill(maker)
                self.reach(market, level.price)
        self.reach(market, price)

    def reach(self, market: Market, price: int) -> None:
        """Set the last price, and trigger the stops that it reaches, best price first."""
        market.last = price
        while (level := market.rising.best) is not None and level.price <= price:
            self._trigger(level.head)
        while (level := market.falling.best) is not None and level.price >= price:
            self._trigger(level.head)

    def _trigger(self, entry: Entry) -> None:
        order = entry.order
        _stops(entry).remove(entry)
        entry.stop = None
        entry.account.count_stop(entry.market.symbol, -1)
        order.triggered = self._journal.now
        order.status = OrderStatus.OPEN
        if entry.price is None:
            entry.hold_price = 0
        self._journal.order(entry, Change.TRIGGERED)
        if entry.pair is not None:
            self._unpair(entry.pair, entry, OrderStatus.EXPIRED, Reason.OCO_TRIGGERED)
        else:
            self.hold(entry, entry.need())
        self._triggered.append(entry)

    def change(self, entry: Entry, *, price: int, lots: int) -> None:
        """Give a resting order another price and another rest."""
        market, order = entry.market, entry.order
        side = market.bids if entry.buy else market.asks
        keeps_place = price == entry.price and lots <= entry.lots
        if keeps_place:
            side.reduce(entry, entry.lots - lots)
        else:
            side.remove(entry)
            entry.lots = lots
            entry.price = entry.hold_price = price
        self.hold(entry, entry.need())
        order.quantity = market.quantity(entry.lots_filled + lots)
        self._journal.changes_book(market)
        self._journal.order(entry, Change.REPLACED)
        if not keeps_place:
            self.work(entry)

    # Orders end

    def end(self, entry: Entry, status: OrderStatus, reason: Reason) -> None:
        """End an order that is not filled, and with it its OCO list."""
        order = entry.order
        order.status = status
        order.ended_by = reason
        change = Change.CANCELED if status is OrderStatus.CANCELED else Change.EXPIRED
        self._journal.changes_book(entry.market)
        self._journal.order(entry, change, reason=reason)
        if entry.pair is not None:
            self._unpair(entry.pair, entry, status, reason)
        self._leave(entry)

    def _unpair(self, pair: Pair, entry: Entry, status: OrderStatus, reason: Reason) -> None:
        """End the twin of an order; the order holds what it needs alone."""
        twin = pair.other(entry)
        pair.limit.pair = pair.stop.pair = None
        self.end(twin, status, reason)
        self.hold(entry, entry.need())
        account = entry.account
        done = account.lists[pair.id] = _done(account.lists[pair.id])
        account.unpaired(pair)
        self._journal.events.append(ListEvent(list=done, time=self._journal.now))

    def _leave(self, entry: Entry) -> None:
        """Take an order that has ended out of everything that knows open orders."""
        if entry.level is not None:
            if entry.stop is not None:
                _stops(entry).remove(entry)
            else:
                (entry.market.bids if entry.buy else entry.market.asks).remove(entry)
        if entry.stop is not None:
            entry.account.count_stop(entry.market.symbol, -1)
        self.hold(entry, 0)
        self._state.ended(entry)
        entry.account.ended(entry)


def _stops(entry: Entry) -> Ladder:
    """Return where an order waits for its stop price."""
    rising = entry.buy == (entry.order.request.type in STOPS)
    return entry.market.rising if rising else entry.market.falling


def _done(listed: OrderList) -> OrderList:
    return OrderList(
        id=listed.id,
        account=listed.account,
        symbol=listed.symbol,
        client_id=listed.client_id,
        orders=listed.orders,
        status=ListStatus.DONE,
        created=listed.created,
    )
