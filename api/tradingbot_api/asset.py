"""What an asset is, and what may become of it: rules that admission and the registry share."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic_core import to_json

from tradingbot_api.credentials import detect_in, is_plainly_clean
from tradingbot_api.errors import MAX_LISTED, Path

REFERENCE_PATTERN = (
    "[a-z]([-a-z0-9]{0,30}[a-z0-9])?"
    "/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
    "/[a-z0-9]([-a-z0-9.]{0,315}[a-z0-9])?"
)
"""The name of an asset at its owner, `SOURCE/NAMESPACE/NAME`: `crd/default/feeds.prices`."""
REFERENCE_LENGTH = 32 + 1 + 63 + 1 + 317
TAG_PATTERN = r"^[a-z0-9]([-a-z0-9_.:]{0,61}[a-z0-9])?$"
MAX_TAGS = 32
MAX_DESCRIPTION = 1024
MAX_CONFIG_BYTES = 16 * 1024
MAX_CONFIG_DEPTH = 100
"""Deeper JSON is refused by some of those who read it: SQLite, Python's own parser."""


MAX_SEARCHED_BYTES = 16 * MAX_CONFIG_BYTES
"""A config that is larger is refused for that alone, and not searched for credentials: it can hold
a million values."""


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

_CONTAINERS = (dict, list)


def is_reference(text: str) -> bool:
    """Return whether a dependency, of the right form, names an asset by its owner's reference."""
    return "/" in text


def may_become(old: AssetStatus, new: AssetStatus) -> bool:
    """Return whether the lifecycle lets an asset go from `old` to `new`, or stay as it is."""
    return old == new or new in ALLOWED_TRANSITIONS[old]


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """What is wrong inside an asset's `config`; the message never shows a value."""

    pointer: Path
    message: str
    missing: bool = False
    certain: bool = True
    """False for what only looks random, which is allowed."""
    credential: bool = False


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
        # Half the bytes, as some numbers are written longer elsewhere. Each level takes two.
        if len(text) > 2 * MAX_CONFIG_DEPTH and (
            len(text) > MAX_CONFIG_BYTES // 2
            or text.count(b"{") + text.count(b"[") > MAX_CONFIG_DEPTH
        ):
            return False
        texts.append(text)
    return is_plainly_clean(b"\n".join(texts).decode())


def config_problems(asset_type: AssetType, config: Mapping[str, Any]) -> list[ConfigProblem]:
    """Return the errors in the `config` of an asset of that type, and then what may be one, cut
    where lists end."""
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
    if size <= MAX_SEARCHED_BYTES:
        problems.extend(_credentials_in(config))
    return problems


def _is_deeper(value: Any, limit: int) -> bool:
    """Whether objects and lists are inside one another more than `limit` times."""
    level = [value]
    for _ in range(limit):
        if not level:
            return False
        level = [
            inner
            for container in level
            for inner in (container.values() if isinstance(container, dict) else container)
            if isinstance(inner, _CONTAINERS)
        ]
    return any(level)


def _credentials_in(config: Mapping[str, Any]) -> list[ConfigProblem]:
    """Return what may be a credential, first what is one: many others must not crowd it out."""
    found: dict[bool, list[ConfigProblem]] = {True: [], False: []}
    for pointer, suspect in detect_in(config):
        if len(found[suspect.certain]) <= MAX_LISTED:
            doubt = "" if suspect.certain else "if it is a credential, "
            message = f"{suspect.why}; {doubt}name its Secret in secretRef instead"
            problem = ConfigProblem(pointer, message, certain=suspect.certain, credential=True)
            found[suspect.certain].append(problem)
    return [*found[True], *found[False]]
