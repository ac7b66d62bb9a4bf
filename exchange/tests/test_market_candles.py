"""Candles from trades and from the past."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_exchange.engine.types import RefusedError, Trade
from tradingbot_exchange.market.candles import (
    DAY,
    HOUR,
    MAX_CANDLES,
    MINUTE,
    RecordedCandles,
    bucket,
)
from venue_samples import START, harness


def trade(time: int, price: int, quantity: int) -> Trade:
    return Trade(
        id=1, symbol="X", price=Decimal(price), quantity=Decimal(quantity), time=time,
        buyer_is_maker=False,
    )  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 400_000), st.integers(1, 99), st.integers(1, 9)), max_size=60
    ),
    st.sampled_from([1000, 3000, 60_000, 180_000, 300_000, 3_600_000]),
)
def test_candles_of_any_interval_equal_those_counted_from_the_trades(
    raw: list[tuple[int, int, int]], interval: int
) -> None:
    trades = [trade(START + time, price, size) for time, price, size in sorted(raw)]
    recorded = RecordedCandles()
    for made in trades:
        recorded.add(made)
    expected: dict[int, list[Trade]] = {}
    for made in trades:
        expected.setdefault(made.time // interval * interval, []).append(made)
    found = list(recorded.between(interval, 0, START * 2))
    assert [c.start for c in found] == sorted(expected)
    for candle in found:
        inside = expected[candle.start]
        prices = [t.price for t in inside]
        assert (candle.open, candle.close) == (prices[0], prices[-1])
        assert (candle.high, candle.low) == (max(prices), min(prices))
        assert candle.volume == sum(t.quantity for t in inside)
        assert candle.quote_volume == sum(t.quantity * t.price for t in inside)
        assert candle.trades == len(inside)


def test_weeks_begin_on_monday() -> None:
    monday = 1_764_547_200_000  # 2025-12-01
    assert bucket(monday, 7 * DAY) == monday
    assert bucket(monday - 1, 7 * DAY) == monday - 7 * DAY


@pytest.mark.parametrize("interval", [1000, MINUTE, 5 * MINUTE, HOUR, DAY, 7 * DAY])
def test_a_thousand_candles_exist_at_the_first_moment(interval: int) -> None:
    made = harness()
    now = made.venue.now()
    wanted = min(1000, 1500 * DAY // interval - 2)
    found = made.venue.candles("BTC-USDT", interval, start=now - wanted * interval, end=now)
    assert len(found) in {wanted, wanted + 1}
    for before, after in itertools.pairwise(found):
        assert after.start - before.start == interval
        assert after.low <= min(after.open, after.close)
        assert after.high >= max(after.open, after.close)
    past = [candle for candle in found if candle.start < made.venue.market.begin]
    for before, after in itertools.pairwise(past):
        assert before.close == after.open


def test_candles_continue_from_the_past_into_the_present_without_a_gap() -> None:
    made = harness()
    made.wait(150)
    found = made.venue.candles("BTC-USDT", MINUTE, start=START - 5 * MINUTE, end=START + DAY)
    assert [c.start for c in found] == [
        bucket(START - 1, MINUTE) - 4 * MINUTE + i * MINUTE for i in range(len(found))
    ]
    assert found[-1].start == bucket(made.clock.time, MINUTE)
    moves = [abs(a.open / b.close - 1) for b, a in itertools.pairwise(found)]
    assert max(moves) < Decimal("0.005")
    traded = sum(t.quantity for t in made.venue.trades("BTC-USDT") if t.time >= found[-1].start)
    assert found[-1].volume == traded


def test_an_interval_without_trades_has_the_last_price() -> None:
    made = harness()
    made.wait(2)
    made.fault(type="halt")
    last = made.last()
    made.wait(10)
    found = made.venue.candles("BTC-USDT", 1000, start=made.clock.time - 5000, end=made.clock.time)
    assert len(found) >= 5
    assert {(c.open, c.close, c.volume, c.trades) for c in found} == {(last, last, 0, 0)}


def test_answers_are_bounded_and_bad_questions_refused() -> None:
    made = harness()
    assert len(made.venue.candles("BTC-USDT", 1000, start=0, end=START * 2)) == MAX_CANDLES
    assert made.venue.candles("BTC-USDT", 1000, start=START + DAY, end=START * 2) == []
    assert made.venue.candles("BTC-USDT", 1000, start=START, end=START - 5000) == []
    with pytest.raises(ValueError, match="multiple of 1000 ms, not 1500"):
        made.venue.candles("BTC-USDT", 1500, start=0, end=START)
    with pytest.raises(RefusedError, match="UNKNOWN_SYMBOL"):
        made.venue.candles("DOGE-USDT", 1000, start=0, end=START)


def test_trades_are_asked_for_by_id_or_as_the_newest_ones() -> None:
    made = harness()
    made.wait(30)
    every = made.venue.trades("BTC-USDT", limit=5000)
    assert [t.id for t in every] == list(range(1, len(every) + 1))
    assert made.venue.trades("BTC-USDT", limit=3) == every[-3:]
    assert made.venue.trades("BTC-USDT", after_id=5, limit=3) == every[5:8]
