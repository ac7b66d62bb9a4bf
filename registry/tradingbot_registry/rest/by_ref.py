"""`/api/v1/assets/by-ref/...`: the same assets for their owners, who know them by reference."""

from collections.abc import Mapping
from typing import Any, ClassVar

from flask import Response

from tradingbot_registry import reading
from tradingbot_registry.database import snapshot
from tradingbot_registry.record import ExternalRef, Wanted
from tradingbot_registry.rest.assets import (
    ETAG,
    IF_MATCH,
    IF_NONE_MATCH,
    PREFIX,
    location,
)
from tradingbot_registry.rest.blueprint import DELETING, ONE, WRITING, RestBlueprint
from tradingbot_registry.rest.query import NoQuery, OwnersDeleteQuery, WriteQuery
from tradingbot_registry.rest.service import (
    GuardedView,
    condition,
    not_modified,
    service,
    tagged,
)
from tradingbot_registry.rest.shown import AssetSchema
from tradingbot_registry.rest.wanted import UpsertSchema, checked_ref

blueprint = RestBlueprint(
    "by-ref",
    __name__,
    url_prefix=f"{PREFIX}/by-ref",
    description="The inventory, for the controllers that keep assets.",
)

PATH = [
    {
        "name": "source",
        "in": "path",
        "description": "What kind of thing keeps the asset.",
        "example": "crd",
    },
    {"name": "namespace", "in": "path", "description": "Its namespace.", "example": "default"},
    {
        "name": "name",
        "in": "path",
        "description": "Its name there.",
        "example": "catalogue.orders-db",
    },
]


@blueprint.at("/<source>/<namespace>/<name>", parameters=PATH)
class ReferredAsset(GuardedView):
    """One asset."""

    verbs: ClassVar = {"GET": ("get",), "PUT": ("create", "update"), "DELETE": ("delete",)}

    @blueprint.documents(operationId="getAssetByRef")
    @blueprint.takes(NoQuery, location="query")
    @blueprint.heeds(IF_NONE_MATCH)
    @blueprint.answers(200, AssetSchema, description="The asset.", headers=ETAG)
    @blueprint.also_answers(304, description="The client has it already.")
    @blueprint.refuses(ONE)
    def get(self, _: Any, *, source: str, namespace: str, name: str) -> Any:
        """Get an asset by its reference."""
        with snapshot(service().database):
            asset = reading.record(reading.by_ref(ExternalRef(source, namespace, name)))
        return not_modified(asset) or (asset, 200, tagged(asset))

    @blueprint.documents(operationId="upsertAssetByRef")
    @blueprint.takes(WriteQuery, location="query")
    @blueprint.takes(UpsertSchema)
    @blueprint.heeds(IF_MATCH)
    @blueprint.answers(200, AssetSchema, description="The asset as it is now.", headers=ETAG)
    @blueprint.also_answers(201, AssetSchema, description="The asset, which is new.")
    @blueprint.refuses(WRITING)
    def put(
        self, query: Mapping[str, bool], wanted: Wanted, *, source: str, namespace: str, name: str
    ) -> Any:
        """Make an asset what its owner wants it to be.

        Creates it if it is not there; changes nothing, and makes no new version, if it is as
        wanted already. Assets that waited for this reference now depend on it.
        """
        asset, new = service().catalog.upsert(
            checked_ref(source, namespace, name),
            wanted,
            condition=condition(),
            force=query["force"],
        )
        return asset, (201 if new else 200), tagged(asset) | (location(asset) if new else {})

    @blueprint.documents(operationId="deleteAssetByRef")
    @blueprint.takes(OwnersDeleteQuery, location="query")
    @blueprint.heeds(IF_MATCH)
    @blueprint.answers(204, description="It is gone.")
    @blueprint.refuses(DELETING, ONE)
    def delete(
        self, query: Mapping[str, bool], *, source: str, namespace: str, name: str
    ) -> Response:
        """Delete an asset by its reference."""
        service().catalog.delete(
            ExternalRef(source, namespace, name), condition=condition(), force=query["force"]
        )
        return Response(status=204)
