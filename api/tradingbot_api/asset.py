"""What an asset is, and what may become of it: rules that admission and the registry share."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from pydantic_core import to_json

from tradingbot_api.errors import MAX_LISTED, Path

TAG_PATTERN = r"^[a-z0-9]([-a-z0-9_.:]{0,61}[a-z0-9])?$"
MAX_TAGS = 32
MAX_DESCRIPTION = 1024
MAX_CONFIG_BYTES = 16 * 1024
MAX_CONFIG_DEPTH = 100
"""Deeper JSON is refused by some of those who read it: SQLite, Python's own parser."""


class AssetType(StrEnum):
    """Kinds of infrastructure."""

    API_ENDPOINT = "ApiEndpoint"
    DATABASE_CONNECTION = "DatabaseConnection"
    KUBERNETES_DEPLOYMENT = "KubernetesDeployment"
    KUBERNETES_SERVICE = "KubernetesService"
    CONFIGURATION = "Configuration"
    MESSAGE_QUEUE = "MessageQueue"
    OBJECT_STORE = "ObjectStore"
    OTHER = "Other"


class AssetStatus(StrEnum):
    """Where an asset is in its life."""

    DRAFT = "Draft"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    FAILED = "Failed"


ALLOWED_TRANSITIONS: Mapping[AssetStatus, frozenset[AssetStatus]] = {
    AssetStatus.DRAFT: frozenset({AssetStatus.ACTIVE, AssetStatus.INACTIVE, AssetStatus.FAILED}),
    AssetStatus.ACTIVE: frozenset({AssetStatus.INACTIVE, AssetStatus.FAILED}),
    AssetStatus.INACTIVE: frozenset({AssetStatus.ACTIVE, AssetStatus.FAILED}),
    AssetStatus.FAILED: frozenset({AssetStatus.ACTIVE, AssetStatus.INACTIVE}),
}

REQUIRED_CONFIG: Mapping[AssetType, tuple[str, ...]] = {
    AssetType.API_ENDPOINT: ("url",),
    AssetType.DATABASE_CONNECTION: ("engine", "host", "database"),
    AssetType.KUBERNETES_DEPLOYMENT: ("namespace", "name"),
}

_CREDENTIAL_KEY = re.compile(
    r"api[-_.]?key|api[-_.]?secret|secret[-_.]?key|access[-_.]?key|access[-_.]?token"
    r"|private[-_.]?key|password|passphrase",
    re.IGNORECASE | re.ASCII,
)
_CREDENTIAL_WORDS = ("key", "secret", "token", "pass")
"""One of these is in every such name. To look for four words is ten times as fast."""
_USER_INFO = re.compile(r"://[^/?#\s]*@")


def may_become(old: AssetStatus, new: AssetStatus) -> bool:
    """Whether the lifecycle lets an asset go from `old` to `new`; staying is no step."""
    return old == new or new in ALLOWED_TRANSITIONS[old]


def is_credential_key(name: str) -> bool:
    """Whether a key of that name probably holds a credential: `apiKey`, `db_password`."""
    folded = name.lower()
    return any(word in folded for word in _CREDENTIAL_WORDS) and (
        _CREDENTIAL_KEY.search(name) is not None
    )


def has_user_info(text: str) -> bool:
    """Whether `text` holds a URL that carries a user name or password: JDBC's too, in any text."""
    return "@" in text and _USER_INFO.search(text) is not None


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """What is wrong inside an asset's `config`; the message never shows a value."""

    pointer: Path
    message: str
    missing: bool = False


def plainly_sound(configs: Iterable[tuple[AssetType, Mapping[str, Any]]]) -> bool:
    """Whether `config_problems` has nothing against any of them, if that is plain to see: False
    also where it only might have."""
    texts = []
    for asset_type, config in configs:
        for key in REQUIRED_CONFIG.get(asset_type, ()):
            if not config.get(key):
                return False
        try:
            text = to_json(config)
        except ValueError:
            return False
        # Half the bytes, as some numbers are written longer elsewhere; and no deeper than brackets.
        if (
            len(text) > MAX_CONFIG_BYTES // 2
            or text.count(b"{") + text.count(b"[") > MAX_CONFIG_DEPTH
        ):
            return False
        texts.append(text)
    folded = b"\n".join(texts).lower()
    return b"@" not in folded and not any(word.encode() in folded for word in _CREDENTIAL_WORDS)


def config_problems(asset_type: AssetType, config: Mapping[str, Any]) -> list[ConfigProblem]:
    """What is wrong with the `config` of an asset of that type, as much as is ever listed."""
    problems = [
        ConfigProblem((key,), f"an asset of type {asset_type} needs it", missing=True)
        for key in REQUIRED_CONFIG.get(asset_type, ())
        if not config.get(key)
    ]
    if _is_deeper(config, MAX_CONFIG_DEPTH):
        return [*problems, ConfigProblem((), f"must nest at most {MAX_CONFIG_DEPTH} levels deep")]
    text = json.dumps(config, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_CONFIG_BYTES:
        problems.append(
            ConfigProblem((), f"must be at most {MAX_CONFIG_BYTES} bytes as JSON, is {size}")
        )
    problems.extend(islice(_credentials_in(config, ()), MAX_LISTED + 1))
    return problems


def _is_deeper(value: object, limit: int) -> bool:
    """Whether objects and lists are inside one another more than `limit` times."""
    level = [value]
    for _ in range(limit + 1):
        if not level:
            return False
        level = [
            inner
            for one in level
            if isinstance(one, Mapping | list)
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
    return bool(level)


def _credentials_in(value: object, pointer: Path) -> Iterator[ConfigProblem]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if is_credential_key(str(key)):
                yield ConfigProblem(
                    (*pointer, str(key)),
                    "looks like a credential; name its Secret in secretRef instead",
                )
            else:
                yield from _credentials_in(inner, (*pointer, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _credentials_in(inner, (*pointer, index))
    elif isinstance(value, str) and has_user_info(value):
        yield ConfigProblem(
            pointer, "is a URL with user info; name the Secret in secretRef instead"
        )
