"""What bots need to know of their Secrets: a version and the names of the keys, never a value.

Secrets may only be got by name here, so each that is in use is looked at now and then, by its
metadata alone; a bot that only reconciles costs no request.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tradingbot_api.model import JsonObject

from tradingbot_operator import CREDENTIALS
from tradingbot_operator.kube import KubernetesApi, KubernetesError

logger = logging.getLogger(__name__)

Key = tuple[str, str]
"""A bot's, or a Secret's, namespace and name."""

LOOKS_PER_SECOND = 10.0
"""At most, so that watching costs under 1 % of a core however many Secrets there are: 5,000 of
them are looked at every 500 s."""

BURST_SECONDS = 5.0
"""Looks that fall due within this are made one after the other: a process that wakes up for each
spends more on waking up than on looking."""

IDLE_SECONDS = 1.0


@dataclass(frozen=True)
class SecretFacts:
    """What is known of a Secret."""

    version: str
    keys: frozenset[str]

    def record(self, name: str, needs: Collection[str]) -> str:
        """What a Deployment says of the Secret of that name: its version, and the keys in use."""
        return json.dumps({"secret": name, "version": self.version, "keys": sorted(needs)})

    @classmethod
    def recorded(cls, deployment: JsonObject | None, name: str) -> "SecretFacts | None":
        """What a Deployment says of the Secret of that name, None if nothing."""
        try:
            record = json.loads((deployment or {})["metadata"]["annotations"][CREDENTIALS])
            found = cls(str(record["version"]), frozenset(map(str, record["keys"])))
            return found if record["secret"] == name else None
        except (KeyError, TypeError, ValueError):
            return None


async def read(api: KubernetesApi, namespace: str, name: str) -> SecretFacts | None:
    """The facts of a Secret as it is now, or None if there is none. Its values stay in here."""
    secret = await api.get("Secret", namespace, name)
    if secret is None:
        return None
    version = str(secret["metadata"].get("resourceVersion", ""))
    return SecretFacts(version, frozenset(secret.get("data") or ()))


class Secrets:
    """The Secrets that bots use; `changed` is called with each bot whose Secret has changed.

    One that is not there, or lacks a key, is not looked after: whoever waits for it looks again.

    An operator that starts takes over what the one before has recorded, until it comes to look at
    that Secret by itself: reading thousands of Secrets would be half of its start.
    """

    def __init__(
        self, api: KubernetesApi, *, interval: float, changed: Callable[[Key], None]
    ) -> None:
        self._api = api
        self._interval = interval
        self._changed = changed
        self._facts: dict[Key, SecretFacts] = {}
        self._taken_over: set[Key] = set()
        """Those whose facts are a record's, and not looked at yet."""
        self._users: dict[Key, set[Key]] = {}
        self._used: dict[Key, Key] = {}

    async def look(
        self, bot: Key, name: str, needs: Collection[str], recorded: SecretFacts | None = None
    ) -> SecretFacts | None:
        """The facts of the Secret that `bot` uses from now on; None if there is none.

        Read if nothing is known or `recorded`, if it is known to lack what the bot needs, and if
        the records of two bots differ: the operator has ended in the middle of a rotation.
        """
        secret = (bot[0], name)
        if self._used.get(bot) != secret:
            self.drop(bot)
            self._used[bot] = secret
            # Only at first: a Secret that has changed since is what its record no longer tells.
            if recorded is not None and secret not in self._users:
                self._facts[secret] = recorded
                self._taken_over.add(secret)
            self._users.setdefault(secret, set()).add(bot)
        known = self._facts.get(secret)
        sure = secret not in self._taken_over or known == recorded
        if known is not None and known.keys.issuperset(needs) and sure:
            return known
        found = await read(self._api, *secret)
        if secret in self._users:
            self._learn(secret, found)
        return found

    def _learn(self, secret: Key, found: SecretFacts | None) -> None:
        """A Secret was read: whoever was told otherwise before comes again."""
        before = self._facts.get(secret)
        self._forget(secret)
        if found is not None:
            self._facts[secret] = found
        if before is not None and (found is None or found.version != before.version):
            self._tell_users(secret)

    def drop(self, bot: Key) -> None:
        """The bot is gone; a Secret that no other uses is forgotten."""
        secret = self._used.pop(bot, None)
        if secret is None:
            return
        users = self._users[secret]
        users.discard(bot)
        if not users:
            del self._users[secret]
            self._forget(secret)

    async def run(self) -> None:
        """Look at each Secret once an interval, some at a time, until cancelled."""
        while True:
            secrets = list(self._facts)
            if not secrets:
                await asyncio.sleep(IDLE_SECONDS)
                continue
            pause = max(self._interval / len(secrets), 1 / LOOKS_PER_SECOND)
            at_a_time = max(1, int(BURST_SECONDS / pause))
            for start in range(0, len(secrets), at_a_time):
                some = secrets[start : start + at_a_time]
                await asyncio.sleep(pause * len(some))
                for secret in some:
                    await self._check(secret)

    async def _check(self, secret: Key) -> None:
        known = self._facts.get(secret)
        if known is None:
            return
        try:
            version = await self._api.version_of("Secret", *secret)
        except KubernetesError as error:
            logger.warning("Secret %s/%s can't be looked at: %s", *secret, error)
            return
        if self._facts.get(secret) is not known:
            return
        self._taken_over.discard(secret)
        if version != known.version:
            self._forget(secret)
            self._tell_users(secret)

    def _forget(self, secret: Key) -> None:
        self._facts.pop(secret, None)
        self._taken_over.discard(secret)

    def _tell_users(self, secret: Key) -> None:
        for bot in tuple(self._users[secret]):
            self._changed(bot)
