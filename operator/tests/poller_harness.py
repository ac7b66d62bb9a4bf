"""A poller in fake time, with its bots and its notifications."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from operator_harness import NOW, cancelled, in_fake_time
from risk_bots import report
from tradingbot_api.contract import RiskReport
from tradingbot_api.gateway_state import GatewayNotice
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.risk.answer import NoReportError
from tradingbot_operator.risk.client import Peer
from tradingbot_operator.risk.daily_loss import FRESH, PollState, PollSubscription, RiskTerms
from tradingbot_operator.risk.poller import RiskPoller
from tradingbot_operator.settings import OperatorSettings

A, B = NamespacedName("desk", "a"), NamespacedName("desk", "b")
EVERY = 5.0
TERMS = RiskTerms(Decimal(200), Decimal(1000), 2, time_zone="UTC", day_start="00:00")

Answer = Callable[[float], RiskReport | NoReportError | None]
"""Returns the answer of a bot at a time of the event loop; None for no answer."""

DEAD = NoReportError("unreachable", "no connection: Connection refused", silent=True)
BUSY = NoReportError("http_error", "it answered with HTTP 503")
FLOOD = NoReportError("excessive", "it sends interim answers without end")
BAD = NoReportError("invalid", "dayPnL of its report is missing")


def clock() -> datetime:
    """Return the wall clock of an event loop in fake time."""
    return NOW + timedelta(seconds=asyncio.get_running_loop().time())


def fresh(_: float = 0) -> RiskReport:
    return report(clock())


def at(times: list[float]) -> list[float]:
    return [round(time, 2) for time in times]


class Bots:
    """Bots in fake time. A poll without an answer takes as long as its time-out."""

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.polls: list[tuple[str, float]] = []
        self.urls: list[str] = []
        self.kept: list[bool] = []
        self.now = 0
        self.most = 0
        self.notice: GatewayNotice | None = None
        self.open: set[str] = set()
        """The URLs that may have an open connection."""

    def peer(self, url: str) -> Peer:
        self.open.add(url)
        return _Peer(self, url)

    async def report(self, url: str, *, keep: bool) -> RiskReport:
        assert url in self.open
        name, time = url.rpartition("/")[2], asyncio.get_running_loop().time()
        self.polls.append((name, time))
        self.urls.append(url)
        self.kept.append(keep)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            answer = self.answers.get(name, fresh)(time)
            if answer is None:
                await asyncio.sleep(2.0)
                raise NoReportError("timeout", "no answer within 2 s", silent=True)
        finally:
            self.now -= 1
        if isinstance(answer, NoReportError):
            raise answer
        return answer

    def times(self, name: str) -> list[float]:
        return [time for who, time in self.polls if who == name]


@dataclass
class _Peer:
    bots: Bots
    url: str

    @property
    def notice(self) -> GatewayNotice | None:
        return self.bots.notice

    @notice.setter
    def notice(self, notice: GatewayNotice | None) -> None:
        self.bots.notice = notice

    async def report(self, *, keep: bool) -> RiskReport:
        return await self.bots.report(self.url, keep=keep)

    def close(self) -> None:
        self.bots.open.discard(self.url)


async def in_this_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the polling in the event loop of the test instead of a thread."""
    await main()


class PollerHarness:
    """A poller with its bots and a record of its notifications."""

    def __init__(
        self,
        answers: dict[str, Answer] | None = None,
        *,
        chance: float = 0.0,
        risk_url: str = "http://127.0.0.1/{namespace}/{name}",
    ) -> None:
        self.bots = Bots(answers)
        self.changes: list[tuple[str, float]] = []
        self.poller = RiskPoller(
            OperatorSettings(risk_url=risk_url, risk_interval=EVERY),
            clock=clock,
            changed=self._changed,
            peer=self.bots.peer,
            chance=lambda: chance,
            monotonic=lambda: asyncio.get_running_loop().time(),
            beside=in_this_loop,
        )

    def _changed(self, key: NamespacedName) -> None:
        # What a poll brings is handed over with what else came in GATHER_SECONDS.
        self.changes.append((key.name, round(asyncio.get_running_loop().time(), 1)))

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.poller.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            await cancelled(task)

    def run(self, seconds: float) -> None:
        async def main() -> None:
            async with self.polling():
                await asyncio.sleep(seconds)

        in_fake_time(main())


def positions(seen: PollState, _: datetime) -> Hashable:
    """Return a fingerprint: the open positions of a bot."""
    return None if seen.report is None else seen.report.open_positions


def staleness(seen: PollState, now: datetime) -> Hashable:
    return seen.report is None or now - seen.report.time > FRESH


def watching(
    fingerprint: Callable[[PollState, datetime], Hashable] = lambda *_: None,
    known: Hashable = None,
    address: str = "",
) -> PollSubscription:
    return PollSubscription(
        terms=TERMS, address=address, fingerprint=fingerprint, last_fingerprint=known
    )


def harness_of(
    *answers: Answer, watch: PollSubscription | None = None, chance: float = 0.0
) -> PollerHarness:
    """Return a harness that polls bots a, b, c and so on."""
    names = [chr(ord("a") + number) for number in range(len(answers))]
    harness = PollerHarness(dict(zip(names, answers, strict=True)), chance=chance)
    for name in names:
        harness.poller.subscribe(NamespacedName("desk", name), watch or watching())
    return harness
