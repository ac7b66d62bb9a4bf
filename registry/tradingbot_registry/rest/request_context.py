"""Parts of the registry that each request needs, and its connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from flask import Flask, Response, current_app, g, request
from flask.views import MethodView

from tradingbot_registry.auth.gate import Gate
from tradingbot_registry.inventory.precondition import Precondition
from tradingbot_registry.inventory.reads import entity_tag
from tradingbot_registry.inventory.record import Record
from tradingbot_registry.inventory.writes import Inventory
from tradingbot_registry.storage.database import SqliteFile

EXTENSION = "tradingbot_registry"


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a registry."""

    inventory: Inventory
    gate: Gate

    @property
    def database(self) -> SqliteFile:
        """The database of the inventory."""
        return self.inventory.database


def service() -> Service:
    """Return the registry of this request."""
    return cast("Service", current_app.extensions[EXTENSION])


class GuardedView(MethodView):
    """A view with the verbs on `assets.registry.trading.io` that each method needs."""

    verbs: ClassVar[Mapping[str, tuple[str, ...]]]


def admit() -> None:
    """Authorize the request, or raise. A method without verbs is not served."""
    view: Any = current_app.view_functions[request.endpoint or ""]
    verbs: Mapping[str, tuple[str, ...]] = view.view_class.verbs
    method = "GET" if request.method == "HEAD" else request.method
    if method == "OPTIONS":
        return
    g.actor = service().gate.admit(request.headers.get("Authorization"), verbs[method])


def connect() -> None:
    """Open the connection of this request."""
    service().database.connect(reuse_if_open=True)


def disconnect(app: Flask) -> None:
    """Close the connection."""
    database = app.extensions[EXTENSION].database
    if not database.is_closed():
        database.close()


def precondition() -> Precondition:
    """Return the precondition in the headers of the request."""
    etags = request.if_match
    if_match = None
    if "If-Match" in request.headers:
        if_match = frozenset({"*"} if etags.star_tag else etags.as_set())
    return Precondition(if_match=if_match, only_if_absent=request.if_none_match.star_tag)


def tagged(asset: Record) -> dict[str, str]:
    """Return the headers of an answer that shows the asset."""
    return {"ETag": f'"{entity_tag(asset)}"'}


def not_modified(asset: Record) -> Response | None:
    """Return 304 if the client has this version. A weak tag is as good (RFC 9110, 13.1.2)."""
    if "If-None-Match" in request.headers and request.if_none_match.contains_weak(
        entity_tag(asset)
    ):
        return Response(status=304, headers=tagged(asset))
    return None
