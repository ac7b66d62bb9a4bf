"""Versions of the Secrets that bots use, and digests of their values; values are never kept.

The operator may only get Secrets by name: it can't list or watch them. So it polls the metadata of
each Secret that is in use, and a reconcile of a bot costs no request. A Secret with a new version
is read: only another value restarts its bots. Tools that refresh Secrets write the same values
again, and people annotate them.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.bots.credential_values import flaws
from tradingbot_operator.bots.credentials_record import Reading, Record, SecretFacts
from tradingbot_operator.bots.digest_keys import DigestKeys
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.reading.untrusted import mapping

logger = logging.getLogger(__name__)

POLLS_PER_SECOND = 10.0
"""Upper bound, so that polling takes less than 1 % of a core with any number of Secrets: each of
5,000 Secrets is polled every 500 s."""

BURST_SECONDS = 5.0
"""Polls due within this time are made together: to wake up costs more than a poll."""

IDLE_SECONDS = 1.0


async def read(
    api: KubernetesApi, keys: DigestKeys, secret: NamespacedName, needs: Collection[str]
) -> Reading | None:
    """Read a Secret, None if it does not exist. Its values stay in this function."""
    found = await api.get("Secret", *secret)
    if found is None:
        return None
    version = str(found["metadata"].get("resourceVersion", ""))
    data = mapping(found.get("data"))
    flawed = flaws({name: data[name] for name in needs if name in data})
    sound = [name for name in needs if name not in flawed]
    return Reading(
        tuple(
            SecretFacts(version, key.digests(secret, data, sound), key.id, flaws=flawed)
            for key in keys.all
        )
    )


@dataclass(frozen=True)
class Observation:
    """What a bot has to know of its Secret."""

    facts: SecretFacts
    """The facts of the keys that the bot needs."""
    record: Record
    """What the bot's Deployment has to record, if the Secret has all of them."""


@dataclass
class _Use:
    """How a bot uses a Secret."""

    secret: NamespacedName
    needs: tuple[str, ...]
    revision: str | None = None
    """The revision of the values; None until it is known, or after a value has changed."""
    facts: SecretFacts | None = None
    """The facts of the values of that revision. Kept while the Secret is missing: it may come back
    as it was."""


class Secrets:
    """The Secrets that bots use; `changed` is called with each bot for which a value has changed.

    The reconcile of a bot reads a Secret again that does not exist, lacks a key, or has one whose
    value can't be a credential.

    An operator that starts uses what its predecessor recorded in the Deployments, until the first
    poll of each Secret. Reading thousands of Secrets would double its start time.
    """

    def __init__(
        self,
        api: KubernetesApi,
        *,
        interval: float,
        changed: Callable[[NamespacedName], None],
        keys: DigestKeys | None = None,
    ) -> None:
        self._api = api
        self._interval = interval
        self._changed = changed
        self.keys = keys or DigestKeys.unsaved()
        self._facts: dict[NamespacedName, SecretFacts] = {}
        self._from_record: set[NamespacedName] = set()
        """Secrets whose facts come from a record and have not been polled yet."""
        self._users: dict[NamespacedName, set[NamespacedName]] = {}
        self._uses: dict[NamespacedName, _Use] = {}

    async def observe(
        self,
        bot: NamespacedName,
        name: str,
        needs: Collection[str],
        recorded: Record | None = None,
    ) -> Observation | None:
        """Return what is known of the Secret that `bot` uses from now on; None if it is missing.

        The Secret is read if nothing is known or `recorded`, if it is known to lack a key that the
        bot needs, or if the records of two bots differ: the previous operator then ended while it
        was rolling out a new value.
        """
        secret, needed = NamespacedName(bot.namespace, name), tuple(sorted(needs))
        use = self._uses.get(bot)
        if use is None or (use.secret, use.needs) != (secret, needed):
            self.drop(bot)
            use = self._uses[bot] = _Use(secret, needed)
            # Only for the first user: after that the Secret is polled and the record is older.
            if recorded is not None and secret not in self._users:
                self._facts[secret] = recorded.facts
                self._from_record.add(secret)
            self._users.setdefault(secret, set()).add(bot)
        known = self._facts.get(secret)
        agrees = recorded is not None and known is not None and _agree(recorded.facts, known, needs)
        if recorded is not None and agrees and use.revision is None:
            use.revision = recorded.revision
        comparable = recorded is None or use.revision is not None
        if known is not None and recorded is not None:
            comparable = comparable or recorded.facts.key == known.key
        sure = agrees or (secret not in self._from_record and comparable)
        if known is None or not known.has(needed) or not sure:
            reading = await read(self._api, self.keys, secret, self._needs(secret, needed))
            if self._uses.get(bot) is use:
                self._learn(secret, reading)
                if reading is not None and use.revision is None and recorded is not None:
                    same = reading.has_same_values(recorded.facts, needed)
                    use.revision = recorded.revision if same else None
            known = None if reading is None else reading.current
        return None if known is None else self._observation(use, known.only(needed), recorded)

    def _observation(self, use: _Use, facts: SecretFacts, recorded: Record | None) -> Observation:
        """Return the facts for a bot and their record, under the revision of the bot's values."""
        use.facts = facts
        if facts.has(use.needs) and use.revision is None:
            use.revision = facts.revision(use.needs)
        revision = use.revision or ""
        lasting = facts if self.keys.saved or not facts.key else facts.without_digests()
        if recorded is None:
            return Observation(facts, Record(use.secret.name, lasting, revision))
        known = (recorded.revision, recorded.facts.version)
        if not self.keys.saved and known == (revision, facts.version):
            return Observation(facts, recorded)  # its digests may be of use to another operator
        return Observation(facts, recorded.updated(lasting, revision))

    def _needs(self, secret: NamespacedName, needs: Collection[str]) -> set[str]:
        """Return the keys of a Secret that any bot needs."""
        users = self._users.get(secret, ())
        return {*needs, *(name for bot in users for name in self._uses[bot].needs)}

    def _learn(self, secret: NamespacedName, reading: Reading | None) -> None:
        """Note a Secret that was read, and requeue the bots for which something has changed."""
        before = self._facts.get(secret)
        self._forget(secret)
        if reading is not None:
            self._facts[secret] = reading.current
        for bot in tuple(self._users[secret]):
            if self._is_news(self._uses[bot], reading, before):
                self._changed(bot)

    @staticmethod
    def _is_news(use: _Use, reading: Reading | None, before: SecretFacts | None) -> bool:
        """Note in a use of a Secret what was read. Returns whether its bot has to know."""
        if reading is None:
            return before is not None
        known = use.facts
        if known is None:
            return False  # its first observation is under way
        same = reading.has_same_values(known, use.needs)
        if not same:
            use.revision = None
        use.facts = reading.current.only(use.needs)
        # With another key, the bot has to record the digests by the new one.
        return not same or reading.current.key != known.key

    def drop(self, bot: NamespacedName) -> None:
        """Forget a bot, and its Secret if no other bot uses it."""
        use = self._uses.pop(bot, None)
        if use is None:
            return
        users = self._users[use.secret]
        users.discard(bot)
        if not users:
            del self._users[use.secret]
            self._forget(use.secret)

    async def run(self) -> None:
        """Poll each Secret once an interval, in small batches, until cancelled."""
        while True:
            secrets = list(self._facts)
            if not secrets:
                await asyncio.sleep(IDLE_SECONDS)
                continue
            pause = max(self._interval / len(secrets), 1 / POLLS_PER_SECOND)
            at_a_time = max(1, int(BURST_SECONDS / pause))
            for start in range(0, len(secrets), at_a_time):
                some = secrets[start : start + at_a_time]
                await asyncio.sleep(pause * len(some))
                for secret in some:
                    await self._check(secret)

    async def _check(self, secret: NamespacedName) -> None:
        """Compare a Secret with what is known: its version, and if that differs its values."""
        known = self._facts.get(secret)
        if known is None:
            return
        try:
            reading = None
            # What was recorded by an earlier version, or by a key that was replaced, is read.
            same = known.key == self.keys.current.id and known.version == (
                await self._api.version_of("Secret", *secret)
            )
            if not same:
                reading = await read(self._api, self.keys, secret, self._needs(secret, ()))
        except KubernetesError as error:
            logger.warning("Could not read the Secret %s/%s: %s", *secret, error)
            return
        if self._facts.get(secret) is not known:
            return
        self._from_record.discard(secret)
        if not same:
            self._learn(secret, reading)

    def _forget(self, secret: NamespacedName) -> None:
        self._facts.pop(secret, None)
        self._from_record.discard(secret)


def _agree(one: SecretFacts, other: SecretFacts, needs: Collection[str]) -> bool:
    """Return whether two facts are of the same values, as far as they can be compared."""
    if one.key == other.key and one.key:
        return all(one.digests.get(name) == other.digests.get(name) for name in needs)
    return one.version == other.version
