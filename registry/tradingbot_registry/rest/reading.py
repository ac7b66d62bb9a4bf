"""From the JSON of a body to a requested asset, with everything that is wrong named at once.

A field that the body leaves as it is stored is not checked again, as admission does: an asset that
a newer rule would refuse can still be changed elsewhere.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import marshmallow as ma
from tradingbot_api.asset import AssetStatus, AssetType

from tradingbot_registry.inventory.record import ManagedBy, Record, Wanted, same_json
from tradingbot_registry.refusals import Complaint, InvalidError, pointer
from tradingbot_registry.rest.asset_json import asset_json
from tradingbot_registry.rest.body import NUL_REFUSED, complaints, merge_patch, messages_of
from tradingbot_registry.rest.read_only import COMPUTED, IDENTITY
from tradingbot_registry.rest.requests import (
    CreateSchema,
    ReplaceSchema,
    UpsertSchema,
    WantedSchema,
)

FREE_TEXT = ("description", "config")
"""Fields whose texts no pattern limits."""

_CREATE, _REPLACE, _UPSERT = CreateSchema(), ReplaceSchema(), UpsertSchema()
# Once: an instance copies all fields of its class.


def created(document: Any) -> Wanted:
    """Read a new asset of users. Raises InvalidError."""
    settled = {"managedBy": ManagedBy.USER, "externalRef": None}
    return _read(_CREATE, document, settled=settled, before=None)


def replaced(document: Any, before: Record) -> Wanted:
    """Read a whole asset as users want it. Raises InvalidError."""
    return _read(_REPLACE, document, settled=_shown(before), before=before)


def patched(patch: Any, before: Record) -> Wanted:
    """Apply a merge patch to the asset as it is shown, and read the result. Raises InvalidError."""
    return replaced(merge_patch(_shown(before), patch), before)


def upserted(document: Any, ref: str, before: Record | None) -> Wanted:
    """Read an asset as its owner wants it. Raises InvalidError."""
    settled = {**({} if before is None else {"id": before.id}), "externalRef": ref}
    return _read(_UPSERT, document, settled=settled, before=before)


def _shown(asset: Record) -> dict[str, Any]:
    return asset_json(asset)


def _read(
    schema: WantedSchema, document: Any, *, settled: Mapping[str, Any], before: Record | None
) -> Wanted:
    if not isinstance(document, Mapping):
        return _loaded(schema, document, [], partial=())
    attributes = {field.data_key or name: name for name, field in schema.load_fields.items()}
    settled_fields = IDENTITY - attributes.keys()
    found = list(_unsettled(document, settled_fields, settled))
    given = {key: value for key, value in document.items() if key not in COMPUTED | settled_fields}
    kept: dict[str, Any] = {}
    if before is not None:
        shown, typed = _shown(before), _typed(before)
        for key in attributes.keys() & given.keys():
            if _same(given[key], shown[key]):
                kept[attributes[key]] = typed[attributes[key]]
                del given[key]
        if "managed_by" not in schema.load_fields:
            kept["managed_by"] = typed["managed_by"]
    schema = copy(schema)  # which shares the fields
    schema.kept = kept
    found += [Complaint(pointer(key), NUL_REFUSED) for key in FREE_TEXT if _has_nul(given.get(key))]
    return _loaded(schema, given, found, partial=tuple(kept))


def _loaded(
    schema: ma.Schema, document: Any, found: list[Complaint], *, partial: tuple[str, ...]
) -> Wanted:
    try:
        wanted: Wanted = schema.load(document, partial=partial)
    except ma.ValidationError as error:
        raise InvalidError([*found, *complaints(messages_of(error))]) from error
    if found:
        raise InvalidError(found)
    return wanted


def _unsettled(
    document: Mapping[str, Any], keys: frozenset[str], settled: Mapping[str, Any]
) -> Iterator[Complaint]:
    """Find fields that a body would change, and that are settled when an asset is created."""
    for key in sorted(keys & document.keys()):
        if key not in settled:
            yield Complaint(pointer(key), "Read-only: leave it out.")
        elif document[key] != settled[key]:
            as_it_is = "leave it out, or as it is"
            yield Complaint(pointer(key), f"Read-only: {as_it_is}: {settled[key]}.")


def _typed(asset: Record) -> dict[str, Any]:
    """Return the fields of a stored asset by the attributes of the schemas."""
    return {
        "name": asset.name,
        "type": AssetType(asset.type),
        "status": AssetStatus(asset.status),
        "description": asset.description,
        "tags": asset.tags,
        "config": asset.config,
        "secret_ref": asset.secret_ref,
        "depends_on": asset.depends_on,
        "managed_by": ManagedBy(asset.managed_by),
    }


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a field are the same. Lists, of tags or dependencies, are sets."""
    if isinstance(one, list) and isinstance(other, list):
        return same_json(sorted(map(str, one)), sorted(map(str, other)))
    return same_json(one, other)


def _has_nul(value: Any) -> bool:
    remaining = [value]
    while remaining:
        inner = remaining.pop()
        if isinstance(inner, str) and "\0" in inner:
            return True
        if isinstance(inner, Mapping):
            remaining += [*inner.keys(), *inner.values()]
        elif isinstance(inner, list):
            remaining += inner
    return False
