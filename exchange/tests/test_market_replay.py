"""Candles from a CSV file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_exchange.errors import MarketFileError, SettingError
from tradingbot_exchange.market.prices import STEP_MS
from tradingbot_exchange.market.replay import CandleFile, ReplayedPrices, Row, read_candles
from venue_samples import START, harness, write

HEADER = "time,symbol,open,high,low,close,volume\n"
TIME = 1_700_000_040_000  # a whole minute
ALL = ("BTC-USDT", "ETH-USDT", "ETH-BTC")


def line(minute: int, symbol: str = "BTC-USDT", close: str = "101") -> str:
    return f"{TIME + minute * 60_000},{symbol},100,110,90,{close},5\n"


def triangle(minutes: int) -> str:
    return HEADER + "".join(line(m, s) for m in range(minutes) for s in ALL)


def test_columns_come_in_any_order_and_times_in_two_forms(tmp_path: Path) -> None:
    text = (
        "Symbol,volume,close,low,high,open,time\nBTC-USDT,5,101,90,110,100,2023-11-14T22:14:00Z\n"
    )
    file = read_candles(write(tmp_path / "m.csv", text), symbols=("BTC-USDT",))
    other = read_candles(write(tmp_path / "n.csv", HEADER + line(0)), symbols=("BTC-USDT",))
    assert file == other


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.csv:1: the header must be time,symbol,open,high,low,close,volume"),
        ("time,open\n", "m.csv:1: the header must be"),
        (HEADER, "m.csv: has no candles after the header"),
        (HEADER + line(0) + "1,2\n", "m.csv:3: 2 values, expected 7"),
        (HEADER + line(0, "DOGE-USDT"), "m.csv:2: unknown symbol 'DOGE-USDT'; supported: BTC-USDT"),
        (HEADER + line(0) + line(0), "m.csv:3: BTC-USDT has this time or a later one before"),
        (HEADER + line(0, close="ten"), "m.csv:2: close 'ten' is not a number"),
        (HEADER + line(0, close="NaN"), "m.csv:2: close 'NaN' is not a number below"),
        (HEADER + line(0, close="1e999999"), "m.csv:2: close '1e999999' is not a number below"),
        (HEADER + line(0, close="1e-999999"), "m.csv:2: prices must be at least 1e-12"),
        (HEADER + line(0, close="-1"), "m.csv:2: prices must be greater than 0"),
        (HEADER + line(0, close="111"), "m.csv:2: high must be the highest"),
        (HEADER + f"{TIME},BTC-USDT,1,1,1,1,-5\n", "m.csv:2: volume must not be negative"),
        (HEADER + "yesterday,BTC-USDT,1,1,1,1,1\n", "m.csv:2: time 'yesterday' is neither"),
        (
            HEADER + "2026-01-01T00:00:00,BTC-USDT,1,1,1,1,1\n",
            "m.csv:2: time '2026-01-01T00:00:00'",
        ),
        (HEADER + "9" * 30 + ",BTC-USDT,1,1,1,1,1\n", "m.csv:2: time '9999"),
        (HEADER + "0001-01-01T00:00:00+01:00,BTC-USDT,1,1,1,1,1\n", "is before 1970"),
        (HEADER + line(0, close="9" * 9000), f"close '{'9' * 60}...' is not a number below"),
        (HEADER + line(0, "B" * 9000), f"unknown symbol '{'B' * 60}...'; supported"),
        (HEADER + line(0) + line(2) + line(5), "do not have one interval"),
        (HEADER + '"open,quote\n', "m.csv: is not CSV"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MarketFileError) as caught:
        read_candles(write(tmp_path / "m.csv", text), symbols=("BTC-USDT",))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_binary_or_incomplete_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketFileError, match=r"cannot read .*No such file"):
        read_candles(tmp_path / "none.csv", symbols=ALL)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00time")
    with pytest.raises(MarketFileError, match="is not UTF-8 text"):
        read_candles(tmp_path / "b.csv", symbols=ALL)
    with pytest.raises(MarketFileError, match="has no candles of ETH-USDT, ETH-BTC"):
        read_candles(write(tmp_path / "m.csv", HEADER + line(0)), symbols=ALL)


def test_random_bytes_are_refused_or_read_but_never_crash(tmp_path: Path) -> None:
    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=200))
    def check(content: bytes) -> None:
        path = tmp_path / "r.csv"
        path.write_bytes(HEADER.encode() + content)
        with pytest.raises(MarketFileError):
            read_candles(path, symbols=ALL)

    check()


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    made = []
    for minute in sorted(draw(st.sets(st.integers(0, 12), min_size=2, max_size=8)) | {0, 1}):
        values = draw(st.lists(st.integers(1, 10**6), min_size=4, max_size=4))
        opening, closing = values[0], values[1]
        made.append(
            Row(
                TIME + minute * 60_000,
                Decimal(opening),
                Decimal(max(values)),
                Decimal(min(values)),
                Decimal(closing),
                Decimal(1),
            )
        )
    return made


@settings(max_examples=60, deadline=None)
@given(rows())
def test_a_replay_goes_through_the_four_prices_of_each_candle(made: list[Row]) -> None:
    prices = ReplayedPrices(CandleFile(60_000, {"BTC-USDT": made}), origin=TIME)
    steps = 60_000 // STEP_MS
    for row in made:
        first = (row.time - TIME) // STEP_MS
        path = [prices.price("BTC-USDT", first + i) for i in range(steps)]
        assert path[0] == row.open
        assert row.low <= min(path)
        assert max(path) <= row.high
        assert {row.high, row.low} <= set(path)
        span = prices.span("BTC-USDT", first, first + steps)
        assert (span.open, span.high, span.low, span.close, span.volume) == (
            row.open, row.high, row.low, row.close, 1,
        )  # fmt: skip
    assert prices.price("BTC-USDT", 10**6) == made[-1].close
    assert prices.regime(10**6) == "ended"
    assert prices.regime(0) == "replay"


def test_an_exchange_replays_a_file_from_where_it_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", triangle(20))
    made = harness(market_file=path, market_start=TIME + 10 * 60_000)
    made.wait(1)
    assert 89 < made.last() < 111
    past = made.venue.candles("BTC-USDT", 60_000, start=START - 600_000, end=START - 60_000)
    assert len(past) >= 9
    assert {(c.open, c.high, c.low, c.close, c.volume) for c in past[-8:-1]} == {
        (Decimal(100), Decimal(110), Decimal(90), Decimal(101), Decimal(5))
    }


def test_a_start_outside_the_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", triangle(3))
    with pytest.raises(SettingError, match=f"the file is from {TIME} to {TIME + 180_000}"):
        harness(market_file=path, market_start=TIME - 1)
