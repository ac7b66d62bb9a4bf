"""What a catalogue of assets must hold to, beyond the form of each field."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from uuid import UUID

from tradingbot_api.asset import (
    ALLOWED_TRANSITIONS,
    AssetStatus,
    config_problems,
    may_become,
    plainly_sound,
)
from tradingbot_api.assetregistry import Asset, AssetRegistrySpec
from tradingbot_api.errors import FieldError, Path
from tradingbot_api.rules import Finding, ItemRule, Rule, paths

ASSETS: Path = ("spec", "assets")
PRINTED_STEPS = 40
"""Of a cycle; 100 errors with 500 names each would be 3 MB."""


def unique_names(spec: AssetRegistrySpec, _: datetime) -> Iterator[Finding]:
    """A name means one asset."""
    seen = set()
    for index, asset in enumerate(spec.assets):
        if asset.name in seen:
            yield FieldError.duplicate((*ASSETS, index, "name"), asset.name)
        seen.add(asset.name)


def has_doubles(spec: AssetRegistrySpec) -> bool:
    """Whether a name, or a tag or dependency of an asset, stands twice."""
    return len({asset.name for asset in spec.assets}) < len(spec.assets) or any(
        len(set(values)) < len(values)
        for asset in spec.assets
        for values in (asset.tags, asset.depends_on)
    )


def unique_tags(where: Path, asset: Asset, _: datetime) -> Iterator[Finding]:
    """A tag stands once."""
    yield from _duplicates((*where, "tags"), asset.tags)


def has_unique_tags(spec: AssetRegistrySpec) -> bool:
    """Whether `unique_tags` has nothing against any asset."""
    return all(len(set(asset.tags)) == len(asset.tags) for asset in spec.assets)


def sound_config(where: Path, asset: Asset, _: datetime) -> Iterator[Finding]:
    """Each type has the keys it needs, and none holds a credential."""
    for problem in config_problems(asset.type, asset.config):
        path = (*where, "config", *problem.pointer)
        if problem.missing:
            yield FieldError.required(path, problem.message)
        elif problem.pointer:
            yield FieldError.forbidden(path, problem.message)
        else:
            yield FieldError.invalid(path, asset.config, problem.message)


def has_sound_configs(spec: AssetRegistrySpec) -> bool:
    """Whether `sound_config` plainly has nothing against any asset."""
    return plainly_sound((asset.type, asset.config) for asset in spec.assets)


def dependencies(spec: AssetRegistrySpec, _: datetime) -> Iterator[Finding]:
    """Edges lead to something that exists, once each, and never back to where they came from."""
    if _each_after_what_it_needs(spec.assets):
        return
    names = {asset.name for asset in spec.assets}
    for index, asset in enumerate(spec.assets):
        path = (*ASSETS, index, "dependsOn")
        yield from _duplicates(path, asset.depends_on)
        for place, target in enumerate(asset.depends_on):
            if target == asset.name:
                yield FieldError.invalid((*path, place), target, "an asset can't need itself")
            elif target not in names and not is_uuid(target):
                yield FieldError.invalid(
                    (*path, place),
                    target,
                    "is neither the name of an asset of this object nor the UUID of one in the"
                    " registry",
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


RULES = (
    Rule(paths("assets.*.name"), unique_names),
    ItemRule(ASSETS, unique_tags, needs=("tags",), clean=has_unique_tags),
    ItemRule(ASSETS, sound_config, needs=("type", "config"), clean=has_sound_configs),
    Rule(paths("assets.*.name", "assets.*.dependsOn"), dependencies),
)


def forbidden_transitions(old: AssetRegistrySpec, new: AssetRegistrySpec) -> Iterator[FieldError]:
    """Steps that the lifecycle does not know, between two versions of a catalogue."""
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
    """What an asset of that status may become, as the end of a sentence."""
    allowed = ", ".join(sorted(ALLOWED_TRANSITIONS[status]))
    return f"the asset is {status} and may become only {allowed}"


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in the usual form of 36 lower-case characters."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _duplicates(path: Path, values: list[str]) -> Iterator[FieldError]:
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            yield FieldError.duplicate((*path, index), value)
        seen.add(value)


def _cycles(assets: list[Asset]) -> Iterator[FieldError]:
    """An error at the first edge of an asset that closes a cycle, with the cycle printed.

    Not at each: 500 assets that all need each other would make 160 MB of messages. Depth first
    with a stack of its own: a chain of 500 assets is no reason to recurse 500 deep.
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
    """`a -> b -> a`; the middle of a cycle that nobody could follow is left out."""
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
