"""What is known of the Secret of a bot, and what is recorded of it in the bot's Deployment.

    secret           version  keys: digests       key   revision
    binance-creds    "77"     {}                  ""    "77"      recorded by an earlier version
    binance-creds    "77"     {api-key: 5f.., }   "a1"  "77"      the same, after the first read
    binance-creds    "91"     {api-key: 5f.., }   "a1"  "77"      annotated, or written again
    binance-creds    "95"     {api-key: c0.., }   "a1"  "8e.."    another value

The restart hash of a bot has the revision. It stays until a value changes, so it survives whatever
else changes: the version of the Secret, the key of the digests, the format of this record.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import from_json, to_json
from tradingbot_api.model import JsonObject, digest

from tradingbot_operator import CREDENTIALS
from tradingbot_operator.reasons import Reason

LONGEST_REVISION = 64


@dataclass(frozen=True)
class SecretFacts:
    """What is known of a Secret: its version, and a digest of each value that a bot needs."""

    version: str
    digests: Mapping[str, str] = field(default_factory=dict)
    """By the name of the key in the Secret. A needed key without a digest does not exist, or has a
    value that can't be a credential."""
    key: str = ""
    """The identity of the key of these digests; empty if there are none."""
    flaws: Mapping[str, Reason] = field(default_factory=dict)
    """The keys whose values can't be credentials, and why. Not recorded."""

    def has(self, needs: Collection[str]) -> bool:
        """Return whether the Secret has all these keys."""
        return all(name in self.digests for name in needs)

    def only(self, needs: Collection[str]) -> "SecretFacts":
        """Return what is known of these keys."""
        digests = {name: self.digests[name] for name in sorted(needs) if name in self.digests}
        return replace(self, digests=digests)

    def without_digests(self) -> "SecretFacts":
        """Return only the version and the names of the keys."""
        return SecretFacts(self.version, dict.fromkeys(self.digests, ""))

    def revision(self, needs: Collection[str]) -> str:
        """Return a name for these values. Equal values have the same while the key stays."""
        return digest([self.digests.get(name, "") for name in sorted(needs)])


@dataclass(frozen=True)
class Reading:
    """A Secret as it was read: its facts by each of our keys, the current one first."""

    facts: tuple[SecretFacts, ...]

    @property
    def current(self) -> SecretFacts:
        """Return the facts by the current key."""
        return self.facts[0]

    def has_same_values(self, before: SecretFacts, needs: Iterable[str]) -> bool:
        """Return whether the values of these keys are those of `before`.

        Facts whose key is gone can be compared by the version alone: any write counts as a change.
        """
        for now in self.facts:
            if before.key and now.key == before.key:
                return all(now.digests.get(name) == before.digests.get(name) for name in needs)
        return self.current.version == before.version


@dataclass(frozen=True)
class Record:
    """The annotation of a bot's Deployment about its Secret."""

    secret: str
    facts: SecretFacts
    revision: str
    running: str | None = None
    """The revision that the pod template has while the restart for this one waits."""
    stored: str | None = field(default=None, compare=False)
    """The annotation that this record was read from, while it says the same."""

    @classmethod
    def read(cls, deployment: JsonObject | None, secret: str) -> "Record | None":
        """Return what a Deployment records of that Secret, None if nothing that can be read."""
        try:
            text = (deployment or {})["metadata"]["annotations"][CREDENTIALS]
            found = from_json(text)
            if found["secret"] != secret:
                return None
            version, keys = str(found["version"]), found["keys"]
            known = keys if isinstance(keys, dict) else dict.fromkeys(keys, "")
            digests = {str(name): str(value) for name, value in known.items()}
            facts = SecretFacts(version, digests, str(found.get("key", "")))
            running = found.get("running")
            return cls(
                secret,
                facts,
                _revision(found.get("revision", version)),
                None if running is None else _revision(running),
                text,
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    @property
    def declared(self) -> str:
        """Return the revision that the pod template was declared with."""
        return self.revision if self.running is None else self.running

    def updated(self, facts: SecretFacts, revision: str) -> "Record":
        """Return the record of these facts: this one if at most the version differs.

        Tools that refresh a Secret every minute would otherwise cause a write of each bot.
        """
        same = (self.facts.digests, self.facts.key, self.revision)
        current = facts.key or facts.version == self.facts.version
        if current and same == (facts.digests, facts.key, revision):
            return self
        return Record(self.secret, facts, revision).declared_with(self.declared)

    def declared_with(self, revision: str) -> "Record":
        """Return the record of a bot whose pod template has that revision."""
        running = None if revision == self.revision else revision
        return self if running == self.running else replace(self, running=running, stored=None)

    def text(self) -> str:
        """Return the annotation."""
        if self.stored is not None:
            return self.stored
        record: dict[str, Any] = {
            "secret": self.secret,
            "version": self.facts.version,
            "keys": dict(sorted(self.facts.digests.items())),
            "key": self.facts.key,
            "revision": self.revision,
        }
        if self.running is not None:
            record["running"] = self.running
        return to_json(record).decode()


def _revision(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_REVISION:
        raise ValueError("not a revision")
    return value
