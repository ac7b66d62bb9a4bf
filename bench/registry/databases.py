"""Databases of any size. A seeded one is kept in the user's cache; a benchmark works on a copy."""

import hashlib
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tradingbot_dev.errors import ToolMissingError
from tradingbot_dev.processes.postgresql_server import (
    MISSING,
    PostgresqlServer,
    copied,
    on_loopback,
    postgresql_server,
    programs,
)
from tradingbot_dev.toolchain.assets import cache_directory
from tradingbot_registry.storage import derived, migrations
from tradingbot_registry.storage.postgresql import WRITE_LOCK

from bench.common.series import Say
from bench.registry import dataset
from bench.registry.workload import SEED

SQLITE, POSTGRESQL = "sqlite", "postgresql"
DATABASE = "registry"
POSTGRESQL_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
}


@dataclass(frozen=True)
class Seeded:
    """A database with so many assets, and how to use it without the registry."""

    kind: str
    size: int
    url: str
    path: Path
    """Its file, or its directory."""

    @property
    def bytes(self) -> int:
        """The size of its files."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())

    def count(self, condition: str) -> int:
        """Return the number of assets for which an SQL condition holds."""
        with self._connected() as connection:
            found = connection.execute(f"SELECT COUNT(*) FROM asset WHERE {condition}")
            return int(found.fetchone()[0])

    @contextmanager
    def write_locked(self) -> Iterator[None]:
        """Hold the lock of all writes in the block, as another process."""
        with self._connected() as connection:
            if self.kind == SQLITE:
                connection.execute("BEGIN IMMEDIATE")
            else:
                connection.execute("BEGIN")
                connection.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
            yield
            connection.execute("ROLLBACK")

    def _connected(self) -> Any:
        if self.kind == SQLITE:
            return closing(sqlite3.connect(self.path, isolation_level=None))
        return psycopg.connect(self.url, autocommit=True)


@contextmanager
def seeded(kind: str, size: int, say: Say) -> Iterator[Seeded]:
    """Yield a database of that kind with so many assets, which is removed afterwards."""
    original = _cached(kind, size, say)
    if kind == SQLITE:
        with tempfile.TemporaryDirectory(prefix="tradingbot-bench-") as directory:
            path = Path(directory) / "registry.db"
            copied(original, path)
            yield Seeded(kind, size, f"sqlite:///{path}", path)
    else:
        with _server(copy_of=original) as server:
            yield Seeded(kind, size, _url(server), server.data)


def _cached(kind: str, size: int, say: Say) -> Path:
    """Return the file or directory of a seeded database, which is made once.

    Whatever decides its content is in its name. It is complete, since it is renamed at the end.
    """
    digest = hashlib.sha256(f"{sqlite3.sqlite_version} {programs()}".encode())
    for module in (dataset, migrations, derived):
        digest.update(Path(str(module.__file__)).read_bytes())
    cache = cache_directory().with_name("bench") / f"registry-{digest.hexdigest()[:16]}"
    found = cache / f"{kind}-{size}"
    if found.exists():
        return found
    say(f"{kind}: {size:,} assets are imported, once")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as directory:
        draft = Path(directory) / "draft"
        if kind == SQLITE:
            dataset.load(f"sqlite:///{draft}", size, SEED)
            with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            with _server() as server:
                server.execute(f"CREATE DATABASE {DATABASE}")
                dataset.load(_url(server), size, SEED)
                # Autovacuum is off, and without statistics the plans are others.
                server.execute("VACUUM ANALYZE", database=DATABASE)
                server.stop(signal.SIGINT)
                copied(server.data, draft)
        draft.rename(found)
    return found


@contextmanager
def _server(copy_of: Path | None = None) -> Iterator[PostgresqlServer]:
    found = programs()
    if found is None:
        raise ToolMissingError(MISSING)
    settings = POSTGRESQL_SETTINGS | on_loopback()
    # A port of the loopback: not every driver takes the path of a socket.
    options = ("--auth-host=trust",)
    with postgresql_server(found, settings, initdb=options, copy_of=copy_of) as server:
        yield server


def _url(server: PostgresqlServer) -> str:
    return f"postgresql://postgres@127.0.0.1:{server.settings['port']}/{DATABASE}"
