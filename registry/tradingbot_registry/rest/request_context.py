"""Parts of the registry that each request needs, and its connection."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

from flask import Flask, current_app, g, request
from flask.views import MethodView

from tradingbot_registry.auth.gate import Gate, authorization
from tradingbot_registry.inventory.history import Origin
from tradingbot_registry.inventory.store import Store
from tradingbot_registry.inventory.writes import StaleError, Writes
from tradingbot_registry.refusals import UnavailableError

EXTENSION = "tradingbot_registry"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a registry."""

    store: Store
    gate: Gate


def service() -> Service:
    """Return the registry of this request."""
    return cast("Service", current_app.extensions[EXTENSION])


def store() -> Store:
    """Return the inventory of this request."""
    return service().store


def writes() -> Writes:
    """Return the writes of this request, which are recorded as its caller's."""
    return store().writes.by(Origin(g.actor, g.request_id))


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
    g.actor = service().gate.admit(authorization(request.headers.get), verbs[method])


def connect() -> None:
    """Open the connection of this request."""
    store().database.connect(reuse_if_open=True)


def disconnect(app: Flask) -> None:
    """Close the connection."""
    database = app.extensions[EXTENSION].store.database
    if not database.is_closed():
        database.close()


ATTEMPTS = 100
"""How often a change is tried again because others changed the asset meanwhile."""


def until_current(attempt: Callable[[], T]) -> T:
    """Return the result of `attempt`, which reads an asset and writes it as it then is.

    Each repetition means that another write has succeeded. Raises UnavailableError.
    """
    for _ in range(ATTEMPTS):
        try:
            return attempt()
        except StaleError:
            continue
    raise UnavailableError("others change this asset all the time")
