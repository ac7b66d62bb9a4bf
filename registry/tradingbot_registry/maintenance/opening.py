"""Open the database of the settings for a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradingbot_registry.errors import MaintenanceError
from tradingbot_registry.maintenance.checking import check_database, check_file, unreadable
from tradingbot_registry.maintenance.findings import Report
from tradingbot_registry.settings import DatabaseSettings
from tradingbot_registry.storage import postgresql
from tradingbot_registry.storage.database import open_database
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.migrations import migrate
from tradingbot_registry.storage.reading import existing_file, open_to_read
from tradingbot_registry.storage.sqlite import database_path


def is_server(settings: DatabaseSettings) -> bool:
    """Whether the database is one of PostgreSQL."""
    return postgresql.is_url(settings.database_url)


def sqlite_path(settings: DatabaseSettings) -> Path:
    """Return the file of a SQLite database. Raises MaintenanceError for another database."""
    if is_server(settings):
        raise MaintenanceError(
            "PostgreSQL has backups of its own: use pg_dump and pg_restore, or"
            " `tradingbot registry export`"
        )
    return database_path(settings.database_url)


@contextmanager
def to_write(settings: DatabaseSettings) -> Iterator[Database]:
    """Yield the database, connected, and created if it is a SQLite file that does not exist.

    Raises DatabaseUnusableError or DatabaseURLError.
    """
    database = open_database(
        settings.database_url, password_file=settings.database_password_file, connections=1
    )
    try:
        with unreadable(database.place), database.connection_context():
            yield database
    finally:
        database.release()


@contextmanager
def to_read(settings: DatabaseSettings) -> Iterator[Database]:
    """Yield the database, connected, to read it alone. Raises DatabaseUnusableError."""
    if is_server(settings):
        with to_write(settings) as database:
            yield database
        return
    path = existing_file(sqlite_path(settings))
    with unreadable(str(path)):
        database = open_to_read(path)
        with database.connection_context():
            yield database


def check_of(settings: DatabaseSettings) -> tuple[str, Report]:
    """Check the database, and return its place and the report. Raises DatabaseUnusableError."""
    if not is_server(settings):
        path = existing_file(sqlite_path(settings))
        return str(path), check_file(path)
    with to_read(settings) as database:
        return database.place, check_database(database)


@contextmanager
def to_import(settings: DatabaseSettings) -> Iterator[Database]:
    """Yield the database, connected, migrated, and created if missing."""
    with to_write(settings) as database:
        migrate(database)
        yield database
