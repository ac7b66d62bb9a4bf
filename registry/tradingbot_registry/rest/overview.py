"""`/api/v1/facets` and others that show the inventory as a whole."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from flask import Response, current_app, request

from tradingbot_registry.inventory.filters import Listing
from tradingbot_registry.inventory.picture import View
from tradingbot_registry.rest.blueprint import BY_ID_ERRORS, HISTORY_ERRORS, RestBlueprint
from tradingbot_registry.rest.drawing import dot, mermaid
from tradingbot_registry.rest.long_poll import wait_for_change
from tradingbot_registry.rest.query import ChangesQuery, FilterQuery, GraphFormat, GraphQuery
from tradingbot_registry.rest.request_context import GuardedView, ReadScope, store
from tradingbot_registry.rest.responses import ChangesPageSchema, FacetsSchema, GraphSchema

DOT = "text/vnd.graphviz"
MERMAID = "text/vnd.mermaid"
GRAPH = "The assets and their dependencies, as JSON or as text for Graphviz or Mermaid."

blueprint = RestBlueprint(
    "overview", __name__, url_prefix="/api/v1", description="The inventory as a whole."
)


@blueprint.at("/graph")
class Graph(GuardedView):
    """The picture."""

    verbs: ClassVar = {"GET": ("list",)}
    reads = ReadScope.NAMED_NAMESPACES

    @blueprint.documents(operationId="getGraph")
    @blueprint.takes(GraphQuery, location="query")
    @blueprint.answers(200, GraphSchema, description=GRAPH)
    @blueprint.also_answers(200, {"type": "string"}, description=GRAPH, content_type=DOT)
    @blueprint.also_answers(200, {"type": "string"}, description=GRAPH, content_type=MERMAID)
    @blueprint.refuses(BY_ID_ERRORS)
    def get(self, query: Mapping[str, Any]) -> Any:
        """Get the dependency graph, or what is around an asset."""
        view = View(
            query["limit"],
            depth=query["depth"],
            direction=query["direction"],
            namespaces=tuple(query["namespace"]),
        )
        picture = store().reads.picture(query["root"], view)
        match query["format"]:
            case GraphFormat.DOT:
                return Response(dot(picture), content_type=f"{DOT}; charset=utf-8")
            case GraphFormat.MERMAID:
                return Response(mermaid(picture), content_type=f"{MERMAID}; charset=utf-8")
        edges = [{"source": source, "target": target} for source, target in picture.edges]
        shown = {"nodes": picture.nodes, "edges": edges, "truncated": picture.truncated}
        return current_app.json.response(GraphSchema().dump(shown))


@blueprint.at("/changes")
class Changes(GuardedView):
    """The feed."""

    verbs: ClassVar = {"GET": ("list",)}
    reads = ReadScope.NAMED_NAMESPACES

    @blueprint.documents(operationId="listChanges")
    @blueprint.takes(ChangesQuery, location="query")
    @blueprint.answers(200, ChangesPageSchema, description="The changes, oldest first.")
    @blueprint.refuses(HISTORY_ERRORS)
    def get(self, query: Mapping[str, Any]) -> Any:
        """Follow the changes of all assets, deletions included."""
        found = store().reads.changes(
            since=query["since"], limit=query["limit"], namespaces=query["namespace"]
        )
        # Without `since`, a change would not be shown after the wait either.
        if not found.items and query["since"] is not None:
            wait_for_change(request.environ, query["wait"], after=found.last)
        return {"changes": found.items, "last": found.last}


@blueprint.at("/facets")
class FacetsView(GuardedView):
    """Numbers."""

    verbs: ClassVar = {"GET": ("list",)}
    reads = ReadScope.NAMED_NAMESPACES

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
