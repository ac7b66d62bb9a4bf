"""Public calls: the exchange itself, books, trades, candles and tickers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.binance import errors, shapes
from tradingbot_exchange.binance.candles import candles, kline
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.limits import ORDER_INTERVALS
from tradingbot_exchange.binance.parameters import Values
from tradingbot_exchange.binance.spot import Request, Spot
from tradingbot_exchange.binance.symbols import amount, symbol_information
from tradingbot_exchange.engine.types import Level, Trade

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
DAY = 24 * _HOUR
_AVERAGE_MINUTES = 5
_BEFORE_FIRST = -1
"""An id before all trades; 0 asks the venue for the newest ones."""


def ping(spot: Spot, request: Request) -> object:
    """Return nothing, as an object."""
    del spot, request
    return {}


def time(spot: Spot, request: Request) -> object:
    """Return the time with which timestamps are compared."""
    del spot
    return {"serverTime": request.time}


def exchange_info(spot: Spot, request: Request) -> object:
    """Return the symbols with their filters, and the rate limits."""
    values = request.values
    if "permissions" in values and ("symbol" in values or "symbols" in values):
        raise _bad_combination()
    if "symbolStatus" in values and ("symbol" in values or "symbols" in values):
        raise _bad_combination()
    permissions = values.text("permissions")
    names = _names(spot, values) if permissions is None or "SPOT" in permissions else []
    return {
        "timezone": "UTC",
        "serverTime": request.time,
        "rateLimits": rate_limits(spot),
        "exchangeFilters": [],
        "symbols": [
            symbol_information(
                name,
                spot.symbols.instrument(name),
                halted=_halted(spot, name),
                permission_sets=values.flag("showPermissionSets", default=True),
            )
            for name in names
        ],
    }


def rate_limits(spot: Spot) -> list[dict[str, object]]:
    """Return the rate limits as exchangeInfo has them."""
    limits = spot.settings.limits
    rows = [
        ("REQUEST_WEIGHT", "MINUTE", 1, limits.weight),
        *(
            ("ORDERS", interval.name, interval.number, most)
            for interval, most in zip(
                ORDER_INTERVALS, (limits.orders_10s, limits.orders_day), strict=True
            )
        ),
        ("RAW_REQUESTS", "MINUTE", 5, limits.raw_requests),
    ]
    return [
        {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
        for kind, interval, number, limit in rows
    ]


def _bad_combination() -> ApiError:
    return ApiError(-1128, "Combination of optional parameters invalid.")


def _halted(spot: Spot, name: str) -> bool:
    return spot.venue.engine.is_halted(spot.symbols.instrument(name).symbol)


def _names(spot: Spot, values: Values) -> Sequence[str]:
    """Return the symbols that a request asks for: one, several or all."""
    one, several = values.text("symbol"), values.symbols()
    if one is not None and several is not None:
        raise _bad_combination()
    names = (one,) if one is not None else several
    if names is not None:
        for name in names:
            spot.symbols.instrument(name)
    wanted = values.text("symbolStatus")
    if wanted is None:
        return list(spot.symbols) if names is None else names
    found = list(spot.symbols) if names is None else list(names)
    matching = [each for each in found if ("HALT" if _halted(spot, each) else "TRADING") == wanted]
    if one is not None and not matching:
        raise ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")
    return matching


def _one_or_many(values: Values, answers: Iterable[object]) -> object:
    listed = list(answers)
    return listed[0] if "symbol" in values else listed


# Books and trades


def levels(side: Iterable[Level]) -> list[list[str]]:
    """Return one side of a book."""
    return [[amount(level.price), amount(level.quantity)] for level in side]


def depth(spot: Spot, request: Request) -> object:
    """Return the best levels of a book."""
    _names(spot, request.values)
    book = spot.venue.engine.book(request.symbol, request.values.limit(100))
    return {
        "lastUpdateId": book.sequence,
        "bids": levels(book.bids),
        "asks": levels(book.asks),
    }


def trades(spot: Spot, request: Request) -> object:
    """Return the newest trades, oldest first."""
    found = spot.venue.trades(request.symbol, limit=request.values.limit(500))
    return [shapes.public_trade(trade) for trade in found]


def historical_trades(spot: Spot, request: Request) -> object:
    """Return trades from an id on."""
    found = _trades_from(spot, request, request.values.limit(500))
    return [shapes.public_trade(trade) for trade in found]


def _trades_from(spot: Spot, request: Request, limit: int) -> list[Trade]:
    first = request.values.number("fromId")
    if first is None:
        return spot.venue.trades(request.symbol, limit=limit)
    return _after(spot, request.symbol, first - 1, limit)


def _after(spot: Spot, symbol: str, last: int, limit: int) -> list[Trade]:
    """Return trades after an id, from the first one on if it is 0 or less."""
    return spot.venue.trades(symbol, after_id=last if last > 0 else _BEFORE_FIRST, limit=limit)


def aggregate_trades(spot: Spot, request: Request) -> object:
    """Return trades from an id or time on; each is an aggregate of itself."""
    values = request.values
    limit = values.limit(500)
    start, end = values.number("startTime"), values.number("endTime")
    if values.number("fromId") is not None and (start is not None or end is not None):
        raise _bad_combination()
    if start is None and end is None:
        return [shapes.aggregate_trade(trade) for trade in _trades_from(spot, request, limit)]
    found = _trades_between(spot, request.symbol, start, end, limit)
    return [shapes.aggregate_trade(trade) for trade in found]


def _trades_between(
    spot: Spot, symbol: str, start: int | None, end: int | None, limit: int
) -> list[Trade]:
    newest = spot.venue.trades(symbol, limit=1)
    if not newest:
        return []
    if start is not None:
        before = _last_before(spot, symbol, start, newest[0].id)
        found = _after(spot, symbol, before, limit)
        return [trade for trade in found if end is None or trade.time <= end]
    if end is None or newest[0].time <= end:
        return spot.venue.trades(symbol, limit=limit)
    last = _last_before(spot, symbol, end + 1, newest[0].id)
    return [each for each in _after(spot, symbol, last - limit, limit) if each.id <= last]


def _last_before(spot: Spot, symbol: str, time: int, newest: int) -> int:
    """Return the id of the last trade before a time, by bisection; 0 if there is none."""
    low, high = 0, newest
    while low < high:
        middle = (low + high + 1) // 2
        at = _after(spot, symbol, middle - 1, 1)
        if at and at[0].time < time:
            low = max(middle, at[0].id)
        else:
            high = middle - 1
    return low


# Candles and prices


def klines(spot: Spot, request: Request) -> object:
    """Return candles, oldest first."""
    values = request.values
    if values.text("timeZone") not in {None, "0", "00:00"}:
        raise errors.invalid("timeZone")
    interval = values.required_text("interval")
    found = candles(
        spot.venue,
        request.symbol,
        interval,
        start=values.number("startTime"),
        end=values.number("endTime"),
        limit=values.limit(500),
    )
    return [kline(candle, interval) for candle in found]


def average_price(spot: Spot, request: Request) -> object:
    """Return the volume-weighted price of the last five minutes, or else the last price."""
    now = spot.venue.market_time()
    recent = spot.venue.candles(
        request.symbol, _MINUTE, start=now - _AVERAGE_MINUTES * _MINUTE, end=now
    )
    volume = sum((candle.volume for candle in recent), Decimal(0))
    value = sum((candle.quote_volume for candle in recent), Decimal(0))
    last = spot.venue.trades(request.symbol, limit=1)
    price = value / volume if volume else spot.venue.engine.last_price(request.symbol)
    return {
        "mins": _AVERAGE_MINUTES,
        "price": amount(price or Decimal(0)),
        "closeTime": last[-1].time if last else 0,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStatistics:
    """What happened to a symbol in the last 24 hours."""

    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    volume: Decimal
    quote_volume: Decimal
    count: int
    start: int
    end: int
    last_id: int
    last_quantity: Decimal

    @property
    def change(self) -> Decimal:
        """The difference of the last price and the first one."""
        return self.last - self.open

    @property
    def change_percent(self) -> Decimal:
        """The same in percent."""
        return self.change * 100 / self.open if self.open else Decimal(0)

    @property
    def average(self) -> Decimal:
        """The volume-weighted price."""
        return self.quote_volume / self.volume if self.volume else self.last

    @property
    def first_id(self) -> int:
        """The id of the first trade."""
        return max(self.last_id - self.count + 1, 0) if self.count else self.last_id


def day_statistics(spot: Spot, symbol: str) -> DayStatistics:
    """Return the statistics of a symbol, from the 24 candles of one hour that it is in."""
    now = spot.venue.market_time()
    found = spot.venue.candles(symbol, _HOUR, start=now - DAY + 1, end=now)
    newest = spot.venue.trades(symbol, limit=1)
    last = spot.venue.engine.last_price(symbol) or (found[-1].close if found else Decimal(0))
    return DayStatistics(
        open=found[0].open if found else last,
        high=max((candle.high for candle in found), default=last),
        low=min((candle.low for candle in found), default=last),
        last=last,
        volume=sum((candle.volume for candle in found), Decimal(0)),
        quote_volume=sum((candle.quote_volume for candle in found), Decimal(0)),
        count=sum(candle.trades for candle in found),
        start=now - DAY,
        end=now,
        last_id=newest[-1].id if newest else 0,
        last_quantity=newest[-1].quantity if newest else Decimal(0),
    )


def _ticker(spot: Spot, name: str, *, mini: bool) -> dict[str, object]:
    symbol = spot.symbols.instrument(name).symbol
    day = day_statistics(spot, symbol)
    best = best_levels(spot, symbol)
    changes = {
        "priceChange": amount(day.change),
        "priceChangePercent": f"{day.change_percent:.3f}",
        "weightedAvgPrice": amount(day.average),
        "prevClosePrice": amount(day.open),
        "lastPrice": amount(day.last),
        "lastQty": amount(day.last_quantity),
        "bidPrice": amount(best[0].price),
        "bidQty": amount(best[0].quantity),
        "askPrice": amount(best[1].price),
        "askQty": amount(best[1].quantity),
    }
    return {
        "symbol": name,
        **({"lastPrice": amount(day.last)} if mini else changes),
        "openPrice": amount(day.open),
        "highPrice": amount(day.high),
        "lowPrice": amount(day.low),
        "volume": amount(day.volume),
        "quoteVolume": amount(day.quote_volume),
        "openTime": day.start,
        "closeTime": day.end,
        "firstId": day.first_id,
        "lastId": day.last_id,
        "count": day.count,
    }


def best_levels(spot: Spot, symbol: str) -> tuple[Level, Level]:
    """Return the best bid and ask; price and quantity are 0 where a side is empty."""
    book = spot.venue.engine.book(symbol, 1)
    nothing = Level(Decimal(0), Decimal(0))
    return (
        book.bids[0] if book.bids else nothing,
        book.asks[0] if book.asks else nothing,
    )


def ticker_24hr(spot: Spot, request: Request) -> object:
    """Return the statistics of the last 24 hours."""
    values = request.values
    mini = values.text("type") == "MINI"
    return _one_or_many(values, (_ticker(spot, name, mini=mini) for name in _names(spot, values)))


def ticker_price(spot: Spot, request: Request) -> object:
    """Return last prices."""

    def price(name: str) -> dict[str, str]:
        last = spot.venue.engine.last_price(spot.symbols.instrument(name).symbol)
        return {"symbol": name, "price": amount(last or Decimal(0))}

    return _one_or_many(request.values, (price(name) for name in _names(spot, request.values)))


def book_ticker(spot: Spot, request: Request) -> object:
    """Return best bids and asks."""

    def best(name: str) -> dict[str, str]:
        bid, ask = best_levels(spot, spot.symbols.instrument(name).symbol)
        return {
            "symbol": name,
            "bidPrice": amount(bid.price),
            "bidQty": amount(bid.quantity),
            "askPrice": amount(ask.price),
            "askQty": amount(ask.quantity),
        }

    return _one_or_many(request.values, (best(name) for name in _names(spot, request.values)))
