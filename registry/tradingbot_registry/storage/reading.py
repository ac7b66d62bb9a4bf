"""Open a database to read it alone, and never to create or change it."""

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from tradingbot_registry.errors import DatabaseUnusableError
from tradingbot_registry.storage.sqlite import BUSY_TIMEOUT, CACHE_KIB, SqliteFile

_NO_FILES_BESIDE = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


def existing_file(path: Path) -> Path:
    """Return the absolute path. Raises DatabaseUnusableError if there is no such file."""
    if not path.is_file():
        reason = "is not a file" if path.exists() else "there is no such file"
        raise DatabaseUnusableError(f"database {path}: {reason}")
    return path.absolute()


def open_to_read(path: Path) -> SqliteFile:
    """Return the database in that file, not connected. Its statements can't write."""
    return SqliteFile(
        reading_uri(path),
        uri=True,
        pragmas={"query_only": 1, "cache_size": -CACHE_KIB},
        timeout=BUSY_TIMEOUT,
        autoconnect=False,
    )


def reading_uri(path: Path) -> str:
    """Return SQLite's URI to read the file, also one that is not writable."""
    uri = f"file:{quote(str(path))}"
    if os.access(path, os.W_OK, effective_ids=True):
        # Only who may write removes the files that SQLite creates beside a database.
        return f"{uri}?mode=rw"
    uri = f"{uri}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT)
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.DatabaseError as error:
        # A reader of a write-ahead log needs such a file too. Without a log, the database can be
        # read as it is, if nothing else writes it: nothing can, where no log can be created.
        log = path.with_name(path.name + "-wal")
        if error.sqlite_errorcode & 0xFF in _NO_FILES_BESIDE and not log.exists():
            return f"{uri}&immutable=1"
    finally:
        connection.close()
    return uri
