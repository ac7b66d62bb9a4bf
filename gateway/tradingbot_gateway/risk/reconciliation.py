"""From what an exchange answers to events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter, itemgetter

from tradingbot_gateway.risk.events import Balances, End, Ended, Event, Filled, Found
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.orders import RETENTION, Tracked
from tradingbot_gateway.risk.types import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOrder:
    """An order as the exchange shows it."""

    order: Order
    exchange_id: str
    own: bool
    """Whether it has the tag of this bot. All others are left alone."""
    created: int
    executed: Decimal
    ended: End | None
    """None while it is open."""
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeTrade:
    """A trade of the account. It names its order by the exchange's id alone."""

    symbol: str
    trade_id: str
    exchange_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What an exchange answered, all of it or a part."""

    asked: int
    """When the first of the questions was sent."""
    orders: tuple[ExchangeOrder, ...] = ()
    """From open orders, lists of orders, or queries of one order, in any mixture."""
    trades: tuple[ExchangeTrade, ...] = ()
    not_found: frozenset[str] = frozenset()
    """Client ids that were asked for and that the exchange does not know."""
    named: frozenset[str] = frozenset()
    """Client ids that were asked for one by one, and that `orders` answers."""
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    """Totals, free and held."""


def reconcile(ledger: Ledger, answers: Answers) -> tuple[Event, ...]:
    """Return what the answers say as events. Orders of others, and their trades, have none.

    An order that no answer names stays as it is: silence is not an answer. Orders and trades come
    in the order in which they happened: what a position has cost depends on it, and so does what
    an order reduced. Ends come last, so that no position is missing for a moment.

    A client id can be used again once its order has ended: the end of the earlier one comes before
    the later one. An exchange that is asked for the later one and has not got it answers with the
    earlier one: then the later one is not found.
    """
    happened: list[tuple[tuple[int, int], Event]] = []
    created: dict[tuple[str, str], int] = {}
    own: dict[tuple[str, str], str] = {
        (tracked.order.symbol, tracked.exchange_id): tracked.order.client_id
        for tracked in ledger.state.orders.values()
        if tracked.exchange_id
    }
    later: dict[str, ExchangeOrder] = {}
    earlier: set[str] = set()
    for seen in sorted(answers.orders, key=attrgetter("created")):
        if not seen.own:
            continue
        client_id = seen.order.client_id
        tracked = ledger.order(client_id)
        if tracked is not None and _is_earlier(seen, tracked):
            earlier.add(client_id)
            if seen.exchange_id in tracked.earlier:  # all that is older has been counted
                own[seen.order.symbol, seen.exchange_id] = client_id
            continue
        name = seen.order.symbol, seen.exchange_id
        own[name], created[name] = client_id, seen.created
        if client_id in later:
            happened += (((seen.created, -1), end) for end in _ends(later[client_id], answers))
        later[client_id] = seen
        happened.append(((seen.created, 0), _found(seen, answers.asked)))
    for trade in answers.trades:
        name = trade.symbol, trade.exchange_id
        if name in own:
            time = max(trade.time, created.get(name, trade.time))
            happened.append(((time, _number(trade)), _filled(trade, own[name])))
    events: list[Event] = [event for _, event in sorted(happened, key=itemgetter(0))]
    events += (end for seen in later.values() for end in _ends(seen, answers))
    superseded = earlier - later.keys()
    not_found = answers.not_found | (superseded & answers.named)
    events += (
        Ended(time=answers.asked, client_id=client_id, how=End.NOT_FOUND)
        for client_id in sorted(not_found)
    )
    if answers.balances:
        events.append(Balances(time=answers.asked, totals=dict(answers.balances)))
    return tuple(events)


def _found(seen: ExchangeOrder, asked: int) -> Found:
    return Found(
        time=asked,
        order=seen.order,
        exchange_id=seen.exchange_id,
        group=seen.group,
        created=seen.created,
        counted=seen.executed if seen.order.quantity is None else seen.order.quantity,
        open=seen.ended is None,
    )


def _filled(trade: ExchangeTrade, client_id: str) -> Filled:
    return Filled(
        time=trade.time,
        client_id=client_id,
        symbol=trade.symbol,
        trade_id=trade.trade_id,
        price=trade.price,
        quantity=trade.quantity,
        fee=trade.fee,
        fee_asset=trade.fee_asset,
        exchange_id=trade.exchange_id,
    )


def _ends(seen: ExchangeOrder, answers: Answers) -> Iterable[Ended]:
    if seen.ended is not None:
        yield Ended(
            time=answers.asked,
            client_id=seen.order.client_id,
            how=seen.ended,
            executed=seen.executed,
            exchange_id=seen.exchange_id,
        )


def _number(trade: ExchangeTrade) -> int:
    """Return the place of a trade among those of its millisecond, if the exchange counts trades."""
    return int(trade.trade_id) if trade.trade_id.isdecimal() else 1


def _is_earlier(seen: ExchangeOrder, tracked: Tracked) -> bool:
    """Whether the client id has been used again since: by the exchange's id, or by the age."""
    return not tracked.is_of(seen.exchange_id) or seen.created < tracked.sent - RETENTION
