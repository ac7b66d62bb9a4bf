"""What holds after every call: see CheckedEngine."""

from random import Random

import pytest
from engine_random import RandomCalls
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("seed", range(8))
def test_many_random_calls_break_no_invariant(seed: int) -> None:
    calls = RandomCalls(Random(seed))
    for _ in range(120):
        calls.step()


@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False), steps=st.integers(1, 30))
def test_random_calls_from_the_start_break_no_invariant(random: Random, steps: int) -> None:
    """The same calls, drawn by hypothesis, which looks for a short example of a failure."""
    calls = RandomCalls(random)
    for _ in range(steps):
        calls.step()
