"""Parts of the registry that each request needs, and its connection."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypeVar, cast

from flask import Flask, current_app, g, request
from flask.views import MethodView

from tradingbot_registry.auth.gate import Gate, authorization
from tradingbot_registry.inventory.history import Origin
from tradingbot_registry.inventory.record import namespace_of
from tradingbot_registry.inventory.store import Store
from tradingbot_registry.inventory.writes import StaleError, Writes
from tradingbot_registry.refusals import ForbiddenError, UnavailableError
from tradingbot_registry.rest.query import MAX_NAMESPACES, NAMESPACE

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


class ReadScope(Enum):
    """What a caller may see who may read some namespaces."""

    EVERYTHING = "everything, or nothing"
    NAMED_NAMESPACES = "the namespaces that the parameter `namespace` names"
    NAMESPACE_OF_ASSET = "one asset, if it is in such a namespace"


class GuardedView(MethodView):
    """A view with the verbs on `assets.registry.trading.io` that each method needs."""

    verbs: ClassVar[Mapping[str, tuple[str, ...]]]
    reads: ClassVar[ReadScope] = ReadScope.EVERYTHING


def admit() -> None:
    """Authorize the request, or raise. A method without verbs is not served."""
    view: Any = current_app.view_functions[request.endpoint or ""]
    guarded: type[GuardedView] = view.view_class
    method = "GET" if request.method == "HEAD" else request.method
    if method == "OPTIONS":
        return
    namespaced = guarded.reads is ReadScope.NAMED_NAMESPACES and method == "GET"
    namespaces = request.args.getlist("namespace") if namespaced else []
    try:
        _admit(guarded.verbs[method], _names(namespaces))
    except ForbiddenError as refusal:
        if guarded.reads is not ReadScope.NAMESPACE_OF_ASSET or method != "GET":
            raise
        g.refusal = refusal


def _admit(verbs: tuple[str, ...], namespaces: Sequence[str]) -> None:
    caller = authorization(request.headers.get)
    g.actor = service().gate.admit(caller, verbs, namespaces)


def _names(namespaces: Sequence[str]) -> Sequence[str]:
    """Return the names to ask the API server about: none, if the query will be refused."""
    known = [*dict.fromkeys(namespaces)]
    good = len(known) <= MAX_NAMESPACES and all(re.fullmatch(NAMESPACE, name) for name in known)
    return known if good else []


def readable(external_ref: Callable[[], str | None]) -> frozenset[str] | None:
    """Return the namespace of the asset if the caller may read no others; None: all.

    For views that read one asset; `external_ref` is called if it is needed. The refusal is the
    same whether there is such an asset or not, so that it says nothing of other namespaces.
    """
    refusal: ForbiddenError | None = g.get("refusal")
    if refusal is None:
        return None
    namespace = namespace_of(external_ref())
    if namespace is None or re.fullmatch(NAMESPACE, namespace) is None:
        raise refusal
    try:
        _admit(("get",), [namespace])
    except ForbiddenError:
        raise refusal from None
    return frozenset({namespace})


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
