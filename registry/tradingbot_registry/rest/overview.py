"""`/api/v1/facets` and others that show the inventory as a whole."""

from dataclasses import asdict
from typing import Any, ClassVar

from tradingbot_registry.inventory.listing import Listing
from tradingbot_registry.rest.blueprint import RestBlueprint
from tradingbot_registry.rest.query import FilterQuery
from tradingbot_registry.rest.request_context import GuardedView, store
from tradingbot_registry.rest.responses import FacetsSchema

blueprint = RestBlueprint(
    "overview", __name__, url_prefix="/api/v1", description="The inventory as a whole."
)


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
