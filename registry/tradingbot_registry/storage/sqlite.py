"""One SQLite file: connections, transactions and failures.

Each write is a `BEGIN IMMEDIATE` transaction: a transaction that reads first and writes later can
fail at once, despite the timeout, when another writer came between. One that begins as a writer
waits.

The writers of this process wait for one another at a lock of the process. SQLite's own lock is
polled, with growing pauses, and the writer that comes at the right moment gets it: with eight
writers, one in a hundred waits for a second.
"""

import errno
import json
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import peewee

from tradingbot_registry.errors import DatabaseUnusableError, DatabaseURLError
from tradingbot_registry.refusals import StorageError, StorageFullError
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.folding import PART, search_text

BUSY_TIMEOUT = 2
"""Seconds that SQLite waits for another process's writer, per attempt."""

CACHE_KIB = 8 * 1024

PRAGMAS = {
    "journal_mode": "wal",
    "foreign_keys": 1,
    "synchronous": 1,
    "cache_size": -CACHE_KIB,
}


class SqliteFile(Database, peewee.SqliteDatabase):
    """A SQLite database file."""

    shared = False
    has_statistics = False
    member_of_list = "IN (SELECT value FROM json_each(?))"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.place = unquote(urlsplit(self.database).path)
        self._held: sqlite3.Connection | None = None
        self._kept = threading.local()
        # SQLite's own functions know no case outside ASCII. A migration needs this one.
        self.register_function(search_text, "search_text", 2)

    def hold(self) -> None:
        """Keep the file open in this process, and a connection of each thread for its next request.

        The process that closes the last connection of a file checkpoints the write-ahead log and
        syncs the disk: without this, at the end of each request. A new connection has to read the
        schema, and whatever it needs of the file.
        """
        if self._held is None:
            self._held = super()._connect()  # type: ignore[misc]

    def release(self) -> None:
        """Undo `hold`. To be called in the same thread."""
        if self._held is not None:
            self._held.close()
            self._held = None
        self._kept_by_thread(None)

    def _connect(self) -> Any:
        """Return the connection that this thread kept, if it is to the file of that name."""
        return self._kept_by_thread(self._file()) or super()._connect()  # type: ignore[misc]

    def _close(self, conn: sqlite3.Connection) -> None:
        if self._held is None or conn.in_transaction:
            super()._close(conn)  # type: ignore[misc]
        else:
            self._kept.connection = conn

    def _kept_by_thread(self, file: tuple[int, int] | None) -> sqlite3.Connection | None:
        """Return the kept connection, or close it if `file` is another one than it is to."""
        kept = self._kept.__dict__
        conn: sqlite3.Connection | None = kept.pop("connection", None)
        former, kept["file"] = kept.get("file"), file
        if conn is None or (self._held is not None and file is not None and file == former):
            return conn
        conn.close()
        return None

    def _file(self) -> tuple[int, int] | None:
        """Return what tells the file from another one of its name; None: there is none."""
        try:
            found = os.stat(self.place)  # noqa: PTH116 - a Path takes longer than the call
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @staticmethod
    def collected(column: str, source: str, *, order: str) -> str:
        """Return SQL for a list of the values of a column, as one value: JSON."""
        ordered = f"SELECT {column} AS each FROM {source} ORDER BY {order}"  # noqa: S608
        return f"(SELECT json_group_array(each) FROM ({ordered}))"  # noqa: S608

    def list_value(self, integers: list[int]) -> str:
        """Return the value that a list of integers is for the driver."""
        return json.dumps(integers)

    def contains_text(self, column: str) -> str:
        """Return the condition that the column has a text, character by character."""
        return f"instr({column}, ?) > 0"

    def sought(self, text: str) -> str:
        """Return the value of `contains_text`: the text."""
        return text

    def search_index(self, text: str) -> tuple[str, tuple[str, ...]] | None:
        """Return SQL for the `seq` of assets with the text, in this order, and its values.

        None for a text that is shorter than the parts in the index.
        """
        if len(text) < PART:
            return None
        phrase = '"' + text.replace('"', '""') + '"'
        return "SELECT rowid AS seq FROM asset_search WHERE asset_search MATCH ?", (phrase,)

    def searches_by_index(self) -> bool:
        """Whether texts are found without reading all: always, by the schema."""
        return True

    def by_index(self, name: str) -> str:
        """Return what makes a query use the index of that name."""
        return f"INDEXED BY {name}"

    def without_index(self, column: str) -> str:
        """Return the column such that no index is used for it."""
        return f"+{column}"

    def continue_numbers(self) -> None:
        """Do nothing: SQLite numbers rows after the highest number by itself."""

    def rollback(self) -> None:
        """Undo the transaction, unless SQLite did so itself, as on a full disk."""
        if self.connection().in_transaction:  # type: ignore[no-untyped-call]
            super().rollback()


def database_path(url: str) -> Path:
    """Return the file that `url` names. Raises DatabaseURLError unless it is a SQLite file."""
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        shown = f"{parts.scheme}://..." if parts.scheme else repr(url)
        raise DatabaseURLError(
            f"database URL {shown}: must be sqlite:////path/to/file.db, or"
            " postgresql://USER@HOST/DATABASE"
        )
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or parts.query or parts.fragment or not path or path == ":memory:":
        raise DatabaseURLError(
            "database URL must be sqlite:////absolute/path/file.db (four slashes)"
            " or sqlite:///relative/file.db (three), with nothing after the path"
        )
    return Path(path)


def open_file(url: str) -> SqliteFile:
    """Return the database of that URL, not connected. Creates the file if missing.

    Connections never create the file: if it is deleted while the server runs, requests fail instead
    of writing into an empty file.
    """
    path = database_path(url).absolute()
    _make_file(path)
    return SqliteFile(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        pragmas=PRAGMAS,
        timeout=BUSY_TIMEOUT,
        autoconnect=False,
    )


def _make_file(path: Path) -> None:
    try:
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        directory = path.parent
        if not directory.exists():
            reason = f"directory {directory} does not exist; create it first"
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            reason = f"directory {directory} is not writable for this user"
        else:
            reason = os.strerror(error.errno or errno.EIO)
        raise DatabaseUnusableError(f"database {path}: {reason}") from error
    if path.is_dir():
        raise DatabaseUnusableError(f"database {path}: is a directory; name a file in it")


def failure(cause: sqlite3.Error) -> StorageError | None:
    """Return the problem for a failure of the driver; None for a programming error."""
    code = getattr(cause, "sqlite_errorcode", None)
    match None if code is None else code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StorageFullError()
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageError("another process holds its write lock", busy=True, again=True)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StorageError("the file is read-only for this user")
        case sqlite3.SQLITE_CANTOPEN:
            return StorageError("the file, or one beside it, can't be opened for writing")
        case sqlite3.SQLITE_NOTADB:
            return StorageError("the file is not a SQLite database; name another one")
        case sqlite3.SQLITE_CORRUPT:
            return StorageError("the file is damaged; restore a backup")
        case sqlite3.SQLITE_IOERR:
            return StorageError(f"the disk fails ({cause})")
    return None
