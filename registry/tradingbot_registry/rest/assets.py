"""`/api/v1/assets`: the inventory, by id."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID

from flask import Response, request, url_for

from tradingbot_registry.inventory.graph import Direction, Walk
from tradingbot_registry.inventory.listing import position_types
from tradingbot_registry.inventory.record import Record, Wanted, seen_from
from tradingbot_registry.inventory.writes import Deletion
from tradingbot_registry.rest import paging, reading
from tradingbot_registry.rest.asset_json import answer, asset_json, parts_json
from tradingbot_registry.rest.blueprint import (
    BY_ID_ERRORS,
    DELETE_ERRORS,
    HISTORY_ERRORS,
    REPEATED_ERRORS,
    USER_ERRORS,
    WRITE_ERRORS,
    RestBlueprint,
    ref_to,
)
from tradingbot_registry.rest.body import JSON, MERGE_PATCH, read_json
from tradingbot_registry.rest.cursor import decode
from tradingbot_registry.rest.entity_tags import (
    LIST_PATTERN,
    not_modified,
    precondition,
    tagged,
    without_body,
)
from tradingbot_registry.rest.idempotency import IDEMPOTENCY_KEY, REPLAYED, answered
from tradingbot_registry.rest.query import (
    DeleteQuery,
    HistoryQuery,
    ListQuery,
    ListRequest,
    NoQuery,
    WalkQuery,
    WriteQuery,
)
from tradingbot_registry.rest.read_only import EXAMPLE_ID
from tradingbot_registry.rest.request_context import (
    GuardedView,
    ReadScope,
    readable,
    store,
    until_current,
    writes,
)
from tradingbot_registry.rest.requests import (
    CreateSchema,
    PatchSchema,
    ReplaceSchema,
)
from tradingbot_registry.rest.responses import (
    AssetSchema,
    ChangesPageSchema,
    DeletionSchema,
    ReachedSchema,
)

PREFIX = "/api/v1/assets"

blueprint = RestBlueprint(
    "assets", __name__, url_prefix=PREFIX, description="The inventory, by id."
)

ASSET_ID = {
    "name": "asset_id",
    "in": "path",
    "description": "The asset's `id`.",
    "example": EXAMPLE_ID,
}
ETAG = {
    "ETag": {
        "description": "Version of the asset, for If-Match and If-None-Match.",
        "schema": {"type": "string", "example": '"3"'},
    }
}
LOCATION = {
    "Location": {
        "description": "URL of the asset.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}
PATCH_EXAMPLES = {
    "activate": {"summary": "Activate it", "value": {"status": "Active"}},
    "configure": {
        "summary": "Set one key of config and remove another",
        "value": {"config": {"host": "db2.internal", "port": None}},
    },
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "Write only if the asset still has one of these ETags, or exists (`*`); else"
    " 412.",
    "schema": {"type": "string", "pattern": LIST_PATTERN},
    "example": '"3"',
}
UNLESS = {
    "name": "If-None-Match",
    "in": "header",
    "description": "Write only if the asset has none of these ETags, or does not exist (`*`); else"
    " 412.",
    "schema": {"type": "string", "pattern": LIST_PATTERN},
    "example": '"3"',
}
PRECONDITIONS = (IF_MATCH, UNLESS)
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "Answer 304, without a body, if the asset still has this ETag.",
    "schema": {"type": "string"},
    "example": '"3"',
}


@blueprint.at("")
class Assets(GuardedView):
    """All of them."""

    verbs: ClassVar = {"GET": ("list",), "POST": ("create",)}
    reads = ReadScope.NAMED_NAMESPACES

    @blueprint.documents(operationId="listAssets")
    @blueprint.takes(ListQuery, location="query")
    @blueprint.answers(
        200,
        {"type": "array", "items": {"anyOf": [ref_to("Asset"), ref_to("AssetPart")]}},
        description="The assets of the page; with `fields` parts of them.",
        headers=paging.HEADERS,
    )
    @blueprint.refuses()
    def get(self, wanted: ListRequest) -> Response:
        """Find assets."""
        listing = wanted.listing
        if wanted.cursor is not None:
            kinds = position_types(listing)
            after = decode(wanted.cursor, paging.identity(listing), kinds)
            listing = replace(listing, after=after)
        page = store().reads.page(listing)
        return answer(parts_json(page.items, wanted.fields), 200, paging.of_list(page, listing))

    @blueprint.documents(operationId="createAsset")
    @blueprint.takes(NoQuery, location="query")
    @blueprint.reads(CreateSchema)
    @blueprint.heeds(IDEMPOTENCY_KEY)
    @blueprint.answers(
        201, AssetSchema, description="The created asset.", headers=ETAG | LOCATION | REPLAYED
    )
    @blueprint.refuses(WRITE_ERRORS, REPEATED_ERRORS)
    def post(self, _: Any) -> Response:
        """Add an asset."""
        wanted = reading.created(read_json(request, JSON))

        def carry_out() -> tuple[Any, Mapping[str, str]]:
            asset = writes().create(wanted)
            return asset_json(asset), tagged(asset) | location(asset)

        return answered(request, 201, carry_out)


@blueprint.at("/<uuid:asset_id>", parameters=[ASSET_ID])
class OneAsset(GuardedView):
    """One of them."""

    verbs: ClassVar = {
        "GET": ("get",),
        "PUT": ("update",),
        "PATCH": ("patch",),
        "DELETE": ("delete",),
    }
    reads = ReadScope.NAMESPACE_OF_ASSET

    @blueprint.documents(operationId="getAsset")
    @blueprint.takes(NoQuery, location="query")
    @blueprint.heeds(IF_NONE_MATCH)
    @blueprint.answers(200, AssetSchema, description="The asset.", headers=ETAG)
    @blueprint.also_answers(304, description="The client's copy is current.")
    @blueprint.refuses(BY_ID_ERRORS)
    def get(self, _: Any, *, asset_id: UUID) -> Any:
        """Get an asset."""
        namespaces = readable(lambda: store().reads.external_ref_of(asset_id))
        return shown(store().reads.asset(asset_id), namespaces)

    @blueprint.documents(operationId="replaceAsset")
    @blueprint.takes(WriteQuery, location="query")
    @blueprint.reads(ReplaceSchema)
    @blueprint.heeds(*PRECONDITIONS)
    @blueprint.answers(200, AssetSchema, description="The asset after the change.", headers=ETAG)
    @blueprint.refuses(WRITE_ERRORS, BY_ID_ERRORS, USER_ERRORS)
    def put(self, query: Mapping[str, bool], *, asset_id: UUID) -> Any:
        """Replace an asset.

        A body that changes nothing makes no new version.
        """
        document = read_json(request, JSON)
        return _change(asset_id, lambda asset: reading.replaced(document, asset), **query)

    @blueprint.takes(WriteQuery, location="query")
    @blueprint.documents(operationId="patchAsset")
    @blueprint.reads(PatchSchema, MERGE_PATCH, examples=PATCH_EXAMPLES)
    @blueprint.heeds(*PRECONDITIONS)
    @blueprint.answers(200, AssetSchema, description="The asset after the change.", headers=ETAG)
    @blueprint.refuses(WRITE_ERRORS, BY_ID_ERRORS, USER_ERRORS)
    def patch(self, query: Mapping[str, bool], *, asset_id: UUID) -> Any:
        """Change parts of an asset.

        A JSON merge patch (RFC 7396): objects are merged, null removes, arrays are replaced.
        """
        patch = read_json(request, MERGE_PATCH)
        return _change(asset_id, lambda asset: reading.patched(patch, asset), **query)

    @blueprint.documents(operationId="deleteAsset")
    @blueprint.takes(DeleteQuery, location="query")
    @blueprint.heeds(*PRECONDITIONS)
    @blueprint.answers(204, description="It is gone.")
    @blueprint.also_answers(
        200, DeletionSchema, description="With dry_run: what the deletion would do."
    )
    @blueprint.refuses(DELETE_ERRORS, BY_ID_ERRORS, USER_ERRORS)
    def delete(self, query: Mapping[str, bool], *, asset_id: UUID) -> Any:
        """Delete an asset.

        Refused while other assets depend on it, unless `force` detaches them.
        """
        deletion = writes().delete(asset_id, precondition=precondition(request), **query)
        if query["dry_run"]:
            return _preview(deletion)
        return without_body(204)


@blueprint.at("/<uuid:asset_id>/dependencies", parameters=[ASSET_ID])
class Dependencies(GuardedView):
    """What an asset needs."""

    verbs: ClassVar = {"GET": ("list",)}
    reads = ReadScope.NAMED_NAMESPACES

    @blueprint.documents(operationId="listDependencies")
    @blueprint.takes(WalkQuery, location="query")
    @blueprint.answers(
        200, ReachedSchema(many=True), description="Nearest first.", headers=paging.WALK_HEADERS
    )
    @blueprint.refuses(BY_ID_ERRORS)
    def get(self, query: Mapping[str, Any], *, asset_id: UUID) -> Any:
        """List what an asset depends on, directly or not."""
        return _walk(asset_id, Direction.DEPENDENCIES, query)


@blueprint.at("/<uuid:asset_id>/dependents", parameters=[ASSET_ID])
class Dependents(GuardedView):
    """What needs an asset."""

    verbs: ClassVar = {"GET": ("list",)}
    reads = ReadScope.NAMED_NAMESPACES

    @blueprint.documents(operationId="listDependents")
    @blueprint.takes(WalkQuery, location="query")
    @blueprint.answers(
        200, ReachedSchema(many=True), description="Nearest first.", headers=paging.WALK_HEADERS
    )
    @blueprint.refuses(BY_ID_ERRORS)
    def get(self, query: Mapping[str, Any], *, asset_id: UUID) -> Any:
        """List what depends on an asset, directly or not."""
        return _walk(asset_id, Direction.DEPENDENTS, query)


@blueprint.at("/<uuid:asset_id>/changes", parameters=[ASSET_ID])
class History(GuardedView):
    """What was changed of an asset."""

    verbs: ClassVar = {"GET": ("get",)}
    reads = ReadScope.NAMESPACE_OF_ASSET

    @blueprint.documents(operationId="listAssetChanges")
    @blueprint.takes(HistoryQuery, location="query")
    @blueprint.answers(200, ChangesPageSchema, description="The changes, oldest first.")
    @blueprint.refuses(BY_ID_ERRORS, HISTORY_ERRORS)
    def get(self, query: Mapping[str, int], *, asset_id: UUID) -> Any:
        """List the changes of an asset, which may be deleted."""
        readable(lambda: store().reads.external_ref_of(asset_id))
        found = store().reads.history(asset_id, since=query["since"], limit=query["limit"])
        return {"changes": found.items, "last": found.last}


def _walk(asset_id: UUID, direction: Direction, query: Mapping[str, Any]) -> Any:
    wanted = Walk(
        direction,
        max_depth=query["depth"],
        types=tuple(query["type"]),
        statuses=tuple(query["status"]),
        namespaces=tuple(query["namespace"]),
        page_size=query["page_size"],
    )
    identity = (asset_id, paging.identity(wanted))
    if query["cursor"] is not None:
        wanted = replace(wanted, after=decode(query["cursor"], identity, (int, int)))
    page = store().reads.walk(asset_id, wanted)
    steps = [{**step.asset.as_json(), "depth": step.depth} for step in page.items]
    return answer(steps, 200, paging.of_walk(page, wanted, identity))


def shown(asset: Record, namespaces: frozenset[str] | None) -> Any:
    """Return the answer with an asset as readers of these namespaces see it; None: of all."""
    seen = asset if namespaces is None else seen_from(asset, namespaces)
    return not_modified(request, seen) or answer(asset_json(seen), 200, tagged(seen))


def location(asset: Record) -> dict[str, str]:
    """Return the `Location` header of a new asset."""
    return {"Location": url_for("assets.OneAsset", asset_id=asset.id)}


def _change(asset_id: UUID, wanted: Callable[[Record], Wanted], *, force: bool) -> Any:
    condition = precondition(request)

    def attempt() -> Record:
        before = store().reads.asset(asset_id)
        condition.check(before.version)
        return writes().change(before, wanted(before), force=force)

    asset = until_current(attempt)
    return answer(asset_json(asset), 200, tagged(asset))


def _preview(deletion: Deletion) -> Any:
    preview = {
        "asset": deletion.asset,
        "allowed": deletion.allowed,
        "dependents": deletion.dependents.listed,
        "total": deletion.dependents.total,
    }
    return DeletionSchema().dump(preview), 200
