"""The registry as a WSGI application."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from flask import Flask, request

from tradingbot_registry.auth.gate import Gate, OpenGate
from tradingbot_registry.inventory.store import Store
from tradingbot_registry.rest import (
    assets,
    batch,
    batch_items,
    by_ref,
    docs,
    errors,
    observability,
    overview,
    page,
    query_fields,
    read_only,
    reports,
)
from tradingbot_registry.rest.body import MAX_BODY
from tradingbot_registry.rest.json_text import JsonText
from tradingbot_registry.rest.problems import MisdirectedError
from tradingbot_registry.rest.request_context import EXTENSION, Service, admit, connect, disconnect
from tradingbot_registry.rest.responses import AssetPartSchema
from tradingbot_registry.settings import HISTORY_DAYS
from tradingbot_registry.storage.database import CONNECTIONS, open_database, start_up_failures
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.migrations import migrate

BLUEPRINTS = (
    assets.blueprint,
    by_ref.blueprint,
    batch.blueprint,
    overview.blueprint,
    reports.blueprint,
)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def prepared_database(
    url: str, *, password_file: Path | None = None, connections: int = CONNECTIONS
) -> Database:
    """Return the database of that URL, migrated and closed, as `open_database` does.

    Raises DatabaseURLError or DatabaseUnusableError.
    """
    database = open_database(url, password_file=password_file, connections=connections)
    with start_up_failures(database), database.connection_context():
        migrate(database)
    return database


class _App(Flask):
    """Flask without a look, a dozen times in each request, whether a function is a coroutine."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: no view and no hook is a coroutine."""
        return func


def create_app(
    database: Database,
    *,
    gate: Gate | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_id: Callable[[], UUID] = uuid4,
    keep: timedelta = timedelta(days=HISTORY_DAYS),
) -> Flask:
    """Return the application on a prepared database, with its history of the time `keep`.

    Without a gate there is no authentication, and only requests to a loopback name are answered: a
    web page with a DNS name that points at 127.0.0.1 must not reach the inventory.
    """
    app = _App(__name__, static_folder=None)
    app.json = JsonText(app)
    app.config.update(_configuration(login=gate is not None))
    store = Store.on(database, clock, new_id, keep=keep)
    app.extensions[EXTENSION] = Service(store, gate or OpenGate())

    observability.register(app, store)
    if gate is None:
        app.before_request(_only_loopback)
    errors.register(app)
    docs.register(app)
    page.register(app)
    api = docs.RestApi(app)
    api.register_field(read_only.MomentField, "string", "date-time")
    api.register_field(query_fields.MomentField, "string", "date-time")
    for name, schema in {"AssetPart": AssetPartSchema, **batch_items.DOCUMENTED}.items():
        api.spec.components.schema(name, schema=schema)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    _guard(app)
    return app


def _configuration(*, login: bool) -> dict[str, Any]:
    settings = docs.configuration(version("tradingbot-operator"), login=login)
    # One more than a body may have: a chunked body is cut here without a word, and what is cut
    # must not pass for a whole one.
    settings["MAX_CONTENT_LENGTH"] = MAX_BODY + 1
    return settings


def _only_loopback() -> None:
    # werkzeug's own TRUSTED_HOSTS takes no IPv6 address.
    try:
        host = urlsplit(f"//{request.host}").hostname
    except ValueError:
        host = None
    if host not in LOOPBACK_NAMES:
        raise MisdirectedError(
            "without authentication the registry answers only to localhost, 127.0.0.1 and [::1]"
        )


def _guard(app: Flask) -> None:
    """Authorize and connect requests for assets. The other pages are public."""
    for blueprint in BLUEPRINTS:
        hooks = app.before_request_funcs.setdefault(blueprint.name, [])
        hooks += [admit, connect]

    @app.teardown_request
    def close(_: BaseException | None) -> None:
        disconnect(app)
