"""What every call needs: the parts of the running registry, and its connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from flask import Flask, Response, current_app, g, request
from flask.views import MethodView

from tradingbot_registry.auth import Gate
from tradingbot_registry.catalog import Catalog
from tradingbot_registry.condition import Condition
from tradingbot_registry.database import SqliteFile
from tradingbot_registry.reading import entity_tag
from tradingbot_registry.record import Record

EXTENSION = "tradingbot_registry"


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one running registry."""

    catalog: Catalog
    gate: Gate

    @property
    def database(self) -> SqliteFile:
        """Where it is all kept."""
        return self.catalog.database


def service() -> Service:
    """The registry that this request is for."""
    return cast("Service", current_app.extensions[EXTENSION])


class GuardedView(MethodView):
    """A view that says which verbs on `assets.registry.trading.io` each method needs."""

    verbs: ClassVar[Mapping[str, tuple[str, ...]]]


def admit() -> None:
    """Let the request in, or raise why not. A method that names no verb is not served."""
    view: Any = current_app.view_functions[request.endpoint or ""]
    verbs: Mapping[str, tuple[str, ...]] = view.view_class.verbs
    method = "GET" if request.method == "HEAD" else request.method
    if method == "OPTIONS":
        return
    g.actor = service().gate.admit(request.headers.get("Authorization"), verbs[method])


def connect() -> None:
    """Open this request's connection."""
    service().database.connect(reuse_if_open=True)


def disconnect(app: Flask) -> None:
    """Close it again, whatever happened."""
    database = app.extensions[EXTENSION].database
    if not database.is_closed():
        database.close()


def condition() -> Condition:
    """The condition that the request's headers put on a write."""
    etags = request.if_match
    if_match = None
    if "If-Match" in request.headers:
        if_match = frozenset({"*"} if etags.star_tag else etags.as_set())
    return Condition(if_match=if_match, only_if_absent=request.if_none_match.star_tag)


def tagged(asset: Record) -> dict[str, str]:
    """The headers of an answer that shows the asset."""
    return {"ETag": f'"{entity_tag(asset)}"'}


def not_modified(asset: Record) -> Response | None:
    """304, if the client has this very answer already; a weak tag is as good (RFC 9110, 13.1.2)."""
    if "If-None-Match" in request.headers and request.if_none_match.contains_weak(
        entity_tag(asset)
    ):
        return Response(status=304, headers=tagged(asset))
    return None
