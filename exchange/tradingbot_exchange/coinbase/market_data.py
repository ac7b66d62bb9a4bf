"""Products, books, trades and candles: what everybody sees."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tradingbot_exchange.coinbase.aliases import aliases_of, book_of
from tradingbot_exchange.coinbase.currencies import name_of
from tradingbot_exchange.coinbase.errors import InvalidArgumentError, NotFoundError
from tradingbot_exchange.coinbase.queries import Query, Request
from tradingbot_exchange.coinbase.wire import instant, number, parse_number, ratio
from tradingbot_exchange.engine.types import Book, Instrument, Level, RefusedError, Trade
from tradingbot_exchange.venue import Candle, Venue

DAY_MS = 86_400_000
MINUTE_MS = 60_000

GRANULARITIES: Mapping[str, int] = {
    "ONE_MINUTE": MINUTE_MS,
    "FIVE_MINUTE": 5 * MINUTE_MS,
    "FIFTEEN_MINUTE": 15 * MINUTE_MS,
    "THIRTY_MINUTE": 30 * MINUTE_MS,
    "ONE_HOUR": 60 * MINUTE_MS,
    "TWO_HOUR": 120 * MINUTE_MS,
    "FOUR_HOUR": 240 * MINUTE_MS,
    "SIX_HOUR": 360 * MINUTE_MS,
    "ONE_DAY": DAY_MS,
}
MAX_CANDLES = 350
MAX_TRADES = 1000
MAX_LEVELS = 5000


def find(venue: Venue, product_id: str) -> Instrument:
    """Return an instrument. Raises NotFoundError."""
    try:
        return venue.engine.instrument(product_id)
    except RefusedError as error:
        raise NotFoundError(f"product {product_id!r} does not exist") from error


def time(venue: Venue, _: Request) -> Mapping[str, object]:
    """Answer `GET time`."""
    now = venue.client_time()
    return {"iso": instant(now), "epochSeconds": str(now // 1000), "epochMillis": str(now)}


def products(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET products`: all, or those that are named; none that is not spot."""
    query = request.query
    wanted = query.several("product_ids")
    if query.text("product_type", "SPOT") not in ("SPOT", "UNKNOWN_PRODUCT_TYPE"):
        return {"products": [], "num_products": 0}
    found = [each for each in venue.engine.instruments() if not wanted or each.symbol in wanted]
    offset = query.whole("offset", 0, most=100_000)
    limit = query.whole("limit", len(found) or 1, most=100_000)
    page = found[offset : offset + limit]
    return {"products": [_product(venue, each) for each in page], "num_products": len(page)}


def product(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET products/{product_id}`."""
    return _product(venue, find(venue, request.path["product_id"]))


def candles(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET products/{product_id}/candles`, newest first."""
    instrument = find(venue, request.path["product_id"])
    query = request.query
    interval = GRANULARITIES.get(query.text("granularity"))
    if interval is None:
        raise InvalidArgumentError(f"granularity must be one of {', '.join(GRANULARITIES)}")
    start, end = query.seconds("start"), query.seconds("end")
    if start is None or end is None or start > end:
        raise InvalidArgumentError("start and end are required, in seconds, and start comes first")
    limit = query.whole("limit", MAX_CANDLES, most=MAX_CANDLES)
    if (end - start) // interval > MAX_CANDLES:
        raise InvalidArgumentError(f"at most {MAX_CANDLES} candles can be asked for at once")
    found = venue.candles(instrument.symbol, interval, start=start, end=end)
    return {"candles": [candle_object(each) for each in reversed(found)][:limit]}


def ticker(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET products/{product_id}/ticker`: trades, newest first, and the best prices."""
    instrument = find(venue, request.path["product_id"])
    query = request.query
    limit = query.whole("limit", 100, most=MAX_TRADES)
    start, end = query.seconds("start"), query.seconds("end")
    trades = [
        trade
        for trade in venue.trades(instrument.symbol, limit=MAX_TRADES)
        if (start is None or trade.time >= start) and (end is None or trade.time <= end)
    ]
    book = venue.engine.book(instrument.symbol, 1)
    return {
        "trades": [trade_object(trade) for trade in reversed(trades)][:limit],
        "best_bid": number(book.bids[0].price) if book.bids else "",
        "best_ask": number(book.asks[0].price) if book.asks else "",
    }


def product_book(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET product_book`."""
    query = request.query
    instrument = find(venue, query.text("product_id"))
    book = _aggregated(venue.engine.book(instrument.symbol, MAX_LEVELS), query)
    limit = query.whole("limit", MAX_LEVELS, most=MAX_LEVELS)
    answer: dict[str, object] = {"pricebook": _pricebook(venue, instrument.symbol, book, limit)}
    answer["last"] = number(venue.engine.last_price(instrument.symbol) or Decimal(0))
    if book.bids and book.asks:
        middle = (book.bids[0].price + book.asks[0].price) / 2
        spread = book.asks[0].price - book.bids[0].price
        answer["mid_market"] = number(middle)
        answer["spread_bps"] = number(ratio(spread, middle) * 10_000)
        answer["spread_absolute"] = number(spread)
    return answer


def best_bid_ask(venue: Venue, request: Request) -> Mapping[str, object]:
    """Answer `GET best_bid_ask`: the best level of both sides, of all products or of some."""
    wanted = request.query.several("product_ids") or {
        each.symbol for each in venue.engine.instruments()
    }
    symbols = sorted(find(venue, product_id).symbol for product_id in wanted)
    return {
        "pricebooks": [
            _pricebook(venue, symbol, venue.engine.book(symbol, 1), 1) for symbol in symbols
        ]
    }


def candle_object(candle: Candle) -> Mapping[str, object]:
    """Return a candle; its start is in seconds."""
    return {
        "start": str(candle.start // 1000),
        "low": number(candle.low),
        "high": number(candle.high),
        "open": number(candle.open),
        "close": number(candle.close),
        "volume": number(candle.volume),
    }


def trade_object(trade: Trade) -> Mapping[str, object]:
    """Return a trade. Its side is the maker's."""
    return {
        "trade_id": str(trade.id),
        "product_id": trade.symbol,
        "price": number(trade.price),
        "size": number(trade.quantity),
        "time": instant(trade.time),
        "side": "BUY" if trade.buyer_is_maker else "SELL",
        "bid": "",
        "ask": "",
        "exchange": "",
    }


def day_before(venue: Venue, symbol: str) -> Iterable[Candle]:
    """Return the hours of the last day."""
    now = venue.market_time()
    return venue.candles(symbol, 60 * MINUTE_MS, start=now - DAY_MS, end=now)


def change_24h(hours: Iterable[Candle], last: Decimal) -> Decimal:
    """Return the change of the price over the hours, in percent."""
    first = next((candle.open for candle in hours), last)
    return ratio(last - first, first) * 100


def _product(venue: Venue, instrument: Instrument) -> Mapping[str, object]:
    hours = list(day_before(venue, instrument.symbol))
    last = venue.engine.last_price(instrument.symbol) or Decimal(0)
    halted = venue.engine.is_halted(instrument.symbol)
    most = min(instrument.max_quantity * max(last, instrument.min_price), Decimal(10) ** 12)
    quoted = sum((candle.quote_volume for candle in hours), Decimal(0))
    known = frozenset(each.symbol for each in venue.engine.instruments())
    book = book_of(instrument.symbol, known)
    return {
        "product_id": instrument.symbol,
        "price": number(last) if last else "",
        "price_percentage_change_24h": number(change_24h(hours, last)),
        "volume_24h": number(sum((candle.volume for candle in hours), Decimal(0))),
        "volume_percentage_change_24h": "0",
        "base_increment": number(instrument.lot),
        "quote_increment": number(instrument.tick),
        "quote_min_size": number(instrument.min_notional),
        "quote_max_size": number(most),
        "base_min_size": number(instrument.min_quantity),
        "base_max_size": number(instrument.max_quantity),
        "base_name": name_of(instrument.base),
        "quote_name": name_of(instrument.quote),
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": halted,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": halted,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": instrument.quote,
        "base_currency_id": instrument.base,
        "fcm_trading_session_details": None,
        "mid_market_price": "",
        "alias": "" if book == instrument.symbol else book,
        "alias_to": aliases_of(instrument.symbol, known),
        "base_display_symbol": instrument.base,
        "quote_display_symbol": instrument.quote,
        "view_only": False,
        "price_increment": number(instrument.tick),
        "display_name": instrument.symbol,
        "product_venue": "CBE",
        "approximate_quote_24h_volume": number(quoted),
        "future_product_details": None,
    }


def _pricebook(venue: Venue, symbol: str, book: Book, limit: int) -> Mapping[str, object]:
    return {
        "product_id": symbol,
        "bids": _levels(book.bids[:limit]),
        "asks": _levels(book.asks[:limit]),
        "time": instant(venue.now()),
    }


def _levels(levels: Iterable[Level]) -> list[Mapping[str, str]]:
    return [{"price": number(each.price), "size": number(each.quantity)} for each in levels]


def _aggregated(book: Book, query: Query) -> Book:
    """Join levels into steps of `aggregation_price_increment`: bids down, asks up."""
    text = query.text("aggregation_price_increment")
    if not text:
        return book
    step = parse_number(text)
    if step is None or step <= 0:
        raise InvalidArgumentError("aggregation_price_increment must be a positive number")
    return Book(
        bids=_joined(book.bids, step, ROUND_FLOOR),
        asks=_joined(book.asks, step, ROUND_CEILING),
        sequence=book.sequence,
    )


def _joined(levels: Iterable[Level], step: Decimal, rounding: str) -> tuple[Level, ...]:
    sums: dict[Decimal, Decimal] = {}
    for level in levels:
        price = (level.price / step).to_integral_value(rounding=rounding) * step
        sums[price] = sums.get(price, Decimal(0)) + level.quantity
    return tuple(Level(price, quantity) for price, quantity in sums.items())
