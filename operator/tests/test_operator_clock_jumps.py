"""A clock that is set is noticed, in both directions; a clock that runs is not."""

import asyncio
from datetime import datetime, timedelta

import pytest
from operator_harness import NOW, in_fake_time
from tradingbot_operator.schedule.clock_jumps import INTERVAL, watch_for_clock_jumps


def steps_noticed(step: float, *, drift: float = 0.0) -> int:
    """Return how often it is noticed that a clock is set by `step` seconds after a minute."""

    async def scenario() -> int:
        loop = asyncio.get_running_loop()
        noticed: list[float] = []

        def clock() -> datetime:
            moved = step if loop.time() > 60 else 0.0
            return NOW + timedelta(seconds=loop.time() * (1 + drift) + moved)

        watching = asyncio.create_task(
            watch_for_clock_jumps(clock, lambda: noticed.append(loop.time()))
        )
        await asyncio.sleep(120)
        watching.cancel()
        assert all(60 < time <= 60 + 2 * INTERVAL for time in noticed)
        return len(noticed)

    return in_fake_time(scenario())


@pytest.mark.parametrize("step", [-86400.0, -3600.0, -2.0, 2.0, 3600.0, 86400.0])
def test_a_step_is_noticed_once(step: float) -> None:
    assert steps_noticed(step) == 1


@pytest.mark.parametrize("drift", [-0.01, 0.0, 0.01])
def test_a_clock_that_runs_a_little_fast_or_slow_is_no_step(drift: float) -> None:
    assert steps_noticed(0.0, drift=drift) == 0
