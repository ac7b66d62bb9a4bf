"""The profit of the day and the exposure, as docs/bot-contract.md defines them."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk_samples import BUY, DAY, HOUR, SELL, Calendar, D, Harness, order, settings
from tradingbot_gateway.risk.actions import FindPrice
from tradingbot_gateway.risk.events import Priced
from tradingbot_gateway.risk.figures import Figures, Unknown
from tradingbot_gateway.risk.limits import Settings


def report(harness: Harness) -> Figures:
    known = harness.desk.report(harness.now)
    assert isinstance(known, Figures), known
    return known


def wide() -> Settings:
    return settings(max_position_size=D(10**6), daily_loss_limit=D(10**6), max_open_positions=9)


def test_the_example_of_the_contract() -> None:
    """Bought yesterday: 10 at 100. The bid at the start is 90. Today: 5 sold at 95, fee 0.5."""
    harness = Harness()
    harness.desk.configured(wide(), harness.now)
    harness.holds("10", "100")
    harness.wait(12 * HOUR - 1000)
    harness.quote("BTC-USDT", "90", "90.5")
    harness.wait(2000)
    harness.quote("BTC-USDT", "95", "95.5")
    sold = harness.opened(order(SELL, "5", "95"))
    harness.fill(sold, "5", "95", fee="0.5")
    figures = report(harness)
    assert figures.day_pnl == D("49.5")
    assert figures.realized == D("-25.5")
    assert figures.unrealized == D(-25)
    assert figures.open_positions == 1
    assert figures.exposure == 5 * 95
    assert figures.trading_day == date(2025, 11, 26)


def test_the_report_has_8_decimals_and_never_hides_a_loss() -> None:
    harness = Harness()
    harness.holds("3", "100")
    harness.quote("BTC-USDT", "99.999999999")
    answer = report(harness).report("abc")
    assert answer.day_pnl == D("-0.00000001")
    assert answer.exposure == D(300)
    assert answer.model_dump(by_alias=True, mode="json") == {
        "tradingDay": "2025-11-25",
        "dayPnL": "-0.00000001",
        "openPositions": 1,
        "exposure": "300.00000000",
        "configHash": "abc",
        "time": "2025-11-25T12:00:00Z",
    }


def test_shorts_are_valued_at_the_ask_and_add_to_the_exposure() -> None:
    harness = Harness()
    harness.desk.configured(wide(), harness.now)
    short = harness.opened(order(SELL, "2", "100"))
    harness.fill(short, "2", "100")
    harness.holds("10", "10", symbol="ETH-USDT")
    harness.quote("BTC-USDT", "100", "101")
    figures = report(harness)
    assert figures.day_pnl == -2
    assert figures.exposure == 202 + 100


def test_a_fill_of_yesterday_that_arrives_today_counts_for_yesterday() -> None:
    harness = Harness()
    harness.desk.configured(wide(), harness.now)
    bought = harness.opened(order(BUY, "2", "100"))
    harness.wait(12 * HOUR - 1000)
    yesterday = harness.now
    harness.quote("BTC-USDT", "90")
    harness.wait(2000)
    harness.quote("BTC-USDT", "91")
    harness.fill(bought, "1", "80", time=yesterday)
    assert report(harness).day_pnl == 1  # from 90 at the start to 91


@pytest.mark.parametrize(("early", "late"), [(SELL, BUY), (BUY, SELL)])
def test_the_side_of_the_price_at_the_start_is_that_of_all_fills_of_yesterday(
    early: str, late: str
) -> None:
    harness = Harness()
    harness.desk.configured(wide(), harness.now)
    first = harness.opened(order(early, "1", "100"))
    harness.fill(first, "1", "100")
    second = harness.opened(order(late, "3", "100"))
    harness.wait(12 * HOUR - 1000)
    yesterday = harness.now
    harness.quote("BTC-USDT", "90", "92")
    harness.wait(2000)
    harness.quote("BTC-USDT", "90", "92")
    harness.fill(second, "3", "100", time=yesterday)  # the position has changed its side
    assert report(harness).day_pnl == 0


def test_the_price_of_the_start_is_asked_for_when_nobody_looked() -> None:
    harness = Harness()
    harness.desk.configured(wide(), harness.now)
    harness.holds("2", "100")
    harness.wait(13 * HOUR)
    harness.quote("BTC-USDT", "91")
    unknown = harness.desk.report(harness.now)
    assert unknown == Unknown(reason="the price of BTC when the day began is not known")
    start = harness.now - HOUR
    asked = [a for a in harness.desk.actions(harness.now) if isinstance(a, FindPrice)]
    assert asked == [FindPrice(asset="BTC", at=start)]
    harness.desk.on(Priced(time=harness.now, asset="BTC", at=start, price=D(95)), harness.now)
    harness.desk.on(Priced(time=harness.now, asset="BTC", at=start, price=D(1)), harness.now)
    assert report(harness).day_pnl == 2 * (91 - 95)


def test_a_fee_in_a_third_asset_is_converted_at_the_time_of_its_fill() -> None:
    harness = Harness()
    bought = harness.opened(order(BUY, "1", "100"))
    harness.fill(bought, "0.5", "100", fee="0.2", fee_asset="SOL")
    harness.quote("SOL-USDT", "5")
    assert report(harness).day_pnl == D("-0.2")
    assert harness.desk.ledger.held("SOL") == 0


def test_a_fee_whose_price_is_unknown_makes_the_profit_unknown() -> None:
    harness = Harness()
    bought = harness.opened(order(BUY, "1", "100"))
    harness.fill(bought, "0.5", "100", fee="0.2", fee_asset="BNB")
    unknown = harness.desk.report(harness.now)
    assert unknown == Unknown(reason="the price of a fee in BNB is not known")
    assert FindPrice(asset="BNB", at=harness.now) in harness.desk.actions(harness.now)
    harness.desk.on(Priced(time=harness.now, asset="BNB", at=harness.now, price=D(3)), harness.now)
    assert report(harness).day_pnl == D("-0.6")


@pytest.mark.parametrize("reason", ["quote", "missing fill", "reconciled"])
def test_what_is_unknown_is_not_reported(reason: str) -> None:
    harness = Harness()
    harness.holds("1", "100")
    assert isinstance(harness.desk.report(harness.now), Figures)
    if reason == "quote":
        harness.wait(30_001)
    elif reason == "missing fill":
        harness.end(harness.opened(order(BUY, "1", "99")), executed="0.5")
    else:
        harness.desk.disconnected("the stream was cut")
    assert isinstance(harness.desk.report(harness.now), Unknown)


def test_a_day_that_a_new_calendar_makes_longer_extends_a_halt() -> None:
    harness = Harness()
    harness.holds("10", "100")
    harness.quote("BTC-USDT", "80")
    later = Calendar(time_zone="Etc/GMT+12")  # its date is still the same at the end of the day
    harness.desk.configured(settings(calendar=later), harness.now)
    harness.wait(13 * HOUR)
    harness.quote("BTC-USDT", "80")
    assert report(harness).trading_day == date(2025, 11, 25)
    assert harness.desk.ledger.state.halted_until == harness.now + 11 * HOUR
    harness.wait(12 * HOUR)
    harness.quote("BTC-USDT", "80")
    assert harness.desk.ledger.day is not None
    assert harness.desk.ledger.day.day == date(2025, 11, 26)


def test_days_follow_each_other_with_the_calendar() -> None:
    harness = Harness()
    for days in range(1, 4):
        harness.wait(DAY)
        harness.quote("BTC-USDT", "100")
        assert report(harness).trading_day == date(2025, 11, 25 + days)
        assert report(harness).day_pnl == 0


TRADES = st.lists(
    st.tuples(
        st.sampled_from((BUY, SELL)),
        st.integers(1, 500),
        st.integers(9000, 11000),
        st.sampled_from(("USDT", "BTC", "SOL")),
    ),
    max_size=12,
)


@given(TRADES, TRADES, st.integers(9000, 11000), st.integers(9000, 11000))
def test_the_profit_is_the_equity_now_less_the_equity_at_the_start(
    before: list[Any], today: list[Any], start: int, now: int
) -> None:
    harness = Harness()
    harness.desk.configured(wide(), harness.now)
    money, coins, fees = D(0), D(0), D(0)

    def trade(trades: list[Any]) -> None:
        nonlocal money, coins, fees
        for side, size, price, fee_asset in trades:
            quantity, at = D(size) / 1000, D(price) / 100
            harness.wait(1001)
            harness.refresh()
            harness.desk.configured(wide(), harness.now)
            one = harness.opened(order(side, str(quantity), "100"))
            harness.fill(one, str(quantity), str(at), fee="0.0001", fee_asset=fee_asset)
            sign = 1 if side is BUY else -1
            coins += sign * quantity
            money -= sign * quantity * at
            if fee_asset == "BTC":
                coins -= D("0.0001")
            elif fee_asset == "USDT":
                money -= D("0.0001")
            else:
                fees += D("0.0001")  # SOL is at 1

    def equity(price: int) -> Decimal:
        return money + coins * D(price) / 100 - fees

    trade(before)
    midnight = harness.now - harness.now % DAY + DAY
    harness.now = midnight - 1
    harness.quote("BTC-USDT", D(start) / 100)
    began = equity(start)
    harness.now = midnight + 1
    harness.quote("BTC-USDT", D(start) / 100)
    trade(today)
    harness.quote("BTC-USDT", D(now) / 100)
    assert report(harness).day_pnl == equity(now) - began


def test_the_largest_position_counts_with_its_open_entries_and_without_its_exits() -> None:
    harness = Harness()
    harness.desk.configured(wide(), harness.now)
    assert harness.desk.largest_value(harness.now) == 0
    harness.holds("2", "100")
    ask = Decimal(101)
    harness.quote("BTC-USDT", "100", str(ask))
    held = harness.desk.largest_value(harness.now)
    harness.opened(order(SELL, "2", "120"))
    assert harness.desk.largest_value(harness.now) == held == 2 * ask
    harness.opened(order(BUY, "3", "104"))
    assert harness.desk.largest_value(harness.now) == 2 * ask + 3 * 104
    harness.wait(31_000)
    assert harness.desk.largest_value(harness.now) is None
