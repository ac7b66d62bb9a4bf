"""`/api/v1/assets/by-ref/...`: the inventory, by external reference, for owners."""

from collections.abc import Mapping
from typing import Any, ClassVar

from flask import Response, request
from tradingbot_api.asset import REFERENCE_PATTERN

from tradingbot_registry.inventory.record import ExternalRef, Record
from tradingbot_registry.rest import reading
from tradingbot_registry.rest.asset_json import answer, asset_json
from tradingbot_registry.rest.assets import (
    ETAG,
    IF_NONE_MATCH,
    PRECONDITIONS,
    PREFIX,
    location,
    shown,
)
from tradingbot_registry.rest.blueprint import (
    BY_ID_ERRORS,
    DELETE_ERRORS,
    WRITE_ERRORS,
    RestBlueprint,
)
from tradingbot_registry.rest.body import JSON, read_json
from tradingbot_registry.rest.entity_tags import (
    precondition,
    tagged,
    without_body,
)
from tradingbot_registry.rest.query import NoQuery, OwnersDeleteQuery, UpsertQuery
from tradingbot_registry.rest.request_context import (
    GuardedView,
    ReadScope,
    readable,
    store,
    until_current,
    writes,
)
from tradingbot_registry.rest.requests import UpsertSchema, checked_ref
from tradingbot_registry.rest.responses import AssetSchema

blueprint = RestBlueprint(
    "by-ref",
    __name__,
    url_prefix=f"{PREFIX}/by-ref",
    description="The inventory, by external reference: for controllers.",
)

SOURCE, NAMESPACE, NAME = (f"^{part}$" for part in REFERENCE_PATTERN.split("/"))

PATH = [
    {
        "name": "source",
        "in": "path",
        "description": "The kind of owner.",
        "schema": {"type": "string", "pattern": SOURCE},
        "example": "crd",
    },
    {
        "name": "namespace",
        "in": "path",
        "description": "Namespace of the owner.",
        "schema": {"type": "string", "pattern": NAMESPACE},
        "example": "default",
    },
    {
        "name": "name",
        "in": "path",
        "description": "Name of the asset at its owner.",
        "schema": {"type": "string", "pattern": NAME},
        "example": "registry.orders-db",
    },
]


@blueprint.at("/<source>/<namespace>/<name>", parameters=PATH)
class ReferredAsset(GuardedView):
    """One asset."""

    verbs: ClassVar = {"GET": ("get",), "PUT": ("create", "update"), "DELETE": ("delete",)}
    reads = ReadScope.NAMESPACE_OF_ASSET

    @blueprint.documents(operationId="getAssetByRef")
    @blueprint.takes(NoQuery, location="query")
    @blueprint.heeds(IF_NONE_MATCH)
    @blueprint.answers(200, AssetSchema, description="The asset.", headers=ETAG)
    @blueprint.also_answers(304, description="The client's copy is current.")
    @blueprint.refuses(BY_ID_ERRORS)
    def get(self, _: Any, *, source: str, namespace: str, name: str) -> Any:
        """Get an asset by its reference."""
        ref = ExternalRef(source, namespace, name)
        namespaces = readable(lambda: str(ref))
        return shown(store().reads.asset_by_ref(ref), namespaces)

    @blueprint.documents(operationId="upsertAssetByRef")
    @blueprint.takes(UpsertQuery, location="query")
    @blueprint.reads(UpsertSchema)
    @blueprint.heeds(*PRECONDITIONS)
    @blueprint.answers(200, AssetSchema, description="The asset after the change.", headers=ETAG)
    @blueprint.also_answers(201, AssetSchema, description="The created asset.")
    @blueprint.refuses(WRITE_ERRORS)
    def put(self, query: Mapping[str, Any], *, source: str, namespace: str, name: str) -> Any:
        """Make an asset what its owner wants it to be.

        Creates it if it is not there; changes nothing, and makes no new version, if it is as
        wanted already. Assets that waited for this reference now depend on it.
        """
        ref = checked_ref(source, namespace, name)
        document, condition = read_json(request, JSON), precondition(request)

        def attempt() -> tuple[Record, bool]:
            before = store().reads.find_by_ref(ref)
            condition.check(None if before is None else before.version)
            wanted = reading.upserted(document, str(ref), before)
            if before is None:
                return writes().create(wanted, ref=ref), True
            return writes().change(before, wanted, as_owner=True, **query), False

        asset, new = until_current(attempt)
        headers = tagged(asset) | (location(asset) if new else {})
        return answer(asset_json(asset), 201 if new else 200, headers)

    @blueprint.documents(operationId="deleteAssetByRef")
    @blueprint.takes(OwnersDeleteQuery, location="query")
    @blueprint.heeds(*PRECONDITIONS)
    @blueprint.answers(204, description="It is gone.")
    @blueprint.refuses(DELETE_ERRORS, BY_ID_ERRORS)
    def delete(
        self, query: Mapping[str, bool], *, source: str, namespace: str, name: str
    ) -> Response:
        """Delete an asset by its reference.

        Refused while other assets depend on it, unless `force` removes their dependency or
        `unresolve` leaves them waiting for the reference.
        """
        writes().delete(
            ExternalRef(source, namespace, name), precondition=precondition(request), **query
        )
        return without_body(204)
