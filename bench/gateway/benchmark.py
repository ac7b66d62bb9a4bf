"""What the gateway adds to each order, and what a gateway costs whose bot does nothing."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.common.peer import build
from bench.common.processes import Usage, usage_of
from bench.common.series import Measured, Say, Series, quantile
from bench.common.simulated_binance import simulated_binance
from bench.gateway import report
from bench.gateway.load import Bot, send
from bench.gateway.servers import Way, direct, peer
from bench.gateway.servers import gateway as running_gateway


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of orders, for each way in each round."""
    idle_seconds: float
    rate: float = 200.0
    """Orders a second."""


FULL = Plan(rounds=10, seconds=10, idle_seconds=60)
QUICK = Plan(rounds=2, seconds=3, idle_seconds=5)


@dataclass
class Orders:
    """What was measured of a way: latencies in milliseconds, CPU time of its process."""

    p50: Series = field(default_factory=Series)
    p99: Series = field(default_factory=Series)
    cpu_us: Series = field(default_factory=Series)
    all: list[float] = field(default_factory=list)

    def add(self, latencies: list[float], cpu_seconds: float) -> None:
        """Add a round."""
        self.all += latencies
        for series, share in ((self.p50, 50), (self.p99, 99)):
            series.values.append(quantile(latencies, share))
            series.whole = quantile(self.all, share)
        self.cpu_us.values.append(cpu_seconds / len(latencies) * 1e6)

    def measured(self) -> Measured:
        """Return the series by name."""
        return {"p50_ms": self.p50, "p99_ms": self.p99, "cpu_us_per_order": self.cpu_us}


def gateway(*, quick: bool, results: Path, say: Say) -> None:
    """Measure all ways in turn, print the table, and write the record unless `quick`."""
    plan = QUICK if quick else FULL
    (program,), go_version = build(("gateway",), title="the proxy in Go, once")
    with tempfile.TemporaryDirectory(prefix="tradingbot-bench-") as directory:
        with simulated_binance() as (exchange, _):
            idle = _idle(exchange, Path(directory), plan, say)
        with simulated_binance() as (exchange, _), ExitStack() as stack:
            ways = (
                direct(exchange),
                stack.enter_context(peer(program, exchange)),
                stack.enter_context(running_gateway(exchange, Path(directory, "plain"))),
                stack.enter_context(
                    running_gateway(exchange, Path(directory, "ledger"), ledger=True)
                ),
            )
            orders = _orders(ways, exchange, plan, say)
    record = report.record(
        orders={name: found.measured() for name, found in orders.items()},
        idle=idle,
        method={
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "orders_per_second": plan.rate,
            "idle_seconds": plan.idle_seconds,
        },
        go_version=go_version,
    )
    sys.stdout.write(report.table(record))
    if not quick:
        results.mkdir(exist_ok=True)
        (results / "gateway.json").write_text(json.dumps(record, indent=2) + "\n")


def _orders(ways: tuple[Way, ...], exchange: int, plan: Plan, say: Say) -> Mapping[str, Orders]:
    """Measure the ways in turn, in another order in each round: a disturbance affects all alike."""
    found = {way.name: Orders() for way in ways}
    for number in range(-1, plan.rounds):
        say(f"orders, round {number + 1} of {plan.rounds}" if number >= 0 else "orders, to warm up")
        for turn in range(len(ways)):
            way = ways[(number + turn) % len(ways)]
            bot = Bot.of(way, exchange, f"{way.name[:4].strip()}-{number + 1}")
            before = _cpu(way)
            latencies = send(bot, rate=plan.rate, seconds=plan.seconds if number >= 0 else 1)
            if number >= 0:
                found[way.name].add(latencies, _cpu(way) - before)
    return found


def _idle(exchange: int, directory: Path, plan: Plan, say: Say) -> Measured:
    """Measure starts, and then a gateway whose bot does nothing."""
    say("starts of the gateway")
    ready = Series()
    for number in range(plan.rounds):
        with running_gateway(exchange, directory / f"start-{number}") as way:
            ready.values.append(way.ready_seconds)
    say("an idle gateway")
    with running_gateway(exchange, directory / "idle") as way:
        time.sleep(plan.idle_seconds / 10)
        before = _cpu(way)
        time.sleep(plan.idle_seconds)
        core = (_cpu(way) - before) / plan.idle_seconds
        memory, proportional = _resident_mb(way), _usage(way).pss_mb
    return {
        "ready_seconds": ready,
        "idle_core": Series([core]),
        "memory_mb": Series([memory]),
        "memory_pss_mb": Series([proportional]),
    }


def _cpu(way: Way) -> float:
    return _usage(way).cpu_seconds


def _usage(way: Way) -> Usage:
    return Usage(0.0, 0.0, 0.0, 0) if way.pid is None else usage_of(way.pid)


def _resident_mb(way: Way) -> float:
    status = Path(f"/proc/{way.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024
