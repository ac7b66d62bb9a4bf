"""The market's clock, and how far it goes in one call."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_exchange.clock import MarketClock, first_anchor, next_anchor
from tradingbot_exchange.simulated import MAX_STEPS
from venue_samples import START, Clock, harness

SPEEDS = st.decimals("0.1", "1000", places=1)


@given(SPEEDS, st.lists(st.integers(-10_000, 10_000), max_size=20))
def test_the_markets_time_never_goes_back_even_if_the_real_clock_does(
    speed: Decimal, moves: list[int]
) -> None:
    wall = Clock()
    clock = MarketClock(wall, first_anchor(wall(), speed))
    latest = clock.now()
    for move in moves:
        wall.time += move
        assert clock.now() >= latest
        latest = clock.now()


@given(SPEEDS, st.integers(0, 10**8))
def test_speed_multiplies_elapsed_time(speed: Decimal, elapsed: int) -> None:
    wall = Clock()
    clock = MarketClock(wall, first_anchor(wall(), speed))
    wall.time += elapsed
    assert clock.now() == START + int(elapsed * speed)


@given(SPEEDS, SPEEDS, st.integers(0, 10**8), st.integers(-(10**6), 10**8))
def test_a_restart_never_sets_the_market_back(
    speed: Decimal, other: Decimal, ran: int, pause: int
) -> None:
    wall = Clock()
    anchor = first_anchor(wall(), speed)
    wall.time += ran
    latest = MarketClock(wall, anchor).now()
    wall.time += pause
    again = next_anchor(anchor, wall=wall(), speed=other, latest=latest)
    assert MarketClock(wall, again, latest=latest).now() >= latest


@pytest.mark.parametrize("speed", ["1", "60", "1000"])
def test_clients_see_the_real_time_at_any_speed(speed: str) -> None:
    made = harness(speed=Decimal(speed))
    made.clock.time += 10_000
    assert made.venue.client_time() == made.clock.time
    assert made.venue.now() == START + 10_000 * int(speed)


def test_a_long_pause_costs_a_bounded_number_of_steps() -> None:
    made = harness()
    made.wait(1)
    steps: list[int] = []
    run = made.venue._run_step
    made.venue._run_step = lambda step: (steps.append(step), run(step))[1]  # type: ignore[method-assign, func-returns-value]
    made.clock.time += 30 * 24 * 3_600_000
    made.venue.advance()
    assert len(steps) == MAX_STEPS
    assert steps == sorted(set(steps))
    assert steps[-1] == made.venue.market.step_of(made.clock.time)
    made.venue.advance()
    assert len(steps) == MAX_STEPS
