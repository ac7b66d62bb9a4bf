"""The state of an exchange in a SQLite file: a snapshot, and the changes since.

A change is committed before anybody hears of it, so a process that is killed at any moment loses no
order that was accepted. The system's page cache outlives the process; what a power failure takes is
the last moments, which SQLite's WAL drops cleanly.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tradingbot_exchange.errors import StateError

VERSION = 1
"""Of the format. Another one is refused."""

_APPLICATION_ID = 0x74624558
"""Marks the file as a state of an exchange."""

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL) STRICT;
CREATE TABLE journal (id INTEGER PRIMARY KEY, entry TEXT NOT NULL) STRICT;
CREATE TABLE candles (
  symbol TEXT NOT NULL, interval INTEGER NOT NULL, start INTEGER NOT NULL, row TEXT NOT NULL,
  PRIMARY KEY (symbol, interval, start)
) STRICT, WITHOUT ROWID;
"""

CandleRow = tuple[str, int, int, str]
"""Symbol, interval, start and the candle as JSON."""


class StateFile:
    """An open state. One process has it at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises StateError."""
        self._path = path
        self._entries = 0
        self._failure = ""
        try:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=0.2)
            try:
                self._open()
            except BaseException:
                self._database.close()
                raise
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StateError(f"{path} is used by another process") from error
            raise StateError(f"cannot open {path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StateError(f"{path} is not a state of an exchange: {error}") from error

    def _open(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("BEGIN EXCLUSIVE")
        found = run("PRAGMA application_id").fetchone()[0]
        empty = not run("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        version = run("PRAGMA user_version").fetchone()[0]
        if empty:
            for statement in _SCHEMA.split(";\n"):
                run(statement)
            run(f"PRAGMA application_id = {_APPLICATION_ID}")
            run(f"PRAGMA user_version = {VERSION}")
        run("COMMIT")
        if not empty and found != _APPLICATION_ID:
            raise StateError(f"{self._path} is not a state of an exchange; name another file")
        if not empty and version != VERSION:
            raise StateError(
                f"{self._path} is of version {version} of the state, this program reads {VERSION}:"
                " start with another --state, or with the program that wrote it"
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        self._entries = run("SELECT count(*) FROM journal").fetchone()[0]

    @property
    def entries(self) -> int:
        """Changes since the snapshot."""
        return self._entries

    def meta(self) -> dict[str, Any]:
        """Return what describes the exchange. Empty if the file is new."""
        rows = self._database.execute("SELECT name, value FROM meta")
        return {name: json.loads(value) for name, value in rows}

    def snapshot(self) -> dict[str, Any] | None:
        """Return the last snapshot."""
        row = self._database.execute("SELECT state FROM snapshot").fetchone()
        if row is None:
            return None
        state: dict[str, Any] = json.loads(row[0])
        return state

    def journal(self) -> Iterator[dict[str, Any]]:
        """Iterate over the changes since the snapshot."""
        for (entry,) in self._database.execute("SELECT entry FROM journal ORDER BY id"):
            yield json.loads(entry)

    def candles(self, symbol: str, interval: int, count: int) -> list[str]:
        """Return the newest `count` stored candles, oldest first."""
        rows = self._database.execute(
            "SELECT row FROM candles WHERE symbol = ? AND interval = ? ORDER BY start DESC LIMIT ?",
            (symbol, interval, count),
        ).fetchall()
        return [row for (row,) in reversed(rows)]

    def record(self, entry: dict[str, Any]) -> None:
        """Commit a change. Raises StateError, and from then on always: a change is missing."""
        self.check()
        try:
            self._database.execute("INSERT INTO journal (entry) VALUES (?)", (_text(entry),))
        except sqlite3.Error as error:
            self._failure = f"cannot write {self._path}: {error}"
            raise StateError(self._failure) from error
        self._entries += 1

    def check(self) -> None:
        """Raise StateError if a change could not be written. The exchange must end then."""
        if self._failure:
            raise StateError(self._failure)

    def save(
        self, *, meta: dict[str, Any], state: dict[str, Any], candles: Iterable[CandleRow]
    ) -> int:
        """Replace snapshot and journal by a new snapshot; return its length. Raises StateError."""
        self.check()
        text = _text(state)
        run = self._database.execute
        try:
            run("BEGIN IMMEDIATE")
            for name, value in meta.items():
                run("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))
            run("INSERT OR REPLACE INTO snapshot VALUES (1, ?)", (text,))
            run("DELETE FROM journal")
            self._database.executemany(
                "INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?)", candles
            )
            run("COMMIT")
        except sqlite3.Error as error:
            raise StateError(f"cannot write {self._path}: {error}") from error
        self._entries = 0
        return len(text)

    def prune_candles(self, symbol: str, interval: int, before: int) -> None:
        """Drop candles that begin before `before`."""
        self._database.execute(
            "DELETE FROM candles WHERE symbol = ? AND interval = ? AND start < ?",
            (symbol, interval, before),
        )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
