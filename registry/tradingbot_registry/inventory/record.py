"""An asset as a client requests it, and as the registry returns it."""

import hashlib
import json
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from tradingbot_api.asset import AssetStatus, AssetType

from tradingbot_registry.refusals import Reference

MARK_DIGITS = 12

MAX_NAME = 253

HEX_DIGITS = 32

JOINERS = "\u200c\u200d"
"""Without them, words of Persian, Hindi and other languages, and many emoji, can't be written."""


def is_plain_name(name: str) -> bool:
    """Whether the text can be a name: no white space around it, no control characters in it."""
    return name == name.strip() and all(
        character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs"
        for character in name
    )


class ManagedBy(StrEnum):
    """Who manages an asset."""

    USER = "user"
    CRD = "crd"
    OPERATOR = "operator"


class EffectiveStatus(StrEnum):
    """Status of an asset with its dependencies taken into account."""

    DRAFT = "Draft"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    FAILED = "Failed"
    DEGRADED = "Degraded"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Reference to a credential, never the credential."""

    name: str
    key: str

    def as_json(self) -> dict[str, str]:
        """Return the reference as a JSON object."""
        return {"name": self.name, "key": self.key}

    @classmethod
    def from_json(cls, value: Mapping[str, str] | None) -> Self | None:
        """Parse a reference from a JSON object."""
        return None if value is None else cls(name=value["name"], key=value["key"])


@dataclass(frozen=True, slots=True)
class ExternalRef:
    """The name of an asset at its owner: `source/namespace/name`."""

    source: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The requested state of an asset.

    None for `status`, `description` or `tags` keeps the current value. `depends_on` holds asset ids
    and external references.
    """

    name: str
    type: AssetType
    config: Mapping[str, Any]
    secret_ref: SecretRef | None
    depends_on: tuple[str, ...]
    status: AssetStatus | None
    description: str | None
    tags: frozenset[str] | None
    managed_by: ManagedBy = ManagedBy.USER


@dataclass(frozen=True, slots=True)
class Record:
    """An asset as the registry returns it."""

    seq: int
    id: str
    name: str
    type: str
    status: str
    description: str
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    secret_ref: SecretRef | None
    managed_by: str
    external_ref: str | None
    depends_on: tuple[str, ...]
    unresolved: tuple[str, ...]
    version: int
    created_at: str
    updated_at: str
    effective_status: EffectiveStatus
    caused_by: tuple[Reference, ...]
    more_causes: bool

    @property
    def mark(self) -> str:
        """What a cached copy is recognised by: the version, and a digest of the causes.

        `effectiveStatus` changes with other assets while the version does not, and a cached answer
        must not outlive it.
        """
        if not self.caused_by and not self.more_causes:
            return str(self.version)
        causes = json.dumps([[cause.as_json() for cause in self.caused_by], self.more_causes])
        return f"{self.version}-{hashlib.sha256(causes.encode()).hexdigest()[:MARK_DIGITS]}"


def namespace_of(external_ref: str | None) -> str | None:
    """Return the namespace that an external reference names; None for an asset of users."""
    return None if external_ref is None else external_ref.split("/")[1]


def seen_from(asset: Record, namespaces: Collection[str]) -> Record:
    """Return the asset as readers of these namespaces see it: without causes that are elsewhere.

    `more_causes` then says that there are some. Ids and references in `depends_on` stay: they are
    the asset's own.
    """
    seen = tuple(c for c in asset.caused_by if namespace_of(c.external_ref) in namespaces)
    more = asset.more_causes or len(seen) < len(asset.caused_by)
    return replace(asset, caused_by=seen, more_causes=more)


def id_text(value: str | UUID) -> str:
    """Return an id as texts have it. SQLite stores it without dashes."""
    if isinstance(value, UUID) or len(value) != HEX_DIGITS:
        return str(value)
    return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"


def same_json(one: object, other: object) -> bool:
    """Whether two JSON values have the same text: 1, 1.0 and true differ, key order does not."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
