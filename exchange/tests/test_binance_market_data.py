"""Public calls: symbols, books, trades, candles and tickers."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from binance_harness import START, Server, serving
from tradingbot_exchange.binance.candles import end_of, start_of
from tradingbot_exchange.faults.model import FAULT, parse_duration

DAY = 86_400_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        for _ in range(20):
            server.clock.now += 5_000
            server.get("/api/v3/ticker/price")
        yield server


def test_the_symbols_are_those_that_are_asked_for(server: Server) -> None:
    path = "/api/v3/exchangeInfo"

    def names(**parameters: object) -> list[str]:
        return [symbol["symbol"] for symbol in server.get(path, **parameters).json["symbols"]]

    assert names() == ["BTCUSDT", "ETHUSDT", "ETHBTC"]
    assert names(symbol="ETHBTC") == ["ETHBTC"]
    assert names(symbols='["ETHBTC","BTCUSDT"]') == ["ETHBTC", "BTCUSDT"]
    assert names(permissions="SPOT") == names()
    assert names(permissions='["MARGIN"]') == []
    assert names(symbolStatus="HALT") == []
    assert server.get(path, symbol="NOSUCH").error[1] == -1121
    assert server.get(path, symbol="ETHBTC", symbols='["ETHBTC"]').error[1] == -1128
    assert server.get(path, symbol="ETHBTC", permissions="SPOT").error[1] == -1128


def test_filters_are_those_that_refuse(server: Server) -> None:
    symbol = server.get("/api/v3/exchangeInfo", symbol="BTCUSDT").json["symbols"][0]
    filters = {each["filterType"]: each for each in symbol["filters"]}
    step = filters["LOT_SIZE"]["stepSize"]
    minimum = float(filters["NOTIONAL"]["minNotional"])
    price = "50000.00"
    lots = -(-minimum // (float(step) * 50000))
    enough = f"{lots * float(step):.8f}"
    too_little = f"{(lots - 1) * float(step):.8f}"
    assert server.order(quantity=enough, price=price).status == 200
    assert server.order(quantity=too_little, price=price).error[2].endswith("NOTIONAL")
    band = float(filters["PERCENT_PRICE_BY_SIDE"]["bidMultiplierUp"])
    last = float(server.last_price())
    assert server.order(price=f"{last * (band + 0.1):.2f}").error[2].endswith("BY_SIDE")


def test_a_book_has_both_sides_best_first(server: Server) -> None:
    book = server.get("/api/v3/depth", symbol="BTCUSDT", limit=10).json
    bids = [float(price) for price, _ in book["bids"]]
    asks = [float(price) for price, _ in book["asks"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert server.get("/api/v3/depth", symbol="BTCUSDT", symbolStatus="HALT").error[1] == -1220


def test_trades_are_found_by_id_and_by_time(server: Server) -> None:
    everything = server.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=0).json
    identifiers = [trade["id"] for trade in everything]
    assert identifiers == list(range(1, len(everything) + 1))
    newest = server.get("/api/v3/trades", symbol="BTCUSDT", limit=3).json
    assert newest == everything[-3:]
    middle = everything[len(everything) // 2]
    path = "/api/v3/aggTrades"
    since = server.get(path, symbol="BTCUSDT", startTime=middle["time"], limit=1000).json
    assert [trade["a"] for trade in since] == [
        trade["id"] for trade in everything if trade["time"] >= middle["time"]
    ]
    until = server.get(path, symbol="BTCUSDT", endTime=middle["time"], limit=1000).json
    assert [trade["a"] for trade in until] == [
        trade["id"] for trade in everything if trade["time"] <= middle["time"]
    ]
    one = server.get(path, symbol="BTCUSDT", fromId=middle["id"], limit=1).json
    assert one[0]["a"] == middle["id"]
    both = server.get(path, symbol="BTCUSDT", fromId=1, startTime=1)
    assert both.error[1] == -1128


@pytest.mark.parametrize(
    "interval", ["1s", "1m", "3m", "15m", "1h", "4h", "12h", "1d", "3d", "1w", "1M"]
)
def test_candles_follow_each_other(server: Server, interval: str) -> None:
    rows = server.get("/api/v3/klines", symbol="BTCUSDT", interval=interval, limit=20).json
    assert len(rows) == 20
    assert all(len(row) == 12 for row in rows)
    assert all(before[6] + 1 == after[0] for before, after in pairwise(rows))
    assert rows[-1][0] <= server.venue.now() <= rows[-1][6]
    for row in rows:
        low, high = float(row[3]), float(row[2])
        assert low <= float(row[1]) <= high
        assert low <= float(row[4]) <= high


def test_candles_from_a_time_are_the_oldest(server: Server) -> None:
    path = "/api/v3/klines"
    start = START - 10 * 3_600_000
    rows = server.get(path, symbol="BTCUSDT", interval="1h", startTime=start, limit=3).json
    assert [row[0] for row in rows] == [start + n * 3_600_000 for n in range(3)]
    until = server.get(path, symbol="BTCUSDT", interval="1h", endTime=start, limit=2).json
    assert [row[0] for row in until] == [start - 3_600_000, start]
    assert server.get(path, symbol="BTCUSDT", interval="7m").error[1] == -1120


@pytest.mark.parametrize("interval", ["1m", "1d", "1M"])
def test_there_are_no_candles_of_a_time_to_come(server: Server, interval: str) -> None:
    for start in (server.venue.now() + 1, 10**18, 2**63 - 1):
        query = {"symbol": "BTCUSDT", "interval": interval, "startTime": start}
        assert server.get("/api/v3/klines", **query).json == []
        assert len(server.get("/api/v3/klines", **query | {"startTime": 0}).json) > 0
        assert server.get("/api/v3/klines", **query, endTime=start).json == []


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    assert start_of("1w", START) == 1_799_625_600_000
    assert start_of("1M", START) == 1_798_761_600_000
    assert end_of("1M", 1_798_761_600_000) == 1_798_761_600_000 + 31 * DAY - 1
    assert end_of("1M", 1_801_440_000_000) == 1_801_440_000_000 + 28 * DAY - 1


def test_tickers_are_for_one_some_or_all(server: Server) -> None:
    for path in ("/api/v3/ticker/24hr", "/api/v3/ticker/price", "/api/v3/ticker/bookTicker"):
        assert server.get(path, symbol="ETHBTC").json["symbol"] == "ETHBTC"
        some = server.get(path, symbols='["ETHBTC"]').json
        assert [ticker["symbol"] for ticker in some] == ["ETHBTC"]
        assert len(server.get(path).json) == 3
    full = server.get("/api/v3/ticker/24hr", symbol="BTCUSDT").json
    mini = server.get("/api/v3/ticker/24hr", symbol="BTCUSDT", type="MINI").json
    assert set(full) > set(mini)
    assert float(full["lowPrice"]) <= float(full["lastPrice"]) <= float(full["highPrice"])
    change = float(full["lastPrice"]) - float(full["openPrice"])
    assert float(full["priceChange"]) == pytest.approx(change, abs=0.01)


def test_the_average_price_is_between_the_lowest_and_the_highest(server: Server) -> None:
    rows = server.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=6).json
    price = float(server.get("/api/v3/avgPrice", symbol="BTCUSDT").json["price"])
    assert min(float(row[3]) for row in rows) <= price <= max(float(row[2]) for row in rows)


def test_the_ui_klines_are_the_klines(server: Server) -> None:
    query = {"symbol": "BTCUSDT", "interval": "1h", "limit": 5}
    ui = server.get("/api/v3/uiKlines", **query).json
    assert ui == server.get("/api/v3/klines", **query).json


@pytest.mark.parametrize("by", ["-10m", "10m"])
def test_a_skewed_clock_moves_the_server_time_and_no_candle(server: Server, by: str) -> None:
    def candles() -> object:
        return server.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=5).json

    def opened() -> object:
        return server.get("/api/v3/ticker/24hr", symbol="BTCUSDT").json["openTime"]

    right, day = candles(), opened()
    fault = FAULT.validate_python({"type": "clock-skew", "by": by})
    active = server.on_loop(lambda: server.venue.add_fault(fault))
    try:
        shown = server.get("/api/v3/time").json["serverTime"]
        assert shown - server.clock.now == parse_duration(by)
        assert (candles(), opened()) == (right, day)
    finally:
        server.on_loop(lambda: server.venue.remove_fault(active.id))
