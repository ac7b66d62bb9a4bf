"""Judge whether the CRDs are installed and match this version. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tradingbot_api.model import JsonObject

from tradingbot_cli.doctor.facts import Seen, Unseen
from tradingbot_cli.doctor.findings import Finding, failed, listed, ok, unknown, warning
from tradingbot_cli.doctor.remedies import DEFINITIONS

_INNER = frozenset({"properties", "items", "additionalProperties"})
_WORDING = "description"


def judge_crds(wanted: Iterable[JsonObject], seen: Mapping[str, Seen]) -> Iterator[Finding]:
    """Yield one finding for each CRD of `wanted`; `seen` has the stored ones by name."""
    for crd in wanted:
        yield _judge(crd, seen[crd["metadata"]["name"]])


def _judge(wanted: JsonObject, found: Seen) -> Finding:
    name = wanted["metadata"]["name"]
    check = f"crd/{name}"
    if isinstance(found, Unseen):
        return unknown(check, found.why)
    if found is None:
        message = "is not installed: no object of this kind can exist"
        return failed(check, "Missing", message, DEFINITIONS)
    if not _established(found):
        problem = f"see why it is not served: kubectl describe crd {name}"
        return failed(check, "NotEstablished", "exists and is not served", problem)
    every = tuple(differences(wanted, found))
    serious = [difference for difference in every if not difference.endswith(f": {_WORDING}")]
    if serious:
        message = f"differs from this version: {listed(serious)}"
        return failed(check, "Outdated", message, DEFINITIONS)
    if every:
        message = f"describes {len(every)} fields with the text of another version"
        return warning(check, "Outdated", message, DEFINITIONS)
    return ok(check, "matches this version and is served")


def differences(wanted: JsonObject, found: JsonObject) -> Iterator[str]:
    """Return where a stored CRD differs from `wanted`: field or version.

    Defaults that the API server adds are not differences.
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
        yield f"version {name} is not part of this version of the product"


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
    return any(
        condition["type"] == "Established" and condition["status"] == "True"
        for condition in conditions
    )
