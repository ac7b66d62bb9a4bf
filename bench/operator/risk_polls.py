"""Measure the polls of many bots: the operator's poller, and a process that simulates all bots.

Each bot has its own address in 127.0.0.0/8, so that no connection is shared.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import uvloop
from prometheus_client import CollectorRegistry, generate_latest
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.risk.daily_loss import (
    PollState,
    PollSubscription,
    RiskTerms,
    StoredRisk,
    assess,
    fingerprint,
)
from tradingbot_operator.risk.gauges import BotGauges
from tradingbot_operator.risk.poller import RiskPoller
from tradingbot_operator.settings import OperatorSettings

TERMS = RiskTerms(Decimal(200), Decimal(1000), 1, time_zone="UTC", day_start="00:00")
MINUTE = timedelta(minutes=1)
PER_NETWORK = 250


def measure(bots: int = 5000, seconds: float = 30) -> dict[str, float]:
    """Return the CPU cores, polls per second, and ages of reports in seconds for `bots` bots.

    The first poll of each bot opens a connection and is not counted. Raises RuntimeError if more
    than one poll in a hundred failed, since then the numbers mean nothing.
    """
    _allow_files(bots + 1000)
    with _simulated(bots) as port:
        settings = OperatorSettings(risk_url=f"http://{{ip}}:{port}/risk")
        run = _Run(settings, bots)
        asyncio.run(run.go(seconds))
    ages = sorted(run.ages)
    return {
        "bots": bots,
        "seconds": round(run.seconds, 1),
        "failed_polls": run.failed,
        "polls_per_second": round(run.polls / run.seconds, 1),
        "cpu_cores": round(run.cpu / run.seconds, 4),
        "cpu_us_per_poll": round(run.cpu / run.polls * 1e6, 1),
        "p50_age": round(ages[len(ages) // 2], 3),
        "p99_age": round(ages[len(ages) * 99 // 100], 3),
        "max_age": round(ages[-1], 3),
        "scrape_ms": round(run.scrape * 1e3, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


@dataclass
class _Run:
    """A run of the poller, and its measurements."""

    settings: OperatorSettings
    bots: int
    polls: int = 0
    failed: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    scrape: float = 0.0
    ages: list[float] = field(default_factory=list)

    async def go(self, seconds: float) -> None:
        """Warm up for two intervals, then measure."""
        poller = RiskPoller(self.settings, clock=_now, changed=lambda _: None)
        since = _now()

        def means(seen: PollState, now: datetime) -> object:
            risk = assess(TERMS, StoredRisk(), seen, now, figures_every=MINUTE)
            return fingerprint(risk, since, now)

        for number in range(self.bots):
            address = _address(number)
            watch = PollSubscription(
                terms=TERMS, address=address, fingerprint=means, last_fingerprint=None
            )
            poller.subscribe(NamespacedName("bench", address), watch)
        polling = asyncio.create_task(poller.run())
        await asyncio.sleep(2 * self.settings.risk_interval)
        begun, cpu = time.monotonic(), time.process_time()
        before = Counter(poller.counts().results)
        await asyncio.sleep(seconds)
        self.cpu, self.seconds = time.process_time() - cpu, time.monotonic() - begun
        results = Counter(poller.counts().results) - before
        now = _now()
        for _, _, seen in poller.states():
            if seen.received is not None:
                self.ages.append((now - seen.received).total_seconds())
        self.polls, self.failed = results["ok"], results.total() - results["ok"]
        self.scrape = _scrape(poller)
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
        if self.failed * 100 > self.polls or len(self.ages) < self.bots:
            raise RuntimeError(f"{len(self.ages)} of {self.bots} bots reported; polls: {results}")


def _scrape(poller: RiskPoller) -> float:
    """Return the seconds that rendering all gauges takes."""
    registry = CollectorRegistry()
    registry.register(BotGauges(poller, clock=_now))
    begun = time.perf_counter()
    generate_latest(registry)
    return time.perf_counter() - begun


def _now() -> datetime:
    return datetime.now(UTC)


def _address(number: int) -> str:
    network, host = divmod(number, PER_NETWORK)
    return f"127.{1 + network // PER_NETWORK}.{network % PER_NETWORK}.{1 + host}"


def _allow_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise RuntimeError(f"the benchmark needs {number} open files, and the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))


@contextmanager
def _simulated(bots: int) -> Iterator[int]:
    """Run a process that answers for all bots, and yield its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.operator.risk_polls", str(bots)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


class _Bot(asyncio.Protocol):
    """Answers every request with a current report."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.write(_answer(_now()))


def _answer(now: datetime) -> bytes:
    report = {
        "tradingDay": now.date().isoformat(),
        "dayPnL": "-12.5",
        "openPositions": 1,
        "exposure": "950",
        "configHash": "3f1c0de9a2b45678",
        "time": now.isoformat(),
    }
    body = json.dumps(report).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Bot, "0.0.0.0", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    _allow_files(int(sys.argv[1]) + 100)
    uvloop.run(_serve())
