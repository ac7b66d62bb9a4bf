"""`POST /api/v1/assets:batch`: many creations, changes and deletions, all or none of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Any, ClassVar
from uuid import UUID

import marshmallow as ma
from flask import Response, request
from marshmallow import fields, validate

from tradingbot_registry.inventory.precondition import Precondition, Versions
from tradingbot_registry.inventory.record import Record, Wanted
from tradingbot_registry.refusals import (
    AssetNotFoundError,
    Complaint,
    InvalidError,
    RefusedError,
    StorageError,
    pointer,
)
from tradingbot_registry.rest import reading
from tradingbot_registry.rest.asset_fields import REQUIRED, Whole, unique
from tradingbot_registry.rest.blueprint import (
    BY_ID_ERRORS,
    REPEATED_ERRORS,
    USER_ERRORS,
    WRITE_ERRORS,
    RestBlueprint,
    ref_to,
)
from tradingbot_registry.rest.body import JSON, complaints, messages_of, read_json
from tradingbot_registry.rest.idempotency import IDEMPOTENCY_KEY, REPLAYED, answered
from tradingbot_registry.rest.query import NoQuery
from tradingbot_registry.rest.read_only import EXAMPLE_ID, AnswerSchema
from tradingbot_registry.rest.request_context import GuardedView, store, until_current, writes
from tradingbot_registry.rest.requests import (
    DEPENDENCY_PATTERN,
    MAX_DEPENDENCIES,
    CreateSchema,
    PatchSchema,
    depends_on_item,
)
from tradingbot_registry.rest.responses import AssetSchema

MAX_ITEMS = 500

blueprint = RestBlueprint(
    "batch", __name__, url_prefix="/api/v1", description="Many changes in one transaction."
)


class Operation(StrEnum):
    """What an item does."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


REF = "[A-Za-z0-9._-]{1,64}"
"""The name of a new asset within a request."""


class VersionField(fields.Integer):
    """A whole number from 1; 2.0 is one as well (JSON Schema, 6.1.1), "2" is not."""

    def _validated(self, value: Any) -> int:
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        return super()._validated(whole)


class ObjectField(fields.Field[dict[str, Any]]):
    """A JSON object that the view reads itself."""

    default_error_messages = {"invalid": "Must be an object."}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        return value


def _asset(schema: str, description: str) -> ObjectField:
    return ObjectField(
        required=True,
        error_messages=REQUIRED,
        metadata={"allOf": [ref_to(schema)], "description": description},
    )


def _depends_on(**options: Any) -> fields.List[Any]:
    return fields.List(
        depends_on_item(f"{DEPENDENCY_PATTERN}|#{REF}"),
        data_key="dependsOn",
        validate=[validate.Length(max=MAX_DEPENDENCIES), unique],
        metadata={
            "description": "As elsewhere, or `#ref` of a creation in this request.",
            "uniqueItems": True,
        },
        **options,
    )


class BatchAssetSchema(CreateSchema):
    """A new asset of a batch."""

    depends_on = _depends_on(load_default=list)


class BatchPatchSchema(PatchSchema):
    """The changes of an asset in a batch."""

    depends_on = _depends_on(allow_none=True)


def _op(operation: Operation) -> fields.String:
    return fields.String(
        required=True,
        validate=validate.OneOf([operation.value]),
        metadata={"description": "What to do.", "example": operation.value},
    )


class BatchCreateSchema(ma.Schema):
    """Create an asset."""

    op = _op(Operation.CREATE)
    ref = fields.String(
        validate=Whole(REF, "Must be 1 to 64 letters, digits, '.', '_', '-'."),
        metadata={
            "description": "A name for the asset within this request. `dependsOn` of other items"
            " may have it, as `#ref`. Each only once.",
            "example": "db",
        },
    )
    asset = _asset("BatchAsset", "The asset, as for createAsset.")


class _ExistingSchema(ma.Schema):
    """An operation on an asset that there is."""

    id = fields.UUID(
        required=True,
        error_messages=REQUIRED,
        metadata={"description": "Id of the asset.", "example": EXAMPLE_ID},
    )
    version = VersionField(
        strict=True,
        validate=validate.Range(min=1),
        metadata={"description": "Only if the asset has this version; else 412."},
    )
    force = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={"description": "As the parameter `force` of patchAsset and deleteAsset."},
    )


class BatchUpdateSchema(_ExistingSchema):
    """Change an asset."""

    op = _op(Operation.UPDATE)
    patch = _asset("BatchPatch", "The changes, as for patchAsset.")


class BatchDeleteSchema(_ExistingSchema):
    """Delete an asset."""

    op = _op(Operation.DELETE)


ITEMS: Mapping[Operation, type[ma.Schema]] = {
    Operation.CREATE: BatchCreateSchema,
    Operation.UPDATE: BatchUpdateSchema,
    Operation.DELETE: BatchDeleteSchema,
}

DOCUMENTED: Mapping[str, type[ma.Schema]] = {
    "BatchAsset": BatchAssetSchema,
    "BatchPatch": BatchPatchSchema,
    **{f"Batch{op.value.capitalize()}": schema for op, schema in ITEMS.items()},
}
"""Schemas of the document that no other one nests."""


class ItemField(fields.Field[dict[str, Any]]):
    """One operation: which keys it has depends on `op`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        if not isinstance(value, dict):
            raise ma.ValidationError("Must be an object.")
        if value.get("op") not in list(Operation):
            raise ma.ValidationError({"op": [f"Must be one of: {', '.join(Operation)}."]})
        op = Operation(value["op"])
        return {**ITEMS[op]().load(value), "op": op}


class BatchSchema(ma.Schema):
    """Operations. Creations are done first, then updates, then deletions."""

    items = fields.List(
        ItemField(metadata={"oneOf": [ref_to(f"Batch{op.capitalize()}") for op in Operation]}),
        required=True,
        error_messages=REQUIRED,
        validate=validate.Length(min=1, max=MAX_ITEMS),
        metadata={"description": f"At most {MAX_ITEMS}; each asset at most once."},
    )


class BatchResultSchema(AnswerSchema):
    """What an operation did."""

    op = fields.String(metadata={"description": "The operation.", "enum": list(Operation)})
    id = fields.String(metadata={"description": "Id of the asset.", "format": "uuid"})
    asset = fields.Nested(
        AssetSchema,
        allow_none=True,
        metadata={"description": "The asset after the request; null: deleted."},
    )


class BatchAnswerSchema(AnswerSchema):
    """What the operations did, in the order of the request."""

    items = fields.List(
        fields.Nested(BatchResultSchema), metadata={"description": "One for each operation."}
    )


@dataclass(frozen=True, slots=True)
class Item:
    """An operation, parsed as far as that needs no asset of the database."""

    index: int
    op: Operation
    id: UUID
    given: Mapping[str, Any]
    wanted: Wanted | None = None

    @property
    def precondition(self) -> Precondition:
        version = self.given.get("version")
        return Precondition(None if version is None else Versions(frozenset({version})))

    @property
    def force(self) -> bool:
        return bool(self.given.get("force", False))


@blueprint.at("/assets:batch")
class Batch(GuardedView):
    """Many changes."""

    verbs: ClassVar = {"POST": ("create", "patch", "delete")}

    @blueprint.documents(operationId="batchAssets")
    @blueprint.takes(NoQuery, location="query")
    @blueprint.reads(BatchSchema)
    @blueprint.heeds(IDEMPOTENCY_KEY)
    @blueprint.answers(
        200, BatchAnswerSchema, description="All operations were done.", headers=REPLAYED
    )
    @blueprint.refuses(WRITE_ERRORS, BY_ID_ERRORS, USER_ERRORS, REPEATED_ERRORS)
    def post(self, _: Any) -> Response:
        """Create, update and delete assets in one transaction.

        If one operation is refused, nothing is changed, and the problem has its place as `item`.
        """
        items = _parsed(read_json(request, JSON))

        def carry_out() -> tuple[Any, Mapping[str, str]]:
            until_current(lambda: _apply(items))
            assets = store().reads.assets([item.id for item in items])
            results = [
                {"op": item.op, "id": str(item.id), "asset": assets.get(str(item.id))}
                for item in items
            ]
            return BatchAnswerSchema().dump({"items": results}), {}

        return answered(request, 200, carry_out)


def _apply(items: Sequence[Item]) -> None:
    updates = _read_updates([item for item in items if item.op is Operation.UPDATE])
    inventory = writes().without_causes()

    def unit() -> None:
        for item in _dependencies_first(items):
            if item.wanted is not None:
                with _refusals_of(item.index, "asset"):
                    inventory.create(item.wanted, asset_id=item.id)
        acyclic = inventory.closing_none([(before, wanted) for _, before, wanted in updates])
        for item, before, wanted in updates:
            with _refusals_of(item.index, "patch"):
                inventory.change(before, wanted, force=item.force, acyclic=before.seq in acyclic)
        for item in items:
            if item.op is Operation.DELETE:
                with _refusals_of(item.index):
                    inventory.delete(item.id, precondition=item.precondition, force=item.force)

    inventory.together(unit)


def _read_updates(items: Sequence[Item]) -> list[tuple[Item, Record, Wanted]]:
    found = store().reads.assets([item.id for item in items])
    updates = []
    for item in items:
        with _refusals_of(item.index, "patch"):
            before = found.get(str(item.id))
            if before is None:
                raise AssetNotFoundError(f"no asset has the id {item.id}")
            item.precondition.check(before.version)
            updates.append((item, before, reading.patched(item.given["patch"], before)))
    return updates


def _parsed(document: Any) -> list[Item]:
    """Return the operations with their references replaced by ids. Raises InvalidError."""
    given = _loaded(document)
    found: list[Complaint] = []
    ids: dict[str, UUID] = {}
    used: set[UUID] = set()
    for index, item in enumerate(given):
        if item["op"] is Operation.CREATE:
            item["id"] = writes().new_id()
            if item.get("ref") in ids:
                found.append(Complaint(pointer("items", index, "ref"), "Given twice."))
            elif "ref" in item:
                ids[item["ref"]] = item["id"]
        elif item["id"] in used:
            found.append(Complaint(pointer("items", index, "id"), "Each asset at most once."))
        used.add(item["id"])
    items = []
    for index, item in enumerate(given):
        part = "patch" if item["op"] is Operation.UPDATE else "asset"
        if part in item:
            found += _replace_references(item[part], ids, pointer("items", index, part))
        wanted = None
        if item["op"] is Operation.CREATE:
            try:
                with _refusals_of(index, "asset"):
                    wanted = reading.created(item["asset"])
            except InvalidError as error:
                found += error.complaints
        items.append(Item(index, item["op"], item["id"], item, wanted))
    if found:
        raise InvalidError(found)
    return items


def _loaded(document: Any) -> list[dict[str, Any]]:
    items = document.get("items") if isinstance(document, dict) else None
    # The schema reads each item before it counts them, and a body holds a quarter of a million.
    if isinstance(items, list) and len(items) > MAX_ITEMS:
        raise InvalidError([Complaint(pointer("items"), f"May have at most {MAX_ITEMS} items.")])
    try:
        loaded: list[dict[str, Any]] = BatchSchema().load(document)["items"]
    except ma.ValidationError as error:
        raise InvalidError([*complaints(messages_of(error))]) from error
    return loaded


def _replace_references(
    body: dict[str, Any], ids: Mapping[str, UUID], place: str
) -> Iterator[Complaint]:
    targets = body.get("dependsOn")
    if not isinstance(targets, list):
        return
    for at, target in enumerate(targets):
        if isinstance(target, str) and target.startswith("#"):
            known = ids.get(target.removeprefix("#"))
            if known is None:
                yield Complaint(f"{place}{pointer('dependsOn', at)}", "No item has this ref.")
            # What is not known is refused above; here it only has to be well-formed, and unique.
            targets[at] = str(known or UUID(int=at))


def _dependencies_first(items: Sequence[Item]) -> list[Item]:
    """Return the creations, each after those that it depends on. Raises InvalidError."""
    new = {str(item.id): item for item in items if item.wanted is not None}
    edges = {
        asset_id: [target for target in item.wanted.depends_on if target in new]
        for asset_id, item in new.items()
        if item.wanted is not None
    }
    try:
        return [new[asset_id] for asset_id in TopologicalSorter(edges).static_order()]
    except CycleError as error:
        places = ", ".join(str(new[asset_id].index) for asset_id in error.args[1])
        raise InvalidError(
            [Complaint(pointer("items"), f"Items depend on one another in a cycle: {places}.")]
        ) from error


@contextmanager
def _refusals_of(index: int, part: str | None = None) -> Iterator[None]:
    """Let a refusal say which item is refused."""
    try:
        yield
    except InvalidError as error:
        place = pointer("items", index, *([part] if part else []))
        raise InvalidError(
            [Complaint(f"{place}{found.where}", found.message) for found in error.complaints]
        ) from error
    except StorageError:
        raise
    except RefusedError as error:
        error.detail = f"item {index}: {error.detail}"
        error.members["item"] = index
        raise
