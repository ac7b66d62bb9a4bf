"""The model of faults, and what a request or message meets. Pure."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tradingbot_exchange.engine.types import OrderStatus, OrderType, Reason, RefusedError, Side
from tradingbot_exchange.errors import ScenarioError
from tradingbot_exchange.faults.board import FaultBoard, UnknownFaultError
from tradingbot_exchange.faults.model import (
    FAULT,
    FAULT_TYPES,
    duration_text,
    parse_duration,
)
from tradingbot_exchange.faults.scenario import problems, read_scenario
from tradingbot_exchange.simulated import UnknownSymbolError
from venue_samples import harness, limit, market, write

ORDER = "POST /api/v3/order"


def board(*faults: dict[str, Any]) -> FaultBoard:
    made = FaultBoard()
    for fault in faults:
        made.add(FAULT.validate_python(fault), now=0)
    return made


def met(made: FaultBoard, operation: str = ORDER, now: int = 0) -> str | None:
    fault = made.verdict(operation, now=now).fault
    return None if fault is None else fault.type


@given(st.integers(-(30 * 24 * 3_600_000), 30 * 24 * 3_600_000))
def test_a_duration_is_read_as_it_is_written(milliseconds: int) -> None:
    assert parse_duration(duration_text(milliseconds)) == milliseconds


@pytest.mark.parametrize("text", ["", "10", "s", "1 day", "1e3s", "999999h", True, None, [], "NaN"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        parse_duration(text)


def test_numbers_are_seconds() -> None:
    assert (parse_duration(2), parse_duration(0.5), parse_duration("1.5m")) == (2000, 500, 90_000)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"type": "crsh"}, "type: 'crsh' is not a fault; supported: crash, spike, halt"),
        ({}, "type: required; supported: crash"),
        (
            {"type": "crash", "percent": 91},
            "crash.percent: Input should be less than or equal to 90",
        ),
        ({"type": "crash", "percent": 0}, "crash.percent: Input should be greater than 0"),
        ({"type": "crash", "percent": "NaN"}, "crash.percent: Input should be a finite number"),
        ({"type": "crash", "percent": 5, "over": "0s"}, "crash.over: Input should be greater"),
        (
            {"type": "crash", "percent": 5, "speed": 1},
            "crash.speed: Extra inputs are not permitted",
        ),
        ({"type": "latency"}, "latency.delay: Field required"),
        ({"type": "latency", "delay": "soon"}, "latency.delay: a duration is a text such as"),
        ({"type": "reject", "match": "order"}, "reject.match: String should match pattern"),
        ({"type": "reject", "reason": "MOOD"}, "reject.reason: Input should be 'UNKNOWN_ACCOUNT'"),
        ({"type": "server-error", "status": 404}, "server-error.status: Input should be greater"),
        ({"type": "ban", "times": 0}, "ban.times: Input should be greater than or equal to 1"),
    ],
)
def test_a_mistake_is_named_with_its_place(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FAULT.validate_python(body)
    assert any(text.startswith(problem) for text in problems(caught.value)), problems(caught.value)


@pytest.mark.parametrize(
    ("match", "operation", "expected"),
    [
        ("* *", ORDER, True),
        ("POST *", ORDER, True),
        ("GET *", ORDER, False),
        ("* /api/v3/order", ORDER, True),
        ("* /api/v3/order", "POST /api/v3/order/test", False),
        ("* /api/v3/*", "POST /api/v3/order/test", True),
        ("* /api/v3/orde", ORDER, False),
    ],
)
def test_a_fault_meets_the_requests_that_match(match: str, operation: str, expected: bool) -> None:
    assert (met(board({"type": "ban", "match": match}), operation) == "ban") is expected


@given(st.integers(1, 20), st.integers(0, 40))
def test_a_fault_applies_exactly_as_often_as_it_says(times: int, requests: int) -> None:
    made = board({"type": "drop-request", "times": times})
    hits = [met(made) for _ in range(requests)]
    assert hits.count("drop-request") == min(times, requests)
    assert hits[:times] == ["drop-request"] * min(times, requests)


def test_faults_of_requests_apply_once_unless_told_otherwise_and_latency_until_its_end() -> None:
    made = board({"type": "ban"}, {"type": "latency", "delay": "1s"})
    assert [met(made), met(made)] == ["ban", None]
    assert [made.verdict(ORDER, now=0).delay for _ in range(3)] == [1000, 1000, 1000]
    made = board({"type": "ban", "for": "5s"})
    assert [met(made, now=4_999), met(made, now=4_999), met(made, now=5_000)] == [
        "ban",
        "ban",
        None,
    ]


def test_delays_add_up_and_the_oldest_of_the_others_applies_first() -> None:
    made = board(
        {"type": "latency", "delay": "100ms"},
        {"type": "ban"},
        {"type": "latency", "delay": "200ms"},
        {"type": "rate-limit"},
    )
    verdict = made.verdict(ORDER, now=0)
    assert (verdict.delay, verdict.fault and verdict.fault.type) == (300, "ban")
    assert met(made) == "rate-limit"


def test_messages_that_contain_a_text_are_dropped_and_doubled() -> None:
    made = board(
        {"type": "drop-events", "contains": "executionReport", "times": 2},
        {"type": "double-events"},
    )
    texts = ["executionReport", "kline", "executionReport", "executionReport", "kline"]
    assert [made.copies(text, now=0) for text in texts] == [0, 2, 0, 1, 1]


def test_an_unknown_fault_is_refused_with_the_active_ones() -> None:
    with pytest.raises(UnknownFaultError, match="no fault 'x'; active: ban-1"):
        board({"type": "ban"}).get("x")


def test_every_fault_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "exchange.md"
    missing = [name for name in FAULT_TYPES if f"`{name}`" not in page.read_text("utf-8")]
    assert not missing


# At the market


def test_a_crash_moves_the_market_and_its_end_brings_it_back() -> None:
    made = harness()
    made.wait(1)
    before = made.last()
    crash = made.fault(type="crash", percent=20, over="5s")
    made.wait(10)
    assert Decimal("0.78") < made.last() / before < Decimal("0.82")
    made.venue.remove_fault(crash.id)
    made.wait(10)
    assert Decimal("0.98") < made.last() / before < Decimal("1.02")
    assert made.venue.market.shocks.active == []


def test_a_crash_that_holds_for_a_time_ends_by_itself() -> None:
    made = harness()
    made.wait(1)
    before = made.last("ETH-USDT")
    made.fault(type="crash", percent=50, over="2s", hold="3s", symbol="ETH-USDT")
    made.wait(4)
    assert made.last("ETH-USDT") < before * Decimal("0.55")
    made.wait(6)
    assert made.last("ETH-USDT") > before * Decimal("0.95")
    assert list(made.venue.board) == []


def test_a_halted_symbol_refuses_orders_and_stands_still_until_its_time_is_over() -> None:
    made = harness()
    made.wait(1)
    resting = made.submit(limit(Side.BUY, "0.01", Decimal(50000)))
    made.fault(type="halt", symbol="BTC-USDT", **{"for": "10s"})
    last = made.last()
    with pytest.raises(RefusedError) as caught:
        made.buy("0.1")
    assert caught.value.reason is Reason.SYMBOL_HALTED
    made.buy("0.1", symbol="ETH-USDT")
    made.wait(9)
    assert made.last() == last
    made.venue.apply(lambda engine, now: engine.cancel("main", resting.id, now=now))
    made.wait(2)
    assert made.buy("0.1").status is OrderStatus.FILLED
    assert made.last() != last


def test_thin_liquidity_leaves_a_market_order_unfilled_in_part() -> None:
    made = harness()
    made.fault(type="thin-liquidity", percent=1)
    made.wait(1)
    order = made.buy("5")
    assert order.status is OrderStatus.EXPIRED
    assert 0 < order.filled < Decimal("0.5")


@pytest.mark.parametrize("percent", [1, 30, Decimal("99.9")])
def test_an_order_is_filled_in_part_and_its_rest_later(percent: Decimal) -> None:
    made = harness()
    made.wait(1)
    made.fault(type="partial-fills", percent=percent, rest="3s")
    price = (made.last() * Decimal("1.01")).quantize(Decimal("0.01"))
    order = made.submit(limit(Side.BUY, "0.5", price))
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert order.filled == Decimal("0.5") * percent / 100
    made.wait(2)
    assert order.status is OrderStatus.PARTIALLY_FILLED
    made.wait(2)
    assert order.status is OrderStatus.FILLED


def test_orders_that_would_not_trade_at_once_do_not_use_up_a_partial_fill() -> None:
    made = harness()
    made.wait(1)
    fault = made.fault(type="partial-fills")
    made.submit(limit(Side.BUY, "0.1", Decimal(50000)))
    with pytest.raises(RefusedError):
        made.submit(limit(Side.BUY, "9000", Decimal(61000)))
    stop = market(Side.SELL, "0.1")
    made.submit(
        type(stop)(
            symbol="BTC-USDT", side=Side.SELL, type=OrderType.STOP_MARKET,
            quantity=Decimal("0.1"), stop_price=Decimal(50000),
        )
    )  # fmt: skip
    assert fault.hits == 0
    made.buy("0.1")
    assert fault.hits == 1
    assert list(made.venue.board) == []


def test_skew_moves_the_shown_time_but_not_the_markets() -> None:
    made = harness()
    made.wait(1)
    made.fault(type="clock-skew", by="-5s", **{"for": "10s"})
    assert made.venue.now() == made.venue.client_time() == made.clock.time - 5000
    assert made.venue.market_time() == made.clock.time
    made.wait(3)
    assert made.venue.trades("BTC-USDT")[-1].time > made.clock.time - 5000
    made.wait(8)
    assert made.venue.now() == made.clock.time


def test_a_fault_of_an_unknown_symbol_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownSymbolError, match="supported: BTC-USDT, ETH-USDT, ETH-BTC"):
        harness().fault(type="halt", symbol="DOGE-USDT")


# Scenarios


def test_a_scenario_plays_its_faults_at_their_times(tmp_path: Path) -> None:
    text = """
steps:
  - {at: 5s, type: crash, percent: 20, over: 2s}
  - {at: 3s, type: reject, match: POST *, reason: MIN_NOTIONAL, times: 2}
  - {at: 20s, type: calm}
"""
    made = harness(scenario=write(tmp_path / "s.yaml", text))
    made.wait(1)
    before = made.last()
    made.wait(1.5)
    assert list(made.venue.board) == []
    made.wait(1)
    assert [a.fault.type for a in made.venue.board] == ["reject"]
    made.wait(5)
    assert made.last() < before * Decimal("0.83")
    made.wait(17)
    assert list(made.venue.board) == []
    assert made.last() > before * Decimal("0.95")


def test_the_example_scenario_is_one() -> None:
    path = Path(__file__).parents[2] / "docs" / "examples" / "exchange-scenario.yaml"
    assert len(read_scenario(path, symbols=("BTC-USDT", "ETH-USDT", "ETH-BTC"))) > 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "s.yaml: Input should be a valid dictionary"),
        ("steps: []", "s.yaml: steps: Tuple should have at least 1 item"),
        ("steps: [{at: 1s, type: crash}]", "s.yaml: steps.0.crash.percent: Field required"),
        ("steps: [{type: calm}]", "steps.0.at: Field required"),
        ("steps: [{at: later, type: calm}]", "steps.0.at: a duration is a text"),
        ("steps: [{at: 1s, type: boom}]", "steps.0.type: 'boom' is not a fault"),
        (
            "steps: [{at: -1s, type: calm}]",
            "steps.0.at: Input should be greater than or equal to 0",
        ),
        ("steps: [{at: 1s, type: halt, symbol: X}]", "step 1: no symbol 'X'; supported: BTC-USDT"),
        ("steps: [\n{", "s.yaml:2: is not YAML"),
        ("a: " + "[" * 3000, "is nested too deeply"),
        ("steps: " + "[" * 10_000 + "]" * 10_000, "s.yaml: is nested too deeply"),
        ("steps: " + "{a: " * 10_000 + "1" + "}" * 10_000, "s.yaml: is nested too deeply"),
        ("- " * 10_000 + "a", "s.yaml: is nested too deeply"),
        ("steps: [\0]", "s.yaml: is not YAML: special characters are not allowed at position 8"),
        ("steps: 2026-13-01", "s.yaml: is not YAML: a number, a date or a tagged value"),
        ("steps: " + "9" * 5000, "s.yaml: is not YAML: a number"),
        ("steps: !!int x", "s.yaml: is not YAML: a number"),
        ("steps: !!int ''", "s.yaml: is not YAML: a number"),
        ("steps: !!bool x", "s.yaml: is not YAML: a number"),
        ("steps: !!timestamp x", "s.yaml: is not YAML: a number"),
        (r'"\UFFFFFFFF"', "s.yaml: is not YAML: a number"),
        (r'"a\nb": 1', r"a\nb: Extra inputs are not permitted"),
        (r'steps: [{at: 1s, type: "a\nb"}]', r"steps.0.type: 'a\nb' is not a fault"),
        (f"{'a' * 500}: 1", f"{'a' * 60}...: Extra inputs"),
        ("steps:\n" + "- {at: 1s, type: boom}\n" * 500, "; and 491 more"),
    ],
)
def test_a_bad_scenario_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(write(tmp_path / "s.yaml", text), symbols=("BTC-USDT",))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 5000
