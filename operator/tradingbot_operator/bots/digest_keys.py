"""The key of the digests by which the operator notices that credentials have other values.

A plain hash of a value can be turned round by hashing guesses until one fits. An HMAC can't,
without its key: to anyone else it is as good as random. The key is in a Secret of the operator's
namespace, whose name the installation creates and whose content the operator creates once:

    data.key           the current key, 32 random bytes
    data.previous-key  optional, of an administrator who rotates the key: the one before

Any operator, leader or standby, of any version, finds the same key there. Without that Secret the
operator makes do with a key of its own, which no other process can know (`DigestKeys.unsaved`).
"""

import hmac
import logging
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.reading.untrusted import mapping

logger = logging.getLogger(__name__)

NAME = "tradingbot-operator-digest-key"
"""The Secret with the key. The operator's Role names it too (config/rbac/operator.yaml)."""

KEY, PREVIOUS_KEY = "key", "previous-key"
SIZE = 32
"""Bytes of a key, and the fewest that one may have."""

DIGEST_LENGTH = 32
"""Hexadecimal digits of a digest: half of HMAC-SHA-256, as RFC 2104 allows."""


@dataclass(frozen=True)
class DigestKey:
    """A key, and the identity by which a digest names it."""

    value: bytes

    @property
    def id(self) -> str:
        """Return the identity of the key, which does not tell the key."""
        return self._hmac(b"identity")[:16]

    def digests(
        self, secret: NamespacedName, data: Mapping[str, Any], keys: Iterable[str]
    ) -> dict[str, str]:
        """Return the digest of each value of a Secret whose key is in `keys`, by its key.

        The digest covers the names of namespace, Secret and key as well: equal values in two places
        have different digests.
        """
        return {
            key: self._hmac(to_json([*secret, key]) + b"\0" + str(data[key]).encode())
            for key in sorted(keys)
            if key in data
        }

    def _hmac(self, message: bytes) -> str:
        return hmac.digest(self.value, message, "sha256").hex()[:DIGEST_LENGTH]


@dataclass(frozen=True)
class DigestKeys:
    """The current key, and the one before while it is being rotated."""

    current: DigestKey
    previous: DigestKey | None = None
    saved: bool = True
    """Whether another operator can find the key; otherwise no digest is worth recording."""

    @classmethod
    def unsaved(cls) -> "DigestKeys":
        """Return a key that ends with this process."""
        return cls(DigestKey(secrets.token_bytes(SIZE)), saved=False)

    @property
    def all(self) -> tuple[DigestKey, ...]:
        """Return the keys, the current one first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)


async def load_digest_keys(api: KubernetesApi, namespace: str) -> DigestKeys:
    """Read the key from its Secret, and create it there if the Secret has none yet.

    Never fails: credentials are compared by a key of this process then, and by the version of the
    Secret for what came before.
    """
    try:
        return await _loaded(api, namespace)
    except (KubernetesError, ValueError) as error:
        logger.warning(
            "Could not use the key in Secret %s/%s: %s. A bot whose Secret was written while no"
            " operator ran is restarted, also if its values are the same",
            *(namespace, NAME, error),
        )
        return DigestKeys.unsaved()


async def _loaded(api: KubernetesApi, namespace: str) -> DigestKeys:
    found = await api.get("Secret", namespace, NAME)
    if found is None:
        raise ValueError("it does not exist")
    data = mapping(found.get("data"))
    if KEY not in data:
        new = b64encode(secrets.token_bytes(SIZE)).decode()
        # The version makes this a conflict if another operator was faster.
        version = found["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": {KEY: new}}
        found = await api.merge("Secret", namespace, NAME, patch)
        data = mapping(found.get("data"))
    previous = _key(data, PREVIOUS_KEY) if PREVIOUS_KEY in data else None
    return DigestKeys(_key(data, KEY), previous)


def _key(data: Mapping[str, Any], name: str) -> DigestKey:
    value = b64decode(str(data.get(name, "")), validate=True)
    if len(value) < SIZE:
        raise ValueError(f'its key "{name}" has fewer than {SIZE} bytes')
    return DigestKey(value)
