"""Open a database by its URL, write to it and read from it, and explain its failures."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import peewee
import psycopg

from tradingbot_registry.errors import DatabaseUnusableError, SchemaError
from tradingbot_registry.refusals import StorageError
from tradingbot_registry.storage import postgresql, sqlite
from tradingbot_registry.storage.engine import READ, WRITE, WRITE_ATTEMPTS, Database

CONNECTIONS = 10
"""Connections to a server, if nothing else is said."""

T = TypeVar("T")


def open_database(
    url: str, *, password_file: Path | None = None, connections: int = CONNECTIONS
) -> Database:
    """Return the database of that URL, not connected. Creates a SQLite file if missing.

    `password_file` and `connections` are for a server: the file with the password, which is read
    for each new connection, and the maximum number of these. Raises DatabaseURLError or
    DatabaseUnusableError.
    """
    if postgresql.is_url(url):
        return postgresql.open_server(url, password_file=password_file, connections=connections)
    return sqlite.open_file(url)


@contextmanager
def start_up_failures(database: Database) -> Iterator[None]:
    """Convert failures of storage and schema into DatabaseUnusableError."""
    try:
        yield
    except (peewee.PeeweeException, StorageError, SchemaError) as error:
        known = error if isinstance(error, StorageError) else storage_error(error)
        reason = (known.cause or known.reason) if known else " ".join(str(error).split())
        raise DatabaseUnusableError(f"database {database.place}: {reason}") from error


def write(database: Database, unit: Callable[[], T]) -> T:
    """Run `unit` in one transaction that holds the write lock from the beginning.

    An exception of `unit` rolls everything back. While another process holds the lock, the whole
    unit is retried, so `unit` must not keep state between attempts. A write inside a write is a
    part of it, and is undone alone if it fails.
    """
    if database.writing:
        with database.atomic():
            return unit()
    for attempt in range(1, WRITE_ATTEMPTS + 1):
        try:
            with database.turn(), database.in_write(), database.atomic(WRITE):
                return unit()
        except peewee.PeeweeException as error:
            known = storage_error(error)
            if known is None:
                raise
            if not known.again or attempt == WRITE_ATTEMPTS:
                raise known from error
    raise AssertionError("unreachable: the last attempt returns or raises")


@contextmanager
def snapshot(database: Database) -> Iterator[Database]:
    """All queries in the block see the database as of the first one."""
    with database.atomic(READ):
        yield database


def storage_error(error: Exception) -> StorageError | None:
    """Return the problem for a failure of the driver; None for a programming error."""
    match getattr(error, "orig", error):
        case sqlite3.Error() as cause:
            return sqlite.failure(cause)
        case psycopg.Error() | postgresql.UnreachableError() as cause:
            return postgresql.failure(cause)
    return None
