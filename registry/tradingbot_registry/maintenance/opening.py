"""Open the database of a URL for a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from tradingbot_registry.maintenance.checking import unreadable
from tradingbot_registry.storage.database import SqliteFile, database_path, open_database
from tradingbot_registry.storage.migrations import migrate
from tradingbot_registry.storage.reading import existing_file, open_to_read


@contextmanager
def to_read(url: str) -> Iterator[SqliteFile]:
    """Yield the database, connected, to read it alone. Raises DatabaseUnusableError."""
    path = existing_file(database_path(url))
    with unreadable(path):
        database = open_to_read(path)
        with database.connection_context():
            yield database


@contextmanager
def to_import(url: str) -> Iterator[SqliteFile]:
    """Yield the database, connected, migrated, and created if missing.

    Raises DatabaseUnusableError.
    """
    path = database_path(url)
    with unreadable(path):
        database = open_database(url)
        with database.connection_context():
            migrate(database)
            yield database
