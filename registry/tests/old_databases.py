"""A database of each version of the schema, kept as SQL text."""

import sqlite3
from contextlib import closing
from pathlib import Path

SCHEMAS = Path(__file__).parent / "schemas"

ORDERS_DB = "0a000000-0000-4000-8000-000000000001"
MATCHER = "0a000000-0000-4000-8000-000000000002"
FEED = "0a000000-0000-4000-8000-000000000003"
GONE = "0a000000-0000-4000-8000-000000000009"


def old_database(path: Path, version: int) -> Path:
    """Create the file of that version."""
    text = (SCHEMAS / f"version-{version}.sql").read_text()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(text)
    return path
