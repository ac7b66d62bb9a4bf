"""A poller in fake time: its bots, and what it tells."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

from operator_harness import NOW, in_fake_time
from risk_bots import report
from tradingbot_api.contract import RiskReport
from tradingbot_operator.risk import FRESH, Seen, Watch
from tradingbot_operator.risk_client import NoReportError
from tradingbot_operator.risk_poller import Client, RiskPoller
from tradingbot_operator.settings import OperatorSettings

A, B = ("desk", "a"), ("desk", "b")
EVERY = 5.0

Answer = Callable[[float], RiskReport | NoReportError | None]
"""What a bot answers at a time of the loop; None: nothing."""

DEAD = NoReportError("unreachable", "no connection: Connection refused", silent=True)
BUSY = NoReportError("http_error", "it answered with HTTP 503")
BAD = NoReportError("invalid", "dayPnL of its report is missing")


def clock() -> datetime:
    """The wall clock of a loop of fake time."""
    return NOW + timedelta(seconds=asyncio.get_running_loop().time())


def fresh(_: float = 0) -> RiskReport:
    return report(clock())


def at(times: list[float]) -> list[float]:
    return [round(time, 2) for time in times]


class Bots(Client):
    """Bots in fake time. A poll of one that answers nothing lasts for the time-out."""

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.polls: list[tuple[str, float]] = []
        self.kept: list[bool] = []
        self.now = 0
        self.most = 0
        self.is_open = False

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False

    async def report(self, url: str, *, keep: bool) -> RiskReport:
        assert self.is_open
        name, time = url.rpartition("/")[2], asyncio.get_running_loop().time()
        self.polls.append((name, time))
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


class Desk:
    """A poller, its bots, and what it tells."""

    def __init__(self, answers: dict[str, Answer] | None = None, *, chance: float = 0.0) -> None:
        self.bots = Bots(answers)
        self.changes: list[tuple[str, float]] = []
        self.poller = RiskPoller(
            OperatorSettings(risk_url="http://{namespace}/{name}", risk_interval=EVERY),
            clock=clock,
            changed=self._changed,
            client=self.bots,
            chance=lambda: chance,
        )

    def _changed(self, key: tuple[str, str]) -> None:
        self.changes.append((key[1], round(asyncio.get_running_loop().time(), 2)))

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.poller.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def run(self, seconds: float) -> None:
        async def main() -> None:
            async with self.polling():
                await asyncio.sleep(seconds)

        in_fake_time(main())


def positions(seen: Seen, _: datetime) -> Hashable:
    """A meaning: what a bot holds."""
    return None if seen.report is None else seen.report.open_positions


def staleness(seen: Seen, now: datetime) -> Hashable:
    return seen.report is None or now - seen.report.time > FRESH


def watching(
    meaning: Callable[[Seen, datetime], Hashable] = lambda *_: None, known: Hashable = None
) -> Watch:
    return Watch(limit=Decimal(200), meaning=meaning, known=known)


def desk_of(*answers: Answer, watch: Watch | None = None, chance: float = 0.0) -> Desk:
    """A desk that watches the bots a, b, c..."""
    names = [chr(ord("a") + number) for number in range(len(answers))]
    desk = Desk(dict(zip(names, answers, strict=True)), chance=chance)
    for name in names:
        desk.poller.watch(("desk", name), watch or watching())
    return desk
