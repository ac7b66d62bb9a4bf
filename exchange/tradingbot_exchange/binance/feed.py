"""Market streams: what each stream's messages are, and when they are due.

Trades and best prices are sent as they happen, books every 100 ms or second, candles and tickers
every second. A message is written once for all its subscribers.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tradingbot_exchange.binance import candles
from tradingbot_exchange.binance.call_parameters import INTERVALS
from tradingbot_exchange.binance.market_data import (
    DayStatistics,
    best_levels,
    day_statistics,
    levels,
)
from tradingbot_exchange.binance.spot import Spot
from tradingbot_exchange.binance.symbols import amount
from tradingbot_exchange.engine.types import BookEvent, Event, Level, Trade, TradeEvent
from tradingbot_exchange.venue import Candle

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

Send = Callable[[str, str], None]
"""Takes the name of a stream and a message of it, as JSON. It must not block."""

FAST = 0.1
SLOW = 1.0
"""Seconds between two messages of the fast and the slow streams."""

_DEPTHS = ("5", "10", "20")
_TICKERS = frozenset({"miniTicker", "ticker"})
ALL_TICKERS = {"!miniTicker@arr": "miniTicker", "!ticker@arr": "ticker"}


@dataclass(slots=True)
class _Difference:
    """Levels that changed since the last message of a depth stream."""

    first: int
    last: int
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)


class MarketFeed:
    """The market streams of one exchange and who listens to them."""

    def __init__(self, spot: Spot) -> None:
        self._spot = spot
        self._subscribers: dict[str, list[Send]] = {}
        self._names = {name.lower(): name for name in spot.symbols}
        self._differences: dict[tuple[str, bool], _Difference] = {}
        """By symbol and speed."""
        self._best: dict[str, tuple[Level, Level]] = {}
        self._candles: dict[str, Candle] = {}
        """The candle that each kline stream has sent last."""
        self._sent: dict[str, str] = {}
        """The last message of streams that only report changes."""
        spot.venue.listen(self._on_events)

    @property
    def is_idle(self) -> bool:
        """Whether nobody listens."""
        return not self._subscribers

    def is_stream(self, name: str) -> bool:
        """Whether there is a stream of that name."""
        if name in ALL_TICKERS:
            return True
        symbol, _, kind = name.partition("@")
        if symbol not in self._names:
            return False
        if kind.startswith("kline_"):
            return kind.removeprefix("kline_") in INTERVALS
        base = kind.removesuffix("@100ms")
        if base.startswith("depth"):
            return base == "depth" or base.removeprefix("depth") in _DEPTHS
        return kind in {"trade", "aggTrade", "bookTicker", *_TICKERS}

    def subscribe(self, name: str, send: Send) -> None:
        """Send the messages of a stream from now on."""
        self._subscribers.setdefault(name, []).append(send)
        key = self._difference_key(name)
        if key is not None and key not in self._differences:
            sequence = self._spot.venue.engine.book(key[0], 1).sequence
            self._differences[key] = _Difference(sequence + 1, sequence)

    def _difference_key(self, stream: str) -> tuple[str, bool] | None:
        """Return symbol and speed of a stream of book differences, or None."""
        name, _, kind = stream.partition("@")
        if kind not in {"depth", "depth@100ms"}:
            return None
        symbol = self._spot.symbols.instrument(self._names[name]).symbol
        return symbol, kind.endswith("@100ms")

    def unsubscribe(self, name: str, send: Send) -> None:
        """Send no more messages of a stream."""
        subscribers = self._subscribers.get(name, [])
        if send in subscribers:
            subscribers.remove(send)
        if not subscribers:
            for kept in (self._subscribers, self._candles, self._sent):
                kept.pop(name, None)
            key = self._difference_key(name)
            if key is not None:
                self._differences.pop(key, None)

    # Events of the engine

    def _on_events(self, events: Sequence[Event]) -> None:
        if not self._subscribers:
            return
        for event in events:
            if isinstance(event, TradeEvent):
                self._on_trade(event.trade)
            elif isinstance(event, BookEvent):
                self._on_book(event)

    def _on_trade(self, trade: Trade) -> None:
        name = self._spot.symbols.name(trade.symbol)
        for kind, own in (("trade", {"t": trade.id}), ("aggTrade", _aggregate(trade))):
            stream = f"{name.lower()}@{kind}"
            if stream in self._subscribers:
                message = {
                    "e": kind,
                    "E": self._spot.venue.now(),
                    "s": name,
                    **own,
                    "p": amount(trade.price),
                    "q": amount(trade.quantity),
                    "T": trade.time,
                    "m": trade.buyer_is_maker,
                    "M": True,
                }
                self._send(stream, _encode(message))

    def _on_book(self, event: BookEvent) -> None:
        name = self._spot.symbols.name(event.symbol)
        for fast in (True, False):
            difference = self._differences.get((event.symbol, fast))
            if difference is not None:
                difference.last = event.sequence
                difference.bids.update((each.price, each.quantity) for each in event.bids)
                difference.asks.update((each.price, each.quantity) for each in event.asks)
        stream = f"{name.lower()}@bookTicker"
        if stream in self._subscribers:
            best = best_levels(self._spot, event.symbol)
            if best != self._best.get(event.symbol):
                self._best[event.symbol] = best
                bid, ask = best
                message = {
                    "u": event.sequence,
                    "s": name,
                    "b": amount(bid.price),
                    "B": amount(bid.quantity),
                    "a": amount(ask.price),
                    "A": amount(ask.quantity),
                }
                self._send(stream, _encode(message))

    def _send(self, stream: str, message: str) -> None:
        for send in tuple(self._subscribers.get(stream, ())):
            send(stream, message)

    def _send_change(self, stream: str, body: object, *, stamp: dict[str, object]) -> None:
        """Send a message if it differs from the last one by more than its `stamp`."""
        encoded = _encode(body)
        if self._sent.get(stream) != encoded:
            self._sent[stream] = encoded
            whole = {**stamp, **body} if isinstance(body, dict) else body
            self._send(stream, _encode(whole))

    # Periodic streams

    def tick(self, *, fast: bool) -> None:
        """Send what is due every 100 ms, or every second."""
        for stream in tuple(self._subscribers):
            symbol_name, _, kind = stream.partition("@")
            if stream in ALL_TICKERS:
                if not fast:
                    self._tick_all(stream)
                continue
            name = self._names[symbol_name]
            symbol = self._spot.symbols.instrument(name).symbol
            if kind.startswith("depth"):
                if kind.endswith("@100ms") == fast:
                    self._tick_depth(stream, symbol, name, kind.removesuffix("@100ms"), fast=fast)
            elif fast:
                continue
            elif kind in _TICKERS:
                body = self._ticker(name, symbol, kind)
                stamp = {"e": body.pop("e"), "E": self._spot.venue.now()}
                self._send_change(stream, body, stamp=stamp)
            elif kind.startswith("kline_"):
                self._tick_candle(stream, symbol, name, kind.removeprefix("kline_"))

    def _tick_all(self, stream: str) -> None:
        changed = []
        for name in self._spot.symbols:
            symbol = self._spot.symbols.instrument(name).symbol
            body = self._ticker(name, symbol, ALL_TICKERS[stream])
            key = f"{stream}/{name}"
            encoded = _encode(body)
            if self._sent.get(key) != encoded:
                self._sent[key] = encoded
                changed.append({"e": body["e"], "E": self._spot.venue.now(), **body})
        if changed:
            self._send(stream, _encode(changed))

    def _tick_depth(self, stream: str, symbol: str, name: str, kind: str, *, fast: bool) -> None:
        if kind != "depth":
            book = self._spot.venue.engine.book(symbol, int(kind.removeprefix("depth")))
            body: dict[str, object] = {
                "bids": levels(book.bids),
                "asks": levels(book.asks),
            }
            self._send_change(stream, body, stamp={"lastUpdateId": book.sequence})
            return
        key = (symbol, fast)
        difference = self._differences[key]
        if difference.last < difference.first:
            return
        self._differences[key] = _Difference(difference.last + 1, difference.last)
        message = {
            "e": "depthUpdate",
            "E": self._spot.venue.now(),
            "s": name,
            "U": difference.first,
            "u": difference.last,
            "b": _changes(difference.bids.items(), falling=True),
            "a": _changes(difference.asks.items(), falling=False),
        }
        self._send(stream, _encode(message))

    def _tick_candle(self, stream: str, symbol: str, name: str, interval: str) -> None:
        now = self._spot.venue.market_time()
        previous = self._candles.get(stream)
        start = candles.start_of(interval, now) if previous is None else previous.start
        found = candles.candles(
            self._spot.venue, symbol, interval, start=start, end=now, limit=1000
        )
        for candle in found:
            if candle == previous:
                continue
            closed = candles.end_of(interval, candle.start) < now
            self._send(stream, _encode(self._candle(name, interval, candle, closed=closed)))
        if found:
            self._candles[stream] = found[-1]

    def _candle(
        self, name: str, interval: str, candle: Candle, *, closed: bool
    ) -> dict[str, object]:
        return {
            "e": "kline",
            "E": self._spot.venue.now(),
            "s": name,
            "k": {
                "t": candle.start,
                "T": candles.end_of(interval, candle.start),
                "s": name,
                "i": interval,
                "f": -1,
                "L": -1,
                "o": amount(candle.open),
                "c": amount(candle.close),
                "h": amount(candle.high),
                "l": amount(candle.low),
                "v": amount(candle.volume),
                "n": candle.trades,
                "x": closed,
                "q": amount(candle.quote_volume),
                "V": candles.UNKNOWN_VOLUME,
                "Q": candles.UNKNOWN_VOLUME,
                "B": "0",
            },
        }

    def _ticker(self, name: str, symbol: str, kind: str) -> dict[str, object]:
        day = day_statistics(self._spot, symbol)
        mini: dict[str, object] = {
            "e": "24hrMiniTicker",
            "s": name,
            "c": amount(day.last),
            "o": amount(day.open),
            "h": amount(day.high),
            "l": amount(day.low),
            "v": amount(day.volume),
            "q": amount(day.quote_volume),
        }
        if kind == "miniTicker":
            return mini
        return {**mini, "e": "24hrTicker", **self._full_ticker(symbol, day)}

    def _full_ticker(self, symbol: str, day: DayStatistics) -> dict[str, object]:
        bid, ask = best_levels(self._spot, symbol)
        return {
            "p": amount(day.change),
            "P": f"{day.change_percent:.3f}",
            "w": amount(day.average),
            "x": amount(day.open),
            "Q": amount(day.last_quantity),
            "b": amount(bid.price),
            "B": amount(bid.quantity),
            "a": amount(ask.price),
            "A": amount(ask.quantity),
            "O": day.start,
            "C": day.end,
            "F": day.first_id,
            "L": day.last_id,
            "n": day.count,
        }


def _aggregate(trade: Trade) -> dict[str, int]:
    return {"a": trade.id, "f": trade.id, "l": trade.id}


def _changes(changed: Iterable[tuple[Decimal, Decimal]], *, falling: bool) -> list[list[str]]:
    return [
        [amount(price), amount(quantity)] for price, quantity in sorted(changed, reverse=falling)
    ]
