"""Whether the definitions are installed, and are those of this version. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tradingbot_api.model import JsonObject

from tradingbot_cli.doctor.facts import Seen, Unseen
from tradingbot_cli.doctor.findings import Finding, failed, listed, ok, unknown, warning
from tradingbot_cli.doctor.remedies import DEFINITIONS

_INNER = frozenset({"properties", "items", "additionalProperties"})
_WORDING = "description"


def judge_crds(wanted: Iterable[JsonObject], seen: Mapping[str, Seen]) -> Iterator[Finding]:
    """One finding for each definition of `wanted`; `seen` has them by name."""
    for crd in wanted:
        yield _judge(crd, seen[crd["metadata"]["name"]])


def _judge(wanted: JsonObject, found: Seen) -> Finding:
    name = wanted["metadata"]["name"]
    check = f"crd/{name}"
    if isinstance(found, Unseen):
        return unknown(check, found.why)
    if found is None:
        message = "is not installed: there can be no object of this kind"
        return failed(check, "Missing", message, DEFINITIONS)
    if not _established(found):
        problem = f"is not served yet, or its names are taken: kubectl describe crd {name}"
        return failed(check, "NotEstablished", "is there and not served", problem)
    every = tuple(differences(wanted, found))
    serious = [one for one in every if not one.endswith(f": {_WORDING}")]
    if serious:
        message = f"is not that of this version: {listed(serious)}"
        return failed(check, "Outdated", message, DEFINITIONS)
    if every:
        message = f"describes {len(every)} fields in the words of another version"
        return warning(check, "Outdated", message, DEFINITIONS)
    return ok(check, "is that of this version, and served")


def differences(wanted: JsonObject, found: JsonObject) -> Iterator[str]:
    """Where a stored definition is not `wanted`: a field and what about it, or a version.

    What the API server adds of itself is no difference.
    """
    ours, theirs = wanted["spec"], found.get("spec", {})
    for key in ("group", "scope"):
        if ours[key] != theirs.get(key):
            yield f"its {key}"
    if not ours["names"].items() <= theirs.get("names", {}).items():
        yield "its names"
    stored = {version["name"]: version for version in theirs.get("versions", [])}
    for version in ours["versions"]:
        name = version["name"]
        if name not in stored:
            yield f"version {name} is missing"
            continue
        other = stored.pop(name)
        for key in sorted(version.keys() - {"name", "schema"}):
            if version[key] != other.get(key):
                yield f"version {name}: {key}"
        yield from _fields(_schema(version), _schema(other), "")
    for name in sorted(stored):
        yield f"version {name} is not of this version of the product"


def _fields(wanted: JsonObject, found: JsonObject, field: str) -> Iterator[str]:
    for key in sorted((wanted.keys() | found.keys()) - _INNER):
        if wanted.get(key) != found.get(key):
            yield f"{field or 'the object'}: {key}"
    ours, theirs = wanted.get("properties", {}), found.get("properties", {})
    for name in sorted(ours.keys() | theirs.keys()):
        inner = f"{field}.{name}" if field else name
        if name not in theirs:
            yield f"{inner} is missing"
        elif name not in ours:
            yield f"{inner} is of another version"
        else:
            yield from _fields(ours[name], theirs[name], inner)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        one, other = wanted.get(key), found.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _fields(one, other, field + mark)
        elif one != other:
            yield f"{field or 'the object'}: {key}"


def _schema(version: JsonObject) -> JsonObject:
    schema: JsonObject = version.get("schema", {}).get("openAPIV3Schema", {})
    return schema


def _established(crd: JsonObject) -> bool:
    conditions = crd.get("status", {}).get("conditions", [])
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
