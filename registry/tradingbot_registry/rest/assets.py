"""`/api/v1/assets`: the inventory, by id."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar
from uuid import UUID

from flask import Response, request, url_for

from tradingbot_registry.inventory import graph, listing, reads
from tradingbot_registry.inventory.listing import Listing
from tradingbot_registry.inventory.record import ManagedBy, Record, Wanted
from tradingbot_registry.inventory.writes import Deletion
from tradingbot_registry.problems import (
    Complaint,
    InvalidError,
    pointer,
)
from tradingbot_registry.rest.blueprint import (
    BY_ID_ERRORS,
    DELETE_ERRORS,
    USER_ERRORS,
    WRITE_ERRORS,
    RestBlueprint,
)
from tradingbot_registry.rest.body import MERGE_PATCH, loaded, merge_patch, read_json
from tradingbot_registry.rest.query import (
    DeleteQuery,
    ListQuery,
    NoQuery,
    WalkQuery,
    WriteQuery,
)
from tradingbot_registry.rest.request_context import (
    GuardedView,
    not_modified,
    precondition,
    service,
    tagged,
)
from tradingbot_registry.rest.requests import (
    EXAMPLE_ID,
    IDENTITY,
    CreateSchema,
    PatchSchema,
    ReplaceSchema,
)
from tradingbot_registry.rest.responses import AssetSchema, DeletionSchema, ReachedSchema
from tradingbot_registry.storage.database import snapshot

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
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "Write only if the asset still has one of these ETags; else 412.",
    "schema": {"type": "string"},
    "example": '"3"',
}
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

    @blueprint.documents(operationId="listAssets")
    @blueprint.takes(ListQuery, location="query")
    @blueprint.answers(
        200,
        AssetSchema(many=True),
        description="The assets of the page.",
        headers={
            "X-Pagination": {
                "description": "JSON: page, page_size, total and total_pages.",
                "schema": {
                    "type": "string",
                    "example": '{"page": 1, "page_size": 50, "total": 120, "total_pages": 3}',
                },
            },
            "Link": {
                "description": "The first, previous, next and last page (RFC 8288).",
                "schema": {"type": "string"},
            },
        },
    )
    @blueprint.refuses()
    def get(self, wanted: Listing) -> tuple[Any, int, Mapping[str, str]]:
        """Find assets."""
        with snapshot(service().database):
            page = listing.find(wanted)
        return page.items, 200, _pagination(page)

    @blueprint.documents(operationId="createAsset")
    @blueprint.takes(NoQuery, location="query")
    @blueprint.takes(CreateSchema)
    @blueprint.answers(201, AssetSchema, description="The created asset.", headers=ETAG | LOCATION)
    @blueprint.refuses(WRITE_ERRORS)
    def post(self, _: Any, wanted: Wanted) -> tuple[Any, int, Mapping[str, str]]:
        """Add an asset."""
        asset = service().inventory.create(wanted)
        return asset, 201, tagged(asset) | location(asset)


@blueprint.at("/<uuid:asset_id>", parameters=[ASSET_ID])
class OneAsset(GuardedView):
    """One of them."""

    verbs: ClassVar = {
        "GET": ("get",),
        "PUT": ("update",),
        "PATCH": ("patch",),
        "DELETE": ("delete",),
    }

    @blueprint.documents(operationId="getAsset")
    @blueprint.takes(NoQuery, location="query")
    @blueprint.heeds(IF_NONE_MATCH)
    @blueprint.answers(200, AssetSchema, description="The asset.", headers=ETAG)
    @blueprint.also_answers(304, description="The client's copy is current.")
    @blueprint.refuses(BY_ID_ERRORS)
    def get(self, _: Any, *, asset_id: UUID) -> Any:
        """Get an asset."""
        with snapshot(service().database):
            asset = reads.record(reads.by_id(asset_id))
        return not_modified(asset) or (asset, 200, tagged(asset))

    @blueprint.documents(operationId="replaceAsset")
    @blueprint.takes(WriteQuery, location="query")
    @blueprint.takes(ReplaceSchema)
    @blueprint.heeds(IF_MATCH)
    @blueprint.answers(200, AssetSchema, description="The asset after the change.", headers=ETAG)
    @blueprint.refuses(WRITE_ERRORS, BY_ID_ERRORS, USER_ERRORS)
    def put(self, query: Mapping[str, bool], wanted: Wanted, *, asset_id: UUID) -> Any:
        """Replace an asset.

        A body that changes nothing makes no new version.
        """
        sent = request.get_json()

        def revise(asset: Record) -> Wanted:
            _check_identity(asset, sent)
            return replace(wanted, managed_by=ManagedBy(asset.managed_by))

        asset = service().inventory.change(
            asset_id, revise, precondition=precondition(), force=query["force"]
        )
        return asset, 200, tagged(asset)

    @blueprint.takes(WriteQuery, location="query")
    @blueprint.documents(
        operationId="patchAsset",
        requestBody={
            "required": True,
            "content": {
                MERGE_PATCH: {
                    "schema": PatchSchema,
                    "examples": {
                        "activate": {"summary": "Activate it", "value": {"status": "Active"}},
                        "configure": {
                            "summary": "Set one key of config and remove another",
                            "value": {"config": {"host": "db2.internal", "port": None}},
                        },
                    },
                }
            },
        },
    )
    @blueprint.heeds(IF_MATCH)
    @blueprint.answers(200, AssetSchema, description="The asset after the change.", headers=ETAG)
    @blueprint.refuses(WRITE_ERRORS, BY_ID_ERRORS, USER_ERRORS)
    def patch(self, query: Mapping[str, bool], *, asset_id: UUID) -> Any:
        """Change parts of an asset.

        A JSON merge patch (RFC 7396): objects are merged, null removes, arrays are replaced.
        """
        sent = read_json(request, MERGE_PATCH)

        def revise(asset: Record) -> Wanted:
            shown = AssetSchema().dump(asset)
            merged = merge_patch(shown, sent)
            schema = ReplaceSchema()
            schema.keeps_config = isinstance(sent, Mapping) and "config" not in sent
            wanted: Wanted = loaded(schema, merged)
            _check_identity(asset, merged)
            return replace(wanted, managed_by=ManagedBy(asset.managed_by))

        asset = service().inventory.change(
            asset_id, revise, precondition=precondition(), force=query["force"]
        )
        return asset, 200, tagged(asset)

    @blueprint.documents(operationId="deleteAsset")
    @blueprint.takes(DeleteQuery, location="query")
    @blueprint.heeds(IF_MATCH)
    @blueprint.answers(204, description="It is gone.")
    @blueprint.also_answers(
        200, DeletionSchema, description="With dry_run: what the deletion would do."
    )
    @blueprint.refuses(DELETE_ERRORS, BY_ID_ERRORS, USER_ERRORS)
    def delete(self, query: Mapping[str, bool], *, asset_id: UUID) -> Any:
        """Delete an asset.

        Refused while other assets depend on it, unless `force` detaches them.
        """
        deletion = service().inventory.delete(asset_id, precondition=precondition(), **query)
        if query["dry_run"]:
            return _preview(deletion)
        return Response(status=204)


@blueprint.at("/<uuid:asset_id>/dependencies", parameters=[ASSET_ID])
class Dependencies(GuardedView):
    """What an asset needs."""

    verbs: ClassVar = {"GET": ("list",)}

    @blueprint.documents(operationId="listDependencies")
    @blueprint.takes(WalkQuery, location="query")
    @blueprint.answers(200, ReachedSchema(many=True), description="Nearest first.")
    @blueprint.refuses(BY_ID_ERRORS)
    def get(self, query: Mapping[str, Any], *, asset_id: UUID) -> Any:
        """List what an asset depends on, directly or not."""
        return _walk(asset_id, graph.Direction.DEPENDENCIES, query)


@blueprint.at("/<uuid:asset_id>/dependents", parameters=[ASSET_ID])
class Dependents(GuardedView):
    """What needs an asset."""

    verbs: ClassVar = {"GET": ("list",)}

    @blueprint.documents(operationId="listDependents")
    @blueprint.takes(WalkQuery, location="query")
    @blueprint.answers(200, ReachedSchema(many=True), description="Nearest first.")
    @blueprint.refuses(BY_ID_ERRORS)
    def get(self, query: Mapping[str, Any], *, asset_id: UUID) -> Any:
        """List what depends on an asset, directly or not."""
        return _walk(asset_id, graph.Direction.DEPENDENTS, query)


def _walk(asset_id: UUID, direction: graph.Direction, query: Mapping[str, Any]) -> Any:
    with snapshot(service().database):
        reached = graph.walk(
            reads.by_id(asset_id).seq,
            direction,
            max_depth=query["depth"],
            types=query["type"],
            statuses=query["status"],
        )
    return [{**asdict(step.asset), "depth": step.depth} for step in reached]


def location(asset: Record) -> dict[str, str]:
    """Return the `Location` header of a new asset."""
    return {"Location": url_for("assets.OneAsset", asset_id=asset.id)}


def _check_identity(asset: Record, sent: Mapping[str, Any]) -> None:
    """Refuse a body that would change what was settled when the asset was made."""
    shown = AssetSchema(only=("id", "managed_by", "external_ref")).dump(asset)
    changed = [key for key in sorted(IDENTITY & sent.keys()) if sent[key] != shown[key]]
    if changed:
        raise InvalidError(
            [
                Complaint(pointer(key), f"Read-only: leave it out, or as it is: {shown[key]}.")
                for key in changed
            ]
        )


def _preview(deletion: Deletion) -> Any:
    preview = {
        "asset": deletion.asset,
        "allowed": deletion.allowed,
        "dependents": deletion.dependents,
    }
    return DeletionSchema().dump(preview), 200


def _pagination(page: listing.Page) -> dict[str, str]:
    summary = {
        "page": page.page,
        "page_size": page.page_size,
        "total": page.total,
        "total_pages": page.pages,
    }
    places = {"first": 1, "prev": page.page - 1, "next": page.page + 1, "last": page.pages}
    links = [
        f'<{_page_url(number)}>; rel="{relation}"'
        for relation, number in places.items()
        if 1 <= number <= page.pages
    ]
    headers = {"X-Pagination": json.dumps(summary)}
    return headers | ({"Link": ", ".join(links)} if links else {})


def _page_url(number: int) -> str:
    arguments: dict[str, Any] = request.args.to_dict(flat=False)
    return url_for("assets.Assets", **{**arguments, "page": number})
