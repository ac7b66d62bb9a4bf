"""Asks every running bot for its risk, all the time, and tells when an answer means a change.

It stands apart from the reconcile loop: a reconcile never waits for a bot, and a bot that is slow
or dead delays neither a reconcile nor another bot. Polls are spread over the interval, each bot
keeping its own moment in it. A bot that does not answer is asked less and less often; one that
answers, even with an error, is asked as often as ever, since it may be starting up.
"""

import asyncio
import logging
import random
import resource
import sys
from collections import Counter as Tally
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from tradingbot_api.contract import RiskReport

from tradingbot_operator.risk import Seen, Watch
from tradingbot_operator.risk_client import NoReportError, Result, RiskClient
from tradingbot_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

Key = tuple[str, str]

LOOK_SECONDS = 5.0
"""A report grows old without any poll; so each bot is looked at this often."""

LOOK_FOR = 60.0
"""For so long after a report, or the start: by then a report is old, and silence is told."""

LONGEST_PAUSE = 60.0
JITTER = 0.2
"""Up to this part of a pause is left out, so that bots that fell silent together don't stay so."""

MOST_AT_ONCE = 2500
"""Enough for 5,000 bots of which none answers: each holds a place for the 2 s of its time-out."""

LATE = 0.5
"""Seconds. A poll that could begin only so much later is left out, and the bot asked at another
time: the process has stood still, or has more to do than it can. To go on as if nothing were would
make polls run into their time-out by its own fault, and cost still more."""

FILES_FOR_OTHERS = 512
"""File descriptors that are left to the rest of the operator."""


class Client(Protocol):
    """How a bot is asked."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *exc_info: object) -> None: ...

    async def report(self, url: str, *, keep: bool) -> RiskReport:
        """The bot's report; raises NoReportError."""


@dataclass(frozen=True)
class PollCounts:
    """How the polling goes as a whole."""

    results: dict[Result, int]
    bots: int
    backed_off: int
    """Bots that are asked less often, since they don't answer."""
    oldest: float
    """Seconds since the last poll of the bot for which that is longest; 0 without any."""


@dataclass(eq=False)
class _Bot:
    """A bot that is polled. Times are the loop's."""

    key: Key
    url: str
    watch: Watch
    known: Hashable
    seen: Seen = field(default_factory=Seen)
    silent: int = 0
    """Polls in a row that it has not answered."""
    due: float = 0.0
    polled: float = 0.0
    looked_at_until: float = 0.0
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None


class RiskPoller:
    """Polls the bots that it is told to watch. `changed` is called when what is known of a bot has
    come to mean something else than what its last reconcile acted on: once for each change."""

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        clock: Callable[[], datetime],
        changed: Callable[[Key], None],
        client: Client | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._template = settings.risk_url
        self._interval = settings.risk_interval
        self._clock = clock
        self._changed = changed
        self._chance = chance
        self._client = client or RiskClient(
            timeout=settings.risk_timeout,
            idle=2 * settings.risk_interval + settings.risk_timeout,
        )
        self._bots: dict[Key, _Bot] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._results: Tally[Result] = Tally()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._files = 0

    def watch(self, key: Key, watch: Watch) -> None:
        """Poll the bot from now on, on these terms; what it has said so far stays known."""
        bot = self._bots.get(key)
        if bot is None:
            bot = self._bots[key] = _Bot(key, self._url(key), watch, watch.known)
            self._begin(bot)
        bot.watch, bot.known = watch, watch.known

    def drop(self, key: Key) -> None:
        """The bot does not run: no poll, no gauges, nothing remembered."""
        bot = self._bots.pop(key, None)
        if bot is None:
            return
        _cancel_timer(bot)
        if bot.task is not None:
            bot.task.cancel()

    def seen(self, key: Key) -> Seen:
        """What the polls of the bot have said."""
        bot = self._bots.get(key)
        return Seen() if bot is None else bot.seen

    def seen_all(self) -> Iterator[tuple[Key, Watch, Seen]]:
        """The same of all bots that are polled, and how they are."""
        for bot in list(self._bots.values()):
            yield bot.key, bot.watch, bot.seen

    def counts(self) -> PollCounts:
        """How the polling goes as a whole. May be asked for in any thread, as `seen_all` may."""
        now = self._loop.time() if self._loop is not None else 0.0
        bots = list(self._bots.values())
        return PollCounts(
            results=dict(self._results),
            bots=len(bots),
            backed_off=sum(bot.silent > 1 for bot in bots),
            oldest=max((now - bot.polled for bot in bots), default=0.0) if self._loop else 0.0,
        )

    async def run(self) -> None:
        """Poll until cancelled."""
        async with self._client:
            self._loop = asyncio.get_running_loop()
            self._files = _files_to_use()
            for bot in self._bots.values():
                self._begin(bot)
            try:
                await self._loop.create_future()
            finally:
                await self._stop()

    async def _stop(self) -> None:
        self._loop = None
        for bot in self._bots.values():
            _cancel_timer(bot)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _url(self, key: Key) -> str:
        namespace, name = key
        return self._template.replace("{namespace}", namespace).replace("{name}", name)

    def _begin(self, bot: _Bot) -> None:
        """The first poll, at a moment of the bot's own within the interval."""
        if self._loop is not None:
            bot.polled = self._loop.time()
            bot.looked_at_until = bot.polled + LOOK_FOR
            bot.due = bot.polled + self._chance() * self._interval
            self._arm(bot)

    def _arm(self, bot: _Bot) -> None:
        """Set the timer for the bot's next poll, or for a look at it if that comes first."""
        if self._loop is None or self._bots.get(bot.key) is not bot:
            return  # stopped, or dropped
        soon = self._loop.time() + LOOK_SECONDS
        if bot.due <= soon or soon > bot.looked_at_until:
            bot.timer = self._loop.call_at(bot.due, self._start, bot)
        else:
            bot.timer = self._loop.call_at(soon, self._glance, bot)

    def _glance(self, bot: _Bot) -> None:
        self._compare(bot)
        self._arm(bot)

    def _start(self, bot: _Bot) -> None:
        bot.timer = None
        if self._loop is None:
            return
        now = self._loop.time()
        if now - bot.due > LATE or len(self._tasks) >= min(MOST_AT_ONCE, self._files):
            bot.due = now + (1 - self._chance() / 2) * self._interval
            self._glance(bot)
            return
        bot.task = self._loop.create_task(self._poll(bot))
        self._tasks.add(bot.task)
        bot.task.add_done_callback(self._tasks.discard)

    async def _poll(self, bot: _Bot) -> None:
        loop = asyncio.get_running_loop()
        result: Result = "ok"
        try:
            report = await self._client.report(bot.url, keep=len(self._bots) <= self._files)
        except NoReportError as error:
            result = error.result
            bot.seen = replace(bot.seen, problem=str(error))
            bot.silent = bot.silent + 1 if error.silent else 0
        except Exception:
            # A defect, but one bot's: it must not end the polling of all.
            logger.exception("polling %s failed", bot.key)
            result = "invalid"
            bot.seen = replace(bot.seen, problem="the operator failed at its answer; see its log")
        else:
            bot.seen = Seen(report=report, received=self._clock())
            bot.silent = 0
            bot.looked_at_until = loop.time() + LOOK_FOR
        self._results[result] += 1
        bot.polled = loop.time()
        bot.due = self._next(bot)
        bot.task = None
        self._compare(bot)
        self._arm(bot)

    def _next(self, bot: _Bot) -> float:
        """When the bot's next poll is due."""
        if bot.silent:
            pause = self._interval * 2.0 ** min(bot.silent - 1, 20)
            pause = min(pause, max(LONGEST_PAUSE, self._interval))
            return bot.polled + pause * (1 - JITTER * self._chance())
        return bot.due + self._interval

    def _compare(self, bot: _Bot) -> None:
        """Tell if what is known of the bot means something else than its reconcile knows."""
        try:
            meaning = bot.watch.meaning(bot.seen, self._clock())
            if meaning != bot.known:
                bot.known = meaning
                self._changed(bot.key)
        except Exception:
            logger.exception("what is known of %s has no meaning", bot.key)


def _files_to_use() -> int:
    """How many file descriptors the poller may hold, of those that the process may have."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(limit - FILES_FOR_OTHERS, limit // 2)


def _cancel_timer(bot: _Bot) -> None:
    if bot.timer is not None:
        bot.timer.cancel()
        bot.timer = None
