"""Decides when each bot is polled, and polls it. Runs in the event loop of the polling thread.

Polls are spread over the interval, and each bot keeps its own moment in it:

    the bot                                    is polled
    answers, even with an error                once in each interval: it may be starting
    does not answer                            less and less often, up to once a minute
    has exceeded the limits of an answer       less often for a while, also if it answers well now
"""

import asyncio
import logging
import random
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from tradingbot_api.contract import RiskReport
from tradingbot_api.gateway_state import GatewayNotice
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.risk.answer import NoReportError, Result
from tradingbot_operator.risk.client import Peer
from tradingbot_operator.risk.limits import Places, Strikes
from tradingbot_operator.risk.own_thread import Mailbox

logger = logging.getLogger(__name__)

RECHECK_SECONDS = 5.0
"""Without a new report the old one expires, so the fingerprint is computed again this often."""

RECHECK_PERIOD = 60.0
"""Seconds after the last report, or the start, in which that is done: by then it has expired."""

LONGEST_PAUSE = 60.0
PENALTY_PAUSE = 20.0
"""Longest pause of a bot that exceeds the limits and answers well in between. Reports are valid for
30 s, so they follow each other without a gap; with gaps, the status would change all the time."""

JITTER = 0.2
"""Maximum part of a pause that is left out, so that bots that failed together drift apart."""

MAX_CONCURRENT = 2500
"""Enough for 5,000 bots of which none answers: each holds a place for its time-out of 2 s."""

LATE = 0.5
"""Seconds. A poll that starts so much too late is skipped: the process has stood still or is
overloaded. If all delayed polls started at once, they would hit their time-out by the operator's
own fault, and make the overload worse."""

FILES_FOR_OTHERS = 512
"""File descriptors that are reserved for the rest of the operator."""


@dataclass(frozen=True, eq=False, slots=True)
class Target:
    """A bot at an address, until another target of the same bot replaces it."""

    key: NamespacedName
    url: str
    """Empty while the address is unknown."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Ends the polling of a bot."""

    key: NamespacedName


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """The result of a poll, or only a reminder to compute the fingerprint again."""

    target: Target
    result: Result | None = None
    """None for a reminder."""
    report: RiskReport | None = None
    problem: str = ""
    silent: bool = False
    """Whether nothing has answered, and that is not the operator's own fault."""
    at: datetime | None = None
    """When the report came."""
    backed_off: bool = False
    """Whether the bot is polled less often than once in each interval."""
    notice: GatewayNotice | None = None
    """What the gateway of the bot says of itself."""


@dataclass(eq=False)
class _Bot:
    """A polled bot. Times are those of the event loop."""

    target: Target
    peer: Peer | None
    failed: int = 0
    """Consecutive polls that the bot has not answered, or not within the limits."""
    due: float = 0.0
    polled: float = 0.0
    recheck_until: float = 0.0
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The settings of the polling."""

    interval: float
    clock: Callable[[], datetime]
    """May be called in any thread."""
    peer: Callable[[str], Peer]
    """Returns the peer at a URL."""
    chance: Callable[[], float] = random.random


class Polling:
    """Polls the bots that `commands` name, and puts each outcome into `outcomes`."""

    def __init__(self, pace: Pace, outcomes: Mailbox[PollOutcome]) -> None:
        self._pace = pace
        self._outcomes = outcomes
        self.commands: Mailbox[Target | Drop] = Mailbox(self._on_command)
        self._bots: dict[NamespacedName, _Bot] = {}
        self._strikes = Strikes()
        self._tasks: set[asyncio.Task[None]] = set()
        self._files = _usable_files()
        self._places = Places(min(MAX_CONCURRENT, self._files))

    async def run(self) -> None:
        """Poll until cancelled."""
        self._loop = asyncio.get_running_loop()
        self.commands.open()
        try:
            await self._loop.create_future()
        finally:
            self.commands.close()
            for key in list(self._bots):
                self._drop(key)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_command(self, command: Target | Drop) -> None:
        if isinstance(command, Drop):
            self._drop(command.key)
            return
        bot = self._bots.get(command.key)
        if bot is None:
            self._add(command)
        else:
            self._move(bot, command)

    def _add(self, target: Target) -> None:
        """Schedule the first poll at a random moment within the interval."""
        now = self._loop.time()
        bot = _Bot(target, self._peer(target), polled=now, recheck_until=now + RECHECK_PERIOD)
        bot.due = now + self._pace.chance() * self._pace.interval
        self._bots[target.key] = bot
        self._places.enter(target.key.namespace)
        self._schedule(bot)

    def _move(self, bot: _Bot, target: Target) -> None:
        """Poll at another address. Failures at the old one do not count for it."""
        self._disconnect(bot)
        bot.target, bot.peer, bot.failed = target, self._peer(target), 0
        now = self._loop.time()
        soon = now + self._pace.chance() * self._pace.interval
        bot.due = min(max(bot.due, now), max(soon, bot.polled + self._penalty(bot)))
        self._schedule(bot)

    def _drop(self, key: NamespacedName) -> None:
        bot = self._bots.pop(key, None)
        if bot is not None:
            self._disconnect(bot)
            self._places.leave(key.namespace)

    def _peer(self, target: Target) -> Peer | None:
        return self._pace.peer(target.url) if target.url else None

    def _disconnect(self, bot: _Bot) -> None:
        """Cancel the timer and the poll of the bot, and close its connection."""
        if bot.timer is not None:
            bot.timer.cancel()
        if bot.task is not None:
            bot.task.cancel()
        if bot.peer is not None:
            bot.peer.close()
        bot.timer = bot.task = None

    def _schedule(self, bot: _Bot) -> None:
        """Set the timer for the bot's next poll, or for a recheck if that comes first."""
        soon = self._loop.time() + RECHECK_SECONDS
        has_address = bot.peer is not None
        if has_address and (bot.due <= soon or soon > bot.recheck_until):
            bot.timer = self._loop.call_at(bot.due, self._start, bot)
        elif soon <= bot.recheck_until:
            bot.timer = self._loop.call_at(soon, self._recheck, bot)

    def _recheck(self, bot: _Bot) -> None:
        self._outcomes.put(PollOutcome(bot.target))
        self._schedule(bot)

    def _start(self, bot: _Bot) -> None:
        bot.timer = None
        now = self._loop.time()
        namespace = bot.target.key.namespace
        if bot.peer is None:
            return
        if now - bot.due > LATE or not self._places.take(namespace):
            bot.due = now + (1 - self._pace.chance() / 2) * self._pace.interval
            self._recheck(bot)
            return
        task = bot.task = self._loop.create_task(self._poll(bot, bot.target, bot.peer))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._end(task, namespace))

    def _end(self, task: asyncio.Task[None], namespace: str) -> None:
        self._tasks.discard(task)
        self._places.give_back(namespace)

    async def _poll(self, bot: _Bot, target: Target, peer: Peer) -> None:
        outcome = replace(await self._report_of(bot, target, peer), notice=peer.notice)
        if bot.target is not target or self._bots.get(target.key) is not bot:
            return  # moved or dropped while the answer came
        bot.polled = self._loop.time()
        bot.due = self._next_due(bot)
        bot.task = None
        self._outcomes.put(outcome)
        self._schedule(bot)

    async def _report_of(self, bot: _Bot, target: Target, peer: Peer) -> PollOutcome:
        try:
            report = await peer.report(keep=len(self._bots) <= self._files)
        except NoReportError as error:
            result: Result = error.result
            problem, silent = str(error), error.silent
            bot.failed = bot.failed + 1 if error.silent or error.excessive else 0
            if error.excessive:
                self._strikes.add(target.key, self._loop.time())
        except Exception:
            # A bug, triggered by one bot: it must not end the polling of all.
            logger.exception("Could not poll %s", target.key)
            result, silent = "invalid", False
            problem = "the operator failed at its answer; see its log"
        else:
            bot.failed = 0
            bot.recheck_until = self._loop.time() + RECHECK_PERIOD
            return PollOutcome(
                target, "ok", report, at=self._pace.clock(), backed_off=self._is_backed_off(bot)
            )
        return PollOutcome(
            target, result, problem=problem, silent=silent, backed_off=self._is_backed_off(bot)
        )

    def _is_backed_off(self, bot: _Bot) -> bool:
        return bot.failed > 1 or self._penalty(bot) > 0

    def _next_due(self, bot: _Bot) -> float:
        """Return the time of the bot's next poll."""
        pause = self._penalty(bot)
        if bot.failed:
            silence = self._pace.interval * 2.0 ** min(bot.failed - 1, 20)
            pause = max(pause, min(silence, max(LONGEST_PAUSE, self._pace.interval)))
        if not pause:
            return bot.due + self._pace.interval
        return bot.polled + pause * (1 - JITTER * self._pace.chance())

    def _penalty(self, bot: _Bot) -> float:
        """Return the pause in seconds for exceeding the limits; 0 for a bot without strikes."""
        strikes = self._strikes.of(bot.target.key, self._loop.time())
        if not strikes:
            return 0.0
        pause = self._pace.interval * float(2**strikes)
        return min(pause, max(PENALTY_PAUSE, self._pace.interval))


def _usable_files() -> int:
    """Return how many of the process's file descriptors the polling may use."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(limit - FILES_FOR_OTHERS, limit // 2)
