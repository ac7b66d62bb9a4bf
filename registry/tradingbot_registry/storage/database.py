"""One SQLite file: connections, transactions and failures.

A connection belongs to one thread and one request. Each write is one short `BEGIN IMMEDIATE`
transaction: a transaction that reads first and writes later can fail at once, despite the timeout,
when another writer came between. One that begins as a writer waits.

The writers of this process wait for one another at a lock of the process. SQLite's own lock is
polled, with growing pauses, and the writer that comes at the right moment gets it: with eight
writers, one in a hundred waits for a second.
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import peewee

from tradingbot_registry.errors import DatabaseUnusableError, DatabaseURLError, SchemaError
from tradingbot_registry.refusals import StorageError, StorageFullError
from tradingbot_registry.storage.folding import search_text

BUSY_TIMEOUT = 2
"""Seconds that SQLite waits for another process's writer, per attempt."""

WRITE_ATTEMPTS = 4

TURN_SECONDS = BUSY_TIMEOUT * WRITE_ATTEMPTS
"""How long a writer waits for the others of this process."""

CACHE_KIB = 8 * 1024

PRAGMAS = {
    "journal_mode": "wal",
    "foreign_keys": 1,
    "synchronous": 1,
    "cache_size": -CACHE_KIB,
}

T = TypeVar("T")


class SqliteFile(peewee.SqliteDatabase):
    """A SQLite database file."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._held: sqlite3.Connection | None = None
        self._writers = threading.Lock()
        self._writer: int | None = None

    @property
    def writing(self) -> bool:
        """Whether this thread is inside a write."""
        return self._writer == threading.get_ident()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the one thread of this process that writes. Raises StorageError if it takes long."""
        if not self._writers.acquire(timeout=TURN_SECONDS):
            raise StorageError("other requests are writing", busy=True)
        try:
            yield
        finally:
            self._writers.release()

    @contextmanager
    def in_write(self) -> Iterator[None]:
        """Let `writing` be true in this thread."""
        self._writer = threading.get_ident()
        try:
            yield
        finally:
            self._writer = None

    def hold(self) -> None:
        """Keep the file open in this process.

        The process that closes the last connection of a file checkpoints the write-ahead log and
        syncs the disk: without this, at the end of each request.
        """
        if self._held is None:
            self._held = self._connect()  # type: ignore[attr-defined]

    def release(self) -> None:
        """Undo `hold`. To be called in the same thread."""
        if self._held is not None:
            self._held.close()
            self._held = None

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
            f"database URL {shown}: only SQLite is supported; write sqlite:////path/to/file.db"
        )
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or parts.query or parts.fragment or not path or path == ":memory:":
        raise DatabaseURLError(
            "database URL must be sqlite:////absolute/path/file.db (four slashes)"
            " or sqlite:///relative/file.db (three), with nothing after the path"
        )
    return Path(path)


def open_database(url: str) -> SqliteFile:
    """Return the database of that URL, not connected. Creates the file if missing.

    Connections never create the file: if it is deleted while the server runs, requests fail instead
    of writing into an empty file.
    """
    path = database_path(url).absolute()
    _make_file(path)
    database = SqliteFile(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        pragmas=PRAGMAS,
        timeout=BUSY_TIMEOUT,
        autoconnect=False,
    )
    # SQLite's own functions know no case outside ASCII. A migration needs this one.
    database.register_function(search_text, "search_text", 2)
    return database


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


@contextmanager
def start_up_failures(url: str) -> Iterator[None]:
    """Convert failures of storage and schema into DatabaseUnusableError."""
    try:
        yield
    except (peewee.PeeweeException, StorageError, SchemaError) as error:
        known = error if isinstance(error, StorageError) else storage_error(error)
        reason = known.reason if known else str(error)
        raise DatabaseUnusableError(f"database {database_path(url)}: {reason}") from error


def write(database: SqliteFile, unit: Callable[[], T]) -> T:
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
            with database.turn(), database.in_write(), database.atomic("IMMEDIATE"):
                return unit()
        except peewee.OperationalError as error:
            known = storage_error(error)
            if known is None:
                raise
            if not known.busy or attempt == WRITE_ATTEMPTS:
                raise known from error
    raise AssertionError("unreachable: the last attempt returns or raises")


@contextmanager
def snapshot(database: SqliteFile) -> Iterator[SqliteFile]:
    """All queries in the block see the database as of the first one."""
    with database.atomic("DEFERRED"):
        yield database


def storage_error(error: Exception) -> StorageError | None:
    """Return the problem for a failure of the driver; None for a programming error."""
    cause = getattr(error, "orig", error)
    code = getattr(cause, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    match primary:
        case sqlite3.SQLITE_FULL:
            return StorageFullError()
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageError("another process holds its write lock", busy=True)
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
