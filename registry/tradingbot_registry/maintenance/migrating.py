"""Migrate the schema by command, rather than at the start of a registry."""

from tradingbot_registry.maintenance.checking import unreadable
from tradingbot_registry.storage.database import database_path, open_database
from tradingbot_registry.storage.migrations import MIGRATIONS, migrate, schema_version
from tradingbot_registry.storage.reading import existing_file, open_to_read


def migrate_database(url: str, *, dry_run: bool = False) -> tuple[int, int]:
    """Migrate the database, and return the version of its schema before and after.

    With `dry_run` nothing is changed. Raises DatabaseUnusableError, also if there is no database.
    """
    path = existing_file(database_path(url))
    with unreadable(path):
        reading = open_to_read(path)
        with reading.connection_context():
            before = schema_version(reading)
        if dry_run and before <= MIGRATIONS[-1].version:
            return before, MIGRATIONS[-1].version
        database = open_database(url)
        with database.connection_context():
            return before, migrate(database)
