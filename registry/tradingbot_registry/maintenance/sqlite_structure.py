"""Check the structure of a SQLite file: its pages, its tables, and links between rows."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from tradingbot_registry.maintenance.findings import MAX_LISTED, Findings
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.folding import search_text
from tradingbot_registry.storage.migrations import MIGRATIONS

INTEGRITY, TABLES, LINKS = "file", "tables", "links"

DAMAGE = frozenset({INTEGRITY, TABLES})
"""Checks whose faults mean that the file is not a database of the registry, or not a whole one."""


def check_structure(database: Database, version: int, found: Findings) -> None:
    """Add what is wrong. `version` is that of the schema."""
    for (message,) in _rows(database, f"PRAGMA integrity_check({MAX_LISTED})"):
        if message != "ok":
            found.add(INTEGRITY, message)
    actual = _shape(database.connection())  # type: ignore[no-untyped-call]
    with closing(_expected(version)) as new:
        expected = _shape(new)
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            found.add(TABLES, f"{name} is missing")
        elif name not in expected:
            found.add(TABLES, f"{name} is not of this program", fault=False)
        elif actual[name] != expected[name]:
            found.add(TABLES, f"{name} is not as version {version} of the schema has it")
    for table, row, parent, _ in _rows(database, "PRAGMA foreign_key_check"):
        found.add(LINKS, f"row {row} of {table} names a row of {parent} that does not exist")


def _rows(database: Database, statement: str) -> Iterable[tuple[Any, ...]]:
    found: Iterable[tuple[Any, ...]] = database.execute_sql(statement)  # type: ignore[no-untyped-call]
    return found


def _expected(version: int) -> sqlite3.Connection:
    """Return an empty database of that version, in memory."""
    connection = sqlite3.connect(":memory:")
    connection.create_function("search_text", 2, search_text)
    connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
    for migration in MIGRATIONS:
        if migration.version <= version:
            for statement in migration.statements:
                connection.execute(statement)
    return connection


def _shape(connection: Any) -> dict[str, Any]:
    """Return tables with columns and links, and indexes with columns, by name."""
    named = "SELECT type, name FROM sqlite_master"
    shape: dict[str, Any] = {}
    for kind, name in connection.execute(named).fetchall():
        if name.startswith("sqlite_"):
            continue
        details = {
            "table": ("table_info", "foreign_key_list"),
            "index": ("index_info",),
        }.get(kind, ())
        shape[f"{kind} {name}"] = [
            sorted(
                (row[1:] for row in connection.execute(f'PRAGMA {detail}("{name}")').fetchall()),
                key=str,
            )
            for detail in details
        ]
    return shape
