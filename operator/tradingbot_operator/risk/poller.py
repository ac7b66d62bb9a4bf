"""Polls all running bots, and reconciles a bot when a report changes what a reconcile would do.

Apart from the reconcile loop: a reconcile never waits for a bot, and a bot that is slow, dead or
hostile delays neither a reconcile, nor the renewal of the lease, nor another bot.

    operator's event loop                              event loop of the polling thread
    reconcile --subscribe--> RiskPoller --Target,Drop--> Polling --GET /risk--> bot
    queue <----changed------ RiskPoller <---PollOutcome----- Polling <--report----- bot

The two loops share no object that changes: each gets immutable messages from the other. The state
of the polls is kept here and changes in the operator's loop only. After each outcome, the poller
computes the fingerprint that the reconcile has subscribed with, and compares it with the last one:

    reconcile   subscribe(address, fingerprint=f, last_fingerprint=f(state, now))
    outcome     state = new state; if f(state, now) != last_fingerprint: changed(bot)
    reconcile   acts on the new state, and subscribes with a new f

So the poller knows nothing of halts, schedules or the status, and a report that changes nothing
costs one comparison.
"""

import logging
import random
import time
from collections import Counter as Tally
from collections.abc import Callable, Coroutine, Hashable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.risk.answer import Result
from tradingbot_operator.risk.client import Peer, RiskPeer, report_url
from tradingbot_operator.risk.daily_loss import PollState, PollSubscription
from tradingbot_operator.risk.own_thread import Mailbox, run_in_thread
from tradingbot_operator.risk.polling import Drop, Pace, Polling, PollOutcome, Target
from tradingbot_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
"""Outcomes of this time wake the operator's event loop once."""

RunBeside = Callable[[Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]]
"""Runs a coroutine function beside the caller until it ends, or until the call is cancelled."""


@dataclass(frozen=True)
class PollCounts:
    """The state of the polling as a whole."""

    results: dict[Result, int]
    bots: int
    backed_off: int
    """Bots that are polled less often, since they do not answer or exceed the limits."""
    oldest: float
    """Seconds since the last poll of the bot that has waited longest; 0 without bots."""


@dataclass(eq=False)
class _Bot:
    """A bot that is polled."""

    target: Target
    subscription: PollSubscription
    last_fingerprint: Hashable
    state: PollState = field(default_factory=PollState)
    polled: float = 0.0
    backed_off: bool = False


class RiskPoller:
    """Polls the subscribed bots. Calls `changed` once for each new fingerprint of a bot.

    Its methods are for the operator's event loop, except `states` and `counts`.
    """

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        clock: Callable[[], datetime],
        changed: Callable[[NamespacedName], None],
        peer: Callable[[str], Peer] | None = None,
        chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
        beside: RunBeside = run_in_thread,
    ) -> None:
        self._template = settings.risk_url
        self._clock = clock
        self._changed = changed
        self._pace = Pace(
            interval=settings.risk_interval,
            clock=clock,
            peer=peer or partial(RiskPeer, timeout=settings.risk_timeout),
            chance=chance,
        )
        self._monotonic = monotonic
        self._beside = beside
        self._bots: dict[NamespacedName, _Bot] = {}
        self._results: Tally[Result] = Tally()
        self._polling: Polling | None = None

    def subscribe(self, key: NamespacedName, subscription: PollSubscription) -> None:
        """Poll the bot from now on, or change how it is polled. Its state so far is kept.

        Another address makes another target: outcomes of the old one are dropped from now on. A bot
        that is distrusted has no address, and its silence lasts until an answer that counts.
        """
        distrust = subscription.distrust
        url = "" if distrust else self._url(key, subscription.address)
        bot = self._bots.get(key)
        if bot is None:
            bot = self._bots[key] = _Bot(
                Target(key, url), subscription, subscription.last_fingerprint
            )
            self._start_polling(bot)
        elif bot.target.url != url:
            bot.target = Target(key, url)
            if bot.subscription.address != subscription.address:
                bot.state = replace(bot.state, silent_since=None, notice=None)
            self._start_polling(bot)
        if distrust:
            silent_since = bot.state.silent_since or self._clock()
            bot.state = replace(bot.state, problem=distrust, silent_since=silent_since, notice=None)
        bot.subscription = subscription
        bot.last_fingerprint = subscription.last_fingerprint

    def unsubscribe(self, key: NamespacedName) -> None:
        """Stop polling the bot, and forget its state."""
        if self._bots.pop(key, None) is not None and self._polling is not None:
            self._polling.commands.put(Drop(key))

    def restart_silences(self) -> None:
        """Count each silence from the next poll: the wall clock has jumped."""
        for bot in self._bots.values():
            bot.state = replace(bot.state, silent_since=None)

    def state(self, key: NamespacedName) -> PollState:
        """Return the result of the polls of the bot so far."""
        bot = self._bots.get(key)
        return PollState() if bot is None else bot.state

    def states(self) -> Iterator[tuple[NamespacedName, PollSubscription, PollState]]:
        """Iterate over name, subscription and state of all polled bots, in any thread.

        The list is copied in one step, and its values are replaced, never changed.
        """
        for bot in list(self._bots.values()):
            yield bot.target.key, bot.subscription, bot.state

    def counts(self) -> PollCounts:
        """Return the state of the polling as a whole, in any thread, like `states`."""
        bots = [bot for bot in list(self._bots.values()) if bot.target.url]
        now = self._monotonic() if self._polling is not None else 0.0
        return PollCounts(
            results=dict(self._results),
            bots=len(bots),
            backed_off=sum(bot.backed_off for bot in bots),
            oldest=max((now - bot.polled for bot in bots), default=0.0) if now else 0.0,
        )

    async def run(self) -> None:
        """Poll until cancelled."""
        outcomes = Mailbox(self._on_outcome, gather=GATHER_SECONDS)
        self._polling = Polling(self._pace, outcomes)
        outcomes.open()
        for bot in self._bots.values():
            self._start_polling(bot)
        try:
            await self._beside(self._polling.run)
        finally:
            self._polling = None
            outcomes.close()

    def _url(self, key: NamespacedName, address: str) -> str:
        return report_url(self._template, key, address)

    def _start_polling(self, bot: _Bot) -> None:
        if self._polling is not None:
            bot.polled, bot.backed_off = self._monotonic(), False
            self._polling.commands.put(bot.target)

    def _on_outcome(self, outcome: PollOutcome) -> None:
        """Update the state of a bot, unless it is gone or has another address by now."""
        bot = self._bots.get(outcome.target.key)
        if bot is None or bot.target is not outcome.target:
            return
        if outcome.result is not None:
            self._results[outcome.result] += 1
            bot.polled, bot.backed_off = self._monotonic(), outcome.backed_off
            if outcome.report is not None:
                bot.state = PollState(
                    report=outcome.report, received=outcome.at, notice=outcome.notice
                )
            else:
                silent_since = None
                if outcome.silent:
                    silent_since = bot.state.silent_since or self._clock()
                bot.state = replace(
                    bot.state,
                    problem=outcome.problem,
                    silent_since=silent_since,
                    notice=outcome.notice,
                )
        self._compare_fingerprint(bot)

    def _compare_fingerprint(self, bot: _Bot) -> None:
        """Call `changed` if the fingerprint differs from the one that was acted on."""
        try:
            fingerprint = bot.subscription.fingerprint(bot.state, self._clock())
            if fingerprint != bot.last_fingerprint:
                bot.last_fingerprint = fingerprint
                self._changed(bot.target.key)
        except Exception:
            logger.exception("Could not evaluate the risk report of %s", bot.target.key)
