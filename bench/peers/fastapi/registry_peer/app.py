"""The REST API."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import FastAPI, HTTPException, Query, Response
from sqlalchemy import Connection, Engine, event

from registry_peer.creation import RefusedError, create
from registry_peer.models import Asset, NewAsset, Reached
from registry_peer.queries import Filters, NotFoundError, dependents, one, page

THREADS = 8
"""Connections to the database, as many as the registry's threads."""
Values = Annotated[list[str], Query()]
PageSize = Annotated[int, Query(ge=1, le=500)]


class Store:
    """The database. One thread at a time writes to SQLite, else writers wait in its back-off."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = threading.Lock()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that may write."""
        if self.engine.dialect.name != "sqlite":
            with self.engine.begin() as connection:
                yield connection
            return
        with self._writer, self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()


def create_app() -> FastAPI:
    """Return the application on the database of `DATABASE_URL`."""
    store = Store(_engine(os.environ["DATABASE_URL"]))
    app = FastAPI(title="The registry's peer")

    @app.get("/readyz")
    def ready() -> str:
        return "ok"

    @app.get("/api/v1/assets")
    def list_assets(  # noqa: PLR0917 - FastAPI calls it by names
        response: Response,
        type: Values = [],  # noqa: A002, B006
        status: Values = [],  # noqa: B006
        effective_status: Values = [],  # noqa: B006
        managed_by: Values = [],  # noqa: B006
        tag: Values = [],  # noqa: B006
        q: str | None = None,
        sort: Annotated[str, Query(pattern="^-?(created_at|updated_at|name)$")] = "created_at",
        page_size: PageSize = 50,
        cursor: str | None = None,
    ) -> list[Asset]:
        filters = Filters(
            *(tuple(type), tuple(status), tuple(effective_status), tuple(managed_by), tuple(tag)),
            q=q,
            sort=sort,
        )
        with store.engine.connect() as connection:
            found = page(connection, filters, page_size, cursor)
        pagination: dict[str, Any] = {"page_size": page_size, "next_cursor": found.cursor}
        if found.total is not None:
            pagination["total"] = found.total
        response.headers["X-Pagination"] = json.dumps(pagination)
        return found.items

    @app.post("/api/v1/assets", status_code=201)
    def create_asset(new: NewAsset, response: Response) -> Asset:
        try:
            with store.writing() as connection:
                created = create(connection, new)
        except RefusedError as error:
            raise HTTPException(422, str(error)) from error
        response.headers["Location"] = f"/api/v1/assets/{created.id}"
        return created

    @app.get("/api/v1/assets/{asset_id}")
    def get_asset(asset_id: UUID) -> Asset:
        try:
            with store.engine.connect() as connection:
                return one(connection, asset_id)
        except NotFoundError as error:
            raise HTTPException(404, "no asset has this id") from error

    @app.get("/api/v1/assets/{asset_id}/dependents")
    def list_dependents(
        asset_id: UUID, response: Response, page_size: PageSize = 500
    ) -> list[Reached]:
        try:
            with store.engine.connect() as connection:
                items, total = dependents(connection, asset_id, page_size)
        except NotFoundError as error:
            raise HTTPException(404, "no asset has this id") from error
        response.headers["X-Pagination"] = json.dumps({"page_size": page_size, "total": total})
        return items

    return app


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(
            url.replace("postgresql://", "postgresql+psycopg://"), pool_size=THREADS
        )
    engine = sa.create_engine(url, pool_size=THREADS)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        # The driver begins no transaction of its own: `writing` does.
        connection.isolation_level = None
        for pragma in ("journal_mode=wal", "foreign_keys=1", "synchronous=1", "cache_size=-8192"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
