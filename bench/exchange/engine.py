"""The matching engine alone: orders a second on one core, and the time of single orders."""

import gc
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from time import process_time, thread_time_ns

from bench.common.series import Measured, Say, Series
from bench.exchange.workload import full_book, play, steps

RESTING = (10, 1_000, 100_000)
"""Orders that are in the book before the measurement begins."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    orders: int
    """Of the engine alone, in each round, like the next two."""
    rest_orders: int
    """Through REST, on all connections together. Each has a multiple of ten."""
    rest_alone: int
    """Through REST, on one connection."""


FULL = Plan(rounds=5, orders=20_000, rest_orders=4_800, rest_alone=2_500)
QUICK = Plan(rounds=2, orders=5_000, rest_orders=1_200, rest_alone=600)


def measure_engine(plan: Plan, say: Say) -> dict[int, Measured]:
    """Measure with each number of resting orders.

    Times are CPU times: what else runs on the machine takes time, but not this process's CPU time.
    Rounds for the throughput read the clock twice; rounds for the latencies twice for each order.
    """
    return {resting: _measure(resting, plan, say) for resting in RESTING}


def _measure(resting: int, plan: Plan, say: Say) -> Measured:
    say(f"the engine with {resting:,} resting orders")
    measured: Measured = {
        name: Series() for name in ("orders_per_second", "p50_us", "p99_us", "slowest_us")
    }
    for number in range(plan.rounds):
        requests = steps(plan.orders, Random(number))
        engine = full_book(resting, Random(number))
        gc.collect()
        begin = process_time()
        deque(play(engine, requests), maxlen=0)
        measured["orders_per_second"].values.append(plan.orders / (process_time() - begin))

        engine = full_book(resting, Random(number))
        gc.collect()
        times = sorted(_times(play(engine, requests)))
        measured["p50_us"].values.append(times[len(times) // 2] / 1000)
        measured["p99_us"].values.append(times[len(times) * 99 // 100] / 1000)
        measured["slowest_us"].values.append(times[-1] / 1000)
    return measured


def _times(requests: Iterator[None]) -> list[int]:
    times: list[int] = []
    while True:
        begin = thread_time_ns()
        done = next(requests, _END)
        end = thread_time_ns()
        if done is _END:
            return times
        times.append(end - begin)


_END = object()
