"""What holds after every call: see CheckedEngine."""

from collections.abc import Callable
from decimal import Decimal
from random import Random

import pytest
from engine_random import ACCOUNTS, ASSETS, INSTRUMENTS, RandomCalls
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    BalanceEvent,
    BookEvent,
    Event,
    RefusedError,
    TradeEvent,
)


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


@pytest.mark.parametrize("seed", range(4))
def test_a_quiet_engine_does_the_same_and_says_less(seed: int) -> None:
    random = Random(seed)
    requests = RandomCalls(random)
    engines = Engine(INSTRUMENTS), Engine(INSTRUMENTS, quiet=True)
    for engine in engines:
        for account in ACCOUNTS:
            for asset in ASSETS:
                engine.deposit(account, asset, Decimal(20), now=0)

    def both(call: Callable[[Engine], tuple[object, list[Event]]]) -> None:
        said = []
        for engine in engines:
            try:
                said.append(call(engine)[1])
            except RefusedError as error:
                said.append([error.reason])
        loud, quiet = said
        public = BookEvent | BalanceEvent | TradeEvent
        assert quiet == [event for event in loud if not isinstance(event, public)]

    for now in range(300):
        account, request = random.choice(ACCOUNTS), requests.request(requests.kind())
        both(lambda e: e.submit(account, request, now=now))  # noqa: B023
        if now % 3 == 0:
            price = requests.price()
            both(lambda e: ((), e.trade_through("A-B", price, now=now)))  # noqa: B023
        if found := engines[0].open_orders(account):
            number = random.choice(found).id
            both(lambda e: e.cancel(account, number, now=now))  # noqa: B023
    for account in ACCOUNTS:
        assert engines[0].balances(account) == engines[1].balances(account)
        assert engines[0].orders(account) == engines[1].orders(account)
        assert engines[0].fills(account) == engines[1].fills(account)
    assert any(engines[0].fills(account) for account in ACCOUNTS)
