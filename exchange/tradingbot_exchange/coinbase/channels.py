"""The events of the WebSocket channels, without the envelope."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.coinbase.market_data import (
    DAY_MS,
    MINUTE_MS,
    candle_object,
    change_24h,
    trade_object,
)
from tradingbot_exchange.coinbase.order_views import OrderView, user_order_object
from tradingbot_exchange.coinbase.wire import instant, number
from tradingbot_exchange.engine.types import Book, BookEvent, Instrument, Level, Trade
from tradingbot_exchange.venue import Venue

Event = Mapping[str, object]

HEARTBEATS = "heartbeats"
USER = "user"
LEVEL2 = "level2"
PUBLIC = frozenset(
    {HEARTBEATS, "ticker", "ticker_batch", "market_trades", "candles", "status", LEVEL2}
)
CHANNELS = PUBLIC | {USER}
OF_BOOKS = PUBLIC - {HEARTBEATS, "status"}
"""Channels of a book: what shares one has its name."""
SENT_AS: Mapping[str, str] = {LEVEL2: "l2_data"}
"""Channels whose messages have another name than their subscription."""

FIVE_MINUTES_MS = 5 * MINUTE_MS
SNAPSHOT_CANDLES = 100
SNAPSHOT_TRADES = 50
SNAPSHOT_LEVELS = 5000
ORDERS_PER_SNAPSHOT = 50
_EMPTY_POSITIONS: Mapping[str, object] = {
    "perpetual_futures_positions": [],
    "expiring_futures_positions": [],
}


def heartbeat(now: int, counter: int) -> Event:
    """Return the event of a second."""
    text = instant(now).removesuffix("Z").replace("T", " ")
    return {"current_time": f"{text} +0000 UTC", "heartbeat_counter": counter}


@dataclass(frozen=True, slots=True)
class Day:
    """The figures of the last 24 hours."""

    low: Decimal
    high: Decimal
    volume: Decimal
    change: Decimal


class Days:
    """The last 24 hours of each product, computed once a second at most."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._known: dict[str, tuple[int, Day]] = {}

    def of(self, symbol: str) -> Day:
        """Return the figures of a product."""
        now = self._venue.market_time()
        second, day = self._known.get(symbol, (-1, None))
        if day is None or second != now // 1000:
            day = self._compute(symbol, now)
            self._known[symbol] = (now // 1000, day)
        return day

    def _compute(self, symbol: str, now: int) -> Day:
        last = self._venue.engine.last_price(symbol) or Decimal(0)
        hours = self._venue.candles(symbol, 60 * MINUTE_MS, start=now - DAY_MS, end=now)
        return Day(
            low=min((candle.low for candle in hours), default=last),
            high=max((candle.high for candle in hours), default=last),
            volume=sum((candle.volume for candle in hours), Decimal(0)),
            change=change_24h(hours, last),
        )


def ticker(venue: Venue, days: Days, symbol: str, *, with_book: bool = True) -> Event:
    """Return one ticker. `ticker_batch` has no best prices."""
    day, book = days.of(symbol), venue.engine.book(symbol, 1)
    figures: dict[str, object] = {
        "type": "ticker",
        "product_id": symbol,
        "price": number(venue.engine.last_price(symbol) or Decimal(0)),
        "volume_24_h": number(day.volume),
        "low_24_h": number(day.low),
        "high_24_h": number(day.high),
        "low_52_w": number(day.low),
        "high_52_w": number(day.high),
        "price_percent_chg_24_h": number(day.change),
    }
    if with_book:
        figures |= _best("best_bid", book.bids) | _best("best_ask", book.asks)
    return figures


def tickers(kind: str, found: Sequence[Event]) -> Event:
    """Return the event of the channels `ticker` and `ticker_batch`."""
    return {"type": kind, "tickers": found}


def market_trades(kind: str, trades: Iterable[Trade]) -> Event:
    """Return the event of the channel `market_trades`, newest first."""
    members = ("trade_id", "product_id", "price", "size", "time", "side")
    shown = [trade_object(trade) for trade in trades]
    shown.reverse()
    return {"type": kind, "trades": [{name: each[name] for name in members} for each in shown]}


def candles(venue: Venue, kind: str, symbol: str, count: int) -> Event:
    """Return the event of the channel `candles`: the newest ones, of five minutes."""
    now = venue.market_time()
    start = now - count * FIVE_MINUTES_MS
    found = venue.candles(symbol, FIVE_MINUTES_MS, start=start, end=now)[-count:]
    shown = [{**candle_object(each), "product_id": symbol} for each in reversed(found)]
    return {"type": kind, "candles": shown}


def status(venue: Venue, kind: str, symbols: Iterable[str]) -> Event:
    """Return the event of the channel `status`."""
    found = [each for each in venue.engine.instruments() if each.symbol in set(symbols)]
    return {"type": kind, "products": [_status(venue, each) for each in found]}


def level2_snapshot(book: Book, symbol: str, now: int) -> Event:
    """Return the whole book."""
    return _levels("snapshot", symbol, book.bids, book.asks, now)


def level2_update(changes: Sequence[BookEvent]) -> Event:
    """Return the levels of a product that changed at once, each as it is after all `changes`.

    `new_quantity` 0 removes a level.
    """
    bids = {level.price: level for change in changes for level in change.bids}
    asks = {level.price: level for change in changes for level in change.asks}
    last = changes[-1]
    return _levels("update", last.symbol, bids.values(), asks.values(), last.time)


def user_orders(kind: str, views: Sequence[OrderView]) -> Event:
    """Return the event of the channel `user`."""
    orders = [user_order_object(view) for view in views]
    return {"type": kind, "orders": orders, "positions": _EMPTY_POSITIONS}


def _levels(
    kind: str, symbol: str, bids: Iterable[Level], asks: Iterable[Level], time: int
) -> Event:
    moment = instant(time)
    updates = [
        {
            "side": side,
            "event_time": moment,
            "price_level": number(level.price),
            "new_quantity": number(level.quantity),
        }
        for side, levels in (("bid", bids), ("offer", asks))
        for level in levels
    ]
    return {"type": kind, "product_id": symbol, "updates": updates}


def _best(name: str, levels: Sequence[Level]) -> dict[str, object]:
    best = levels[0] if levels else Level(Decimal(0), Decimal(0))
    return {name: number(best.price), f"{name}_quantity": number(best.quantity)}


def _status(venue: Venue, instrument: Instrument) -> Event:
    return {
        "product_type": "SPOT",
        "id": instrument.symbol,
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "base_increment": number(instrument.lot),
        "quote_increment": number(instrument.tick),
        "display_name": f"{instrument.base}/{instrument.quote}",
        "status": "offline" if venue.engine.is_halted(instrument.symbol) else "online",
        "status_message": "",
        "min_market_funds": number(instrument.min_notional),
    }
