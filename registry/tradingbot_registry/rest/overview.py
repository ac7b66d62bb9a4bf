"""`/api/v1/facets` and others that show the inventory as a whole."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from flask import request

from tradingbot_registry.inventory.listing import Listing
from tradingbot_registry.rest.blueprint import RestBlueprint
from tradingbot_registry.rest.long_poll import wait_for_change
from tradingbot_registry.rest.query import ChangesQuery, FilterQuery
from tradingbot_registry.rest.request_context import GuardedView, store
from tradingbot_registry.rest.responses import ChangesSchema, FacetsSchema

blueprint = RestBlueprint(
    "overview", __name__, url_prefix="/api/v1", description="The inventory as a whole."
)


@blueprint.at("/changes")
class Changes(GuardedView):
    """The feed."""

    verbs: ClassVar = {"GET": ("list",)}

    @blueprint.documents(operationId="listChanges")
    @blueprint.takes(ChangesQuery, location="query")
    @blueprint.answers(200, ChangesSchema, description="The changes, oldest first.")
    @blueprint.refuses()
    def get(self, query: Mapping[str, int]) -> Any:
        """Follow the changes of all assets, deletions included."""
        found = store().reads.changes(since=query["since"], limit=query["limit"])
        if not found.items:
            wait_for_change(request.environ, query["wait"])
        return {"changes": found.items, "last": found.last}


@blueprint.at("/facets")
class FacetsView(GuardedView):
    """Numbers."""

    verbs: ClassVar = {"GET": ("list",)}

    @blueprint.documents(operationId="countAssets")
    @blueprint.takes(FilterQuery, location="query")
    @blueprint.answers(200, FacetsSchema, description="Numbers of the assets that match.")
    @blueprint.refuses()
    def get(self, wanted: Listing) -> Any:
        """Count assets by type, status, manager and tag."""
        found = asdict(store().reads.facets(wanted))
        return {
            name: [{"value": key, "count": number} for key, number in value]
            if isinstance(value, tuple)
            else value
            for name, value in found.items()
        }
