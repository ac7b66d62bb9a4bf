"""Migrate the schema by command, rather than at the start of a registry."""

from tradingbot_registry.maintenance.checking import NEWEST
from tradingbot_registry.maintenance.opening import is_server, sqlite_path, to_read, to_write
from tradingbot_registry.settings import DatabaseSettings
from tradingbot_registry.storage.migrations import migrate, schema_version
from tradingbot_registry.storage.reading import existing_file


def migrate_database(settings: DatabaseSettings, *, dry_run: bool = False) -> tuple[int, int]:
    """Migrate the database, and return the version of its schema before and after.

    With `dry_run` nothing is changed. Raises DatabaseUnusableError, also if there is no database.
    """
    if not is_server(settings):
        existing_file(sqlite_path(settings))
    with to_read(settings) as database:
        before = schema_version(database)
    if dry_run and before <= NEWEST:
        return before, NEWEST
    with to_write(settings) as database:
        return before, migrate(database)
