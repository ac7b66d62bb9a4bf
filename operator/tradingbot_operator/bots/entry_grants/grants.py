"""Writes the right to let entries through on pods: see `decision`.

A reconcile says what it wants of a bot's gateway, and goes on. This does the rest, in a queue of
its own: a gateway that does not answer must delay no reconcile.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from tradingbot_api.entry_grant import ANNOTATION, EntryGrant, GatewayMoment
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.bots.entry_grants.decision import (
    Grant,
    Holder,
    Known,
    Nothing,
    Pod,
    Release,
    Step,
    Wish,
    decide,
)
from tradingbot_operator.bots.pods import BotPod
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.ended_pods import gateway_has_ended
from tradingbot_operator.risk.moments import NoMomentError

FIRST_RETRY, LONGEST_RETRY = 0.5, 10.0
"""Seconds between two questions to a gateway that does not answer."""
PATIENCE = 10
"""Unanswered questions after which the status says so: a gateway needs a moment to start."""

Ask = Callable[[NamespacedName, str], Awaitable[GatewayMoment]]
"""Asks the gateway of a bot at an address. Raises NoMomentError."""


class NotStoredError(Exception):
    """The API server has not stored who may let entries through, so that nobody may."""


@dataclass
class _Bot:
    wish: Wish
    pod: BotPod | None
    answers: bool = False
    """Whether what answers in that pod is its gateway."""
    holder: str = ""
    """The uid that `known` is about."""
    known: Known = field(default_factory=lambda: Known(0.0))
    failures: int = 0
    problem: str = ""


class Grants:
    """The rights of all bots with a gateway."""

    def __init__(
        self,
        api: KubernetesApi,
        store: Store,
        *,
        seconds: int,
        ask: Ask,
        clock: Callable[[], float],
        request: Callable[[NamespacedName], None],
        changed: Callable[[NamespacedName], None],
    ) -> None:
        """`clock` is steady. `request` has `work` called soon, `changed` has a bot reconciled."""
        self._api = api
        self._store = store
        self._seconds = seconds
        self._ask = ask
        self._clock = clock
        self._request = request
        self._changed = changed
        self._bots: dict[NamespacedName, _Bot] = {}

    def want(self, key: NamespacedName, wish: Wish, pod: BotPod | None, *, answers: bool) -> None:
        """Take what a bot's gateway is to be told; `pod` is the one that is to have the right.

        `answers` says whether what answers there is its gateway. Another process could name a
        moment that has not come, and the grant would last too long.
        """
        bot = self._bots.setdefault(key, _Bot(wish, pod))
        bot.wish, bot.pod, bot.answers = wish, pod, answers
        self._request(key)

    def drop(self, key: NamespacedName) -> None:
        """Forget a bot that has no gateway, or is gone."""
        self._bots.pop(key, None)

    def problem(self, key: NamespacedName) -> str:
        """Return why the current pod of a bot lets no entries through, empty if it does."""
        bot = self._bots.get(key)
        return "" if bot is None else bot.problem

    async def work(self, key: NamespacedName) -> float | None:
        """Take the next step for a bot. Returns the seconds until the next one, or None."""
        try:
            return await self._step(key)
        except KubernetesError as error:
            if error.is_conflict:
                return FIRST_RETRY  # the bot has changed meanwhile, by a report for example
            raise

    async def _step(self, key: NamespacedName) -> float | None:
        bot = self._bots.get(key)
        if bot is None or self._store.get("TradingBot", *key) is None:
            return None
        step, pod, wish = self._decide(key, bot), bot.pod, bot.wish
        if isinstance(step, Nothing):
            self._say(key, bot, step.waits)
            return step.after
        if isinstance(step, Release) or pod is None:
            await self._store_holder(key, bot, None)
            return None
        if isinstance(step, Grant):
            return await self._grant(key, bot, pod, step.holder)
        withdrawal = EntryGrant(pod=pod.uid, withdrawn=wish.withdrawn, config_hash=wish.config_hash)
        await self._write(key, bot, pod, withdrawal)
        return None

    def _decide(self, key: NamespacedName, bot: _Bot) -> Step:
        status = (self._store.get("TradingBot", *key) or {}).get("status")
        holder = Holder.stored(status if isinstance(status, dict) else {})
        if holder is not None and holder.uid != bot.holder:
            bot.holder, bot.known = holder.uid, Known(self._clock())
        return decide(
            bot.wish,
            None if bot.pod is None else self._pod(key, bot.pod, answers=bot.answers),
            holder,
            ended=holder is not None and self._has_ended(key, holder.uid),
            known=bot.known,
            now=self._clock(),
            seconds=self._seconds,
        )

    async def _grant(
        self, key: NamespacedName, bot: _Bot, pod: BotPod, holder: Holder | None
    ) -> float | None:
        wish = bot.wish
        try:
            found = await self._ask(key, pod.address)
        except NoMomentError as error:
            bot.failures += 1
            if bot.failures >= PATIENCE:
                self._say(key, bot, f"its gateway does not say a moment: {error}")
            return min(FIRST_RETRY * 1.5 ** (bot.failures - 1), LONGEST_RETRY)
        bot.failures = 0
        if holder is not None:
            await self._store_holder(key, bot, holder)
        bot.holder = pod.uid
        # Before the write: one whose answer is lost may have been done all the same.
        again = bot.known.repeats + 1 if found.config_hash != wish.config_hash else 0
        bot.known = Known(self._clock(), bot.known.renewed, found.config_hash, again)
        grant = EntryGrant(
            pod=pod.uid,
            moment=found.moment,
            seconds=self._seconds if wish.exclusive else None,
            config_hash=wish.config_hash,
        )
        if not await self._write(key, bot, pod, grant):
            return None
        bot.known = replace(bot.known, renewed=self._clock())
        self._say(key, bot, "")
        step = self._decide(key, bot)
        return step.after if isinstance(step, Nothing) else FIRST_RETRY

    async def _store_holder(self, key: NamespacedName, bot: _Bot, holder: Holder | None) -> None:
        """Write `status.entries`: a conflict unless the newest version of the bot is known.

        Raises NotStoredError if it is not stored: a definition of before would drop the field.
        """
        patch: JsonObject = {
            "metadata": {"resourceVersion": str(self._store.version("TradingBot", *key))},
            "status": {"entries": None if holder is None else holder.status()},
        }
        written = await self._api.merge("TradingBot", *key, patch, subresource="status")
        self._store.put(written)
        if holder is not None and Holder.stored(written.get("status") or {}) != holder:
            problem = "status.entries is not stored: update the CustomResourceDefinitions"
            self._say(key, bot, problem)
            raise NotStoredError(problem)

    async def _write(self, key: NamespacedName, bot: _Bot, pod: BotPod, grant: EntryGrant) -> bool:
        """Write a grant on a pod. Return False if that pod is gone.

        The subresource `status` takes annotations, and can't change what the pod runs.
        """
        patch: JsonObject = {
            "metadata": {"uid": pod.uid, "annotations": {ANNOTATION: grant.text()}}
        }
        try:
            written = await self._api.merge(
                "Pod", key.namespace, pod.name, patch, subresource="status"
            )
        except KubernetesError as error:
            if error.status in {404, 409}:
                return False
            self._say(key, bot, f"its pod can't be written: {error}")
            raise
        self._store.put(written)
        return True

    def _pod(self, key: NamespacedName, pod: BotPod, *, answers: bool) -> Pod:
        live = self._store.get("Pod", key.namespace, pod.name) or {"metadata": {}}
        text = (live["metadata"].get("annotations") or {}).get(ANNOTATION, "")
        known = live["metadata"].get("uid") == pod.uid
        return Pod(
            uid=pod.uid,
            name=pod.name,
            answers=answers and bool(pod.address),
            written=EntryGrant.read(text) if known and isinstance(text, str) else None,
        )

    def _has_ended(self, key: NamespacedName, uid: str) -> bool:
        if self._store.has_ended(uid):
            return True
        pods = self._store.pods(*key)
        return any(pod["metadata"].get("uid") == uid and gateway_has_ended(pod) for pod in pods)

    def _say(self, key: NamespacedName, bot: _Bot, problem: str) -> None:
        if bool(problem) != bool(bot.problem):
            self._changed(key)
        bot.problem = problem
