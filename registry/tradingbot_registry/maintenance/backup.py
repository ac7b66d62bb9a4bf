"""Copy a SQLite database while a registry serves it, and put a copy back."""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from tradingbot_process.files import flush

from tradingbot_registry.errors import MaintenanceError
from tradingbot_registry.maintenance.checking import check_file, unreadable
from tradingbot_registry.maintenance.findings import Report
from tradingbot_registry.maintenance.new_file import (
    create_from,
    io_errors,
    new_file,
    scratch_file,
)
from tradingbot_registry.maintenance.sqlite_structure import DAMAGE
from tradingbot_registry.storage.reading import existing_file, reading_uri
from tradingbot_registry.storage.sqlite import BUSY_TIMEOUT

LOCKS_AT, LOCKS = 0x40000000, 512
"""Where SQLite locks a file, and how many bytes (os_unix.c, since version 3.0).

Every connection to a file with a write-ahead log holds a read lock there while it is open.
"""

LOG_FILES = ("-wal", "-shm", "-journal")
"""Suffixes of what SQLite keeps beside a database."""


def beside(database: Path, suffix: str) -> Path:
    """Return the path of such a file."""
    return database.with_name(database.name + suffix)


def back_up(database: Path, file: Path, *, replace: bool = False) -> Report:
    """Copy the database to `file`, and check the copy. A registry may write meanwhile.

    The copy is the database at one moment, in one file that needs no other beside it. A copy with
    a damaged structure is not kept. Other faults are those of the database: the copy is kept, and
    the report has them. Raises MaintenanceError or DatabaseUnusableError.
    """
    source = existing_file(database)
    _check_differ(source, file)
    with new_file(file, replace=replace) as partial:
        return _checked_copy(source, partial)


def back_up_to(database: Path, stream: BinaryIO) -> Report:
    """Write a checked copy to the stream, as `back_up` does to a file.

    The copy is made beside the database first. Raises MaintenanceError or DatabaseUnusableError.
    """
    source = existing_file(database)
    with scratch_file(beside(source, ".backup")) as copy:
        report = _checked_copy(source, copy)
        with copy.open("rb") as file:
            shutil.copyfileobj(file, stream)
        stream.flush()
        return report


def restore(database: Path, file: Path, *, now: datetime, with_faults: bool = False) -> Path | None:
    """Replace the database by a copy of `file`, and return where the old one is kept, if any.

    A file with a damaged structure is refused, and one with other faults unless `with_faults` is
    given. Refused while a process has the database open. Raises MaintenanceError or
    DatabaseUnusableError.
    """
    source, target = existing_file(file), database.absolute()
    _check_differ(source, target)
    with scratch_file(target) as staged:
        report = _checked_copy(source, staged)
        if report.faults and not with_faults:
            raise MaintenanceError(
                f"{file} has faults ({report.faults}), and nothing was changed: see them with"
                " `tradingbot registry check`, or restore it as it is with --with-faults"
            )
        with io_errors(target):
            flush(staged)
            if not target.exists():
                create_from(staged, target)
                flush(target.parent)
                return None
            kept = beside(target, f".before-restore-{now:%Y%m%dT%H%M%SZ}")
            with _exclusively(target, kept):
                _exchange(target, staged, kept)
            return kept


def _check_differ(one: Path, other: Path) -> None:
    if other.exists() and one.samefile(other):
        raise MaintenanceError(f"{other} is the database itself; name another file")


def _checked_copy(source: Path, copy: Path) -> Report:
    """Copy, and check the copy. Raises MaintenanceError if its structure is damaged."""
    with unreadable(str(source)):
        _copy(source, copy)
    report = check_file(copy)
    damage = [each.message for each in report.findings if each.fault and each.check in DAMAGE]
    if damage:
        raise MaintenanceError(
            f"{source} is damaged, and no copy was kept: {damage[0]};"
            " see all faults with `tradingbot registry check`"
        )
    return report


def _copy(source: Path, copy: Path) -> None:
    """Copy all pages in one read transaction, which a steady writer neither stops nor restarts."""
    with (
        closing(sqlite3.connect(reading_uri(source), uri=True, timeout=BUSY_TIMEOUT)) as original,
        closing(sqlite3.connect(copy, isolation_level=None)) as target,
    ):
        original.backup(target)
        # One file, which can also be read from a medium that is read-only.
        target.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _exclusively(database: Path, kept: Path) -> Iterator[None]:
    """Keep every other process from using the file. Raises MaintenanceError if one has it open."""
    in_use = MaintenanceError(
        f"database {database} is open in another process, and nothing was changed: stop the"
        " registry first"
    )
    _fold_log(database, beside(kept, "-wal"), in_use)
    descriptor = os.open(database, os.O_RDWR | os.O_CLOEXEC)
    try:
        # With SQLite's own locks, and not by SQLite: the file may be damaged.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCKS, LOCKS_AT)
        yield
    except BlockingIOError as error:
        raise in_use from error
    finally:
        os.close(descriptor)


def _fold_log(database: Path, kept_log: Path, in_use: MaintenanceError) -> None:
    """Bring the write-ahead log of a killed process into the file.

    Of a damaged file that may fail, and SQLite may remove the log: it is kept as `kept_log`.
    """
    if beside(database, "-wal").exists():
        kept_log.hardlink_to(beside(database, "-wal"))
    try:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            kept_log.unlink(missing_ok=True)
            raise in_use from error
    else:
        kept_log.unlink(missing_ok=True)


def _exchange(target: Path, staged: Path, kept: Path) -> None:
    """Give the database and its log another name too, and then its name to the copy.

    Killed in between, `target` is the old database or the new one, and `kept` is the old one. What
    is beside a damaged database is removed before it is replaced: SQLite would play the old log
    into the new file.
    """
    status = target.stat()
    staged.chmod(status.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(staged, status.st_uid, status.st_gid)
    for suffix in ("", *LOG_FILES):
        if beside(target, suffix).exists() and not beside(kept, suffix).exists():
            beside(kept, suffix).hardlink_to(beside(target, suffix))
    flush(target.parent)
    for suffix in LOG_FILES:
        beside(target, suffix).unlink(missing_ok=True)
    staged.replace(target)
    flush(target.parent)
