"""`POST /api/v1/assets:batch`: many creations, changes and deletions, all or none of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, ClassVar
from uuid import UUID

import marshmallow as ma
from flask import Response, request
from marshmallow import fields

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
from tradingbot_registry.rest.asset_json import asset_json
from tradingbot_registry.rest.batch_items import MAX_ITEMS, BatchSchema, Operation
from tradingbot_registry.rest.blueprint import (
    BY_ID_ERRORS,
    REPEATED_ERRORS,
    USER_ERRORS,
    WRITE_ERRORS,
    RestBlueprint,
)
from tradingbot_registry.rest.body import JSON, complaints, messages_of, read_json
from tradingbot_registry.rest.idempotency import IDEMPOTENCY_KEY, REPLAYED, answered
from tradingbot_registry.rest.query import NoQuery
from tradingbot_registry.rest.read_only import AnswerSchema
from tradingbot_registry.rest.request_context import GuardedView, store, until_current, writes
from tradingbot_registry.rest.responses import AssetSchema

blueprint = RestBlueprint(
    "batch", __name__, url_prefix="/api/v1", description="Many changes in one transaction."
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
                {
                    "op": item.op,
                    "id": str(item.id),
                    "asset": asset_json(assets[str(item.id)]) if str(item.id) in assets else None,
                }
                for item in items
            ]
            return {"items": results}, {}

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
