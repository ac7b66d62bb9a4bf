"""The rules of an AssetRegistry that concern more than the form of a field."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

from pydantic_core import to_json, to_jsonable_python

from tradingbot_api.asset import (
    ALLOWED_TRANSITIONS,
    AssetStatus,
    config_problems,
    is_reference,
    may_become,
    plainly_sound,
)
from tradingbot_api.assetregistry import Asset, AssetRegistrySpec
from tradingbot_api.errors import FieldError, FieldWarning, Path
from tradingbot_api.rules.findings import Finding, ItemRule, Part, Rule, duplicates, paths

ASSETS: Path = ("spec", "assets")
MAX_STORED_BYTES = 512 * 1024
"""Of `spec.assets` as JSON. etcd stores 1.5 MiB, and beside the spec go the names of its fields for
each tool that applies it, the annotation of `kubectl apply`, and the status: see
docs/decisions.md."""
FIELD_BYTES = 16
"""What each field counts more than its JSON: the API server stores `"f:NAME":{".":{}}` for it."""
LONGER_SEPARATORS = ("\u2028".encode(), "\u2029".encode())
PRINTED_STEPS = 40
"""Of a cycle; 100 errors with 500 names each would be 3 MB."""


def unique_names(spec: AssetRegistrySpec, _: datetime) -> Iterator[Finding]:
    """Require that each name is used once."""
    names = (asset.name for asset in spec.assets)
    yield from duplicates(names, lambda index: (*ASSETS, index, "name"))


def has_doubles(spec: AssetRegistrySpec) -> bool:
    """Whether a name, or a tag or dependency of an asset, stands twice."""
    return len({asset.name for asset in spec.assets}) < len(spec.assets) or any(
        len(set(values)) < len(values)
        for asset in spec.assets
        for values in (asset.tags, asset.depends_on)
    )


def unique_tags(where: Path, asset: Asset, _: datetime) -> Iterator[Finding]:
    """Require that each tag is used once."""
    yield from duplicates(asset.tags, lambda index: (*where, "tags", index))


def has_unique_tags(spec: AssetRegistrySpec) -> bool:
    """Whether `unique_tags` has nothing against any asset."""
    return all(len(set(asset.tags)) == len(asset.tags) for asset in spec.assets)


def sound_config(where: Path, asset: Asset, _: datetime) -> Iterator[Finding]:
    """Each type has the keys it needs, and none holds a credential."""
    for problem in config_problems(asset.type, asset.config):
        path = (*where, "config", *problem.pointer)
        if not problem.certain:
            yield FieldWarning(path, problem.message)
        elif problem.missing:
            yield FieldError.required(path, problem.message)
        elif problem.pointer:
            yield FieldError.forbidden(path, problem.message)
        else:
            yield FieldError.invalid(path, asset.config, problem.message)


def has_sound_configs(spec: AssetRegistrySpec) -> bool:
    """Whether `sound_config` plainly has nothing against any asset."""
    return plainly_sound((asset.type, asset.config) for asset in spec.assets)


def bounded_size(spec: AssetRegistrySpec, _: datetime) -> Iterator[Finding]:
    """Require that the object leaves room for its status."""
    size = stored_bytes(spec.assets)
    if size > MAX_STORED_BYTES:
        yield FieldError.too_large(ASSETS, size, MAX_STORED_BYTES)


def stored_bytes(value: object) -> int:
    """Return the bytes that the API server stores for a value, with FIELD_BYTES for each field.

    It writes `<`, `>`, `&` and two separators of lines as 6 characters, like `\\u003c`. Returns 0
    for a value that is nested too deeply to be written, which `sound_config` refuses.
    """
    try:
        text = to_json(value, by_alias=True, exclude_none=True)
    except ValueError:  # nested too deeply, or a lone surrogate: stored as a character of 3 bytes
        try:
            plain = to_jsonable_python(value, by_alias=True, exclude_none=True)
        except ValueError:
            return 0
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
    return (
        len(text)
        + FIELD_BYTES * text.count(b'":')
        + 5 * (text.count(b"<") + text.count(b">") + text.count(b"&"))
        + (0 if text.isascii() else 3 * sum(map(text.count, LONGER_SEPARATORS)))
    )


def dependencies(spec: AssetRegistrySpec, _: datetime) -> Iterator[Finding]:
    """Edges lead to something that exists, once each, and never back to where they came from."""
    if _each_after_what_it_needs(spec.assets):
        return
    names = {asset.name for asset in spec.assets}
    for index, asset in enumerate(spec.assets):
        path = (*ASSETS, index, "dependsOn")
        yield from duplicates(asset.depends_on, partial(_item, path))
        for place, target in enumerate(asset.depends_on):
            if target == asset.name:
                yield FieldError.invalid((*path, place), target, "an asset can't need itself")
            elif target not in names and not is_reference(target) and not is_uuid(target):
                yield FieldError.invalid(
                    (*path, place),
                    target,
                    "is neither the name of an asset of this object, nor a reference such as"
                    " crd/NAMESPACE/OBJECT.ASSET, nor the UUID of an asset in the registry",
                )
    yield from _cycles(spec.assets)


def _each_after_what_it_needs(assets: list[Asset]) -> bool:
    """Then nothing is unknown and no way leads back."""
    before: set[str] = set()
    for asset in assets:
        needed = asset.depends_on
        if asset.name in before:
            return False
        if needed and not (before.issuperset(needed) and len(set(needed)) == len(needed)):
            return False
        before.add(asset.name)
    return True


WHOLE = Part(
    (
        Rule(paths("assets"), bounded_size),
        Rule(paths("assets.*.name"), unique_names),
        ItemRule(ASSETS, unique_tags, needs=("tags",), clean=has_unique_tags),
        ItemRule(ASSETS, sound_config, needs=("type", "config"), clean=has_sound_configs),
        Rule(paths("assets.*.name", "assets.*.dependsOn"), dependencies),
    ),
    breaks_schema=has_doubles,
)


def forbidden_transitions(old: AssetRegistrySpec, new: AssetRegistrySpec) -> Iterator[FieldError]:
    """Report status changes between two versions that the lifecycle forbids."""
    before = {asset.name: asset.status for asset in old.assets or ()}
    for index, asset in enumerate(new.assets or ()):
        status = before.get(asset.name) if asset.name is not None else None
        if status is None or asset.status is None:
            continue
        if not may_become(status, asset.status):
            yield FieldError.invalid(
                (*ASSETS, index, "status"), asset.status.value, transition_problem(status)
            )


def transition_problem(status: AssetStatus) -> str:
    """Return the statuses that may follow a status, as the end of a sentence."""
    allowed = ", ".join(sorted(ALLOWED_TRANSITIONS[status]))
    return f"the asset is {status} and may become only {allowed}"


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in the usual form of 36 lower-case characters."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _item(path: Path, index: int) -> Path:
    return (*path, index)


def _cycles(assets: list[Asset]) -> Iterator[FieldError]:
    """Report the first edge of an asset that closes a cycle, and print the cycle.

    Not at each: 500 assets that all need each other would make 160 MB of messages. Depth first
    with an explicit stack: a chain of 500 assets must not recurse 500 deep.
    """
    graph: Mapping[str, list[str]] = {asset.name: asset.depends_on for asset in assets}
    index_of = {asset.name: index for index, asset in enumerate(assets)}
    done: set[str] = set()
    closing: set[str] = set()
    for asset in assets:
        trail: dict[str, Iterator[tuple[int, str]]] = {}
        if asset.name not in done:
            trail[asset.name] = _edges(graph[asset.name])
        while trail:
            name = next(reversed(trail))
            place, target = next(trail[name], (-1, ""))
            if place < 0:
                done.add(name)
                del trail[name]
            elif target in trail and target != name and name not in closing:
                closing.add(name)
                steps = list(trail)
                cycle = [*steps[steps.index(target) :], target]
                path = (*ASSETS, index_of[name], "dependsOn", place)
                yield FieldError.invalid(path, target, f"closes the cycle {_printed(cycle)}")
            elif target in graph and target not in done and target not in trail:
                trail[target] = _edges(graph[target])


def _printed(cycle: list[str]) -> str:
    """Return a cycle as text, `a -> b -> a`, without the middle of a long one."""
    if len(cycle) > PRINTED_STEPS:
        half = PRINTED_STEPS // 2
        cycle = [*cycle[:half], f"({len(cycle) - 2 * half} more)", *cycle[-half:]]
    return " -> ".join(cycle)


def _edges(targets: list[str]) -> Iterator[tuple[int, str]]:
    """Each target once, with the index where it first stands."""
    first: dict[str, int] = {}
    for index, target in enumerate(targets):
        first.setdefault(target, index)
    return iter([(index, target) for target, index in first.items()])
