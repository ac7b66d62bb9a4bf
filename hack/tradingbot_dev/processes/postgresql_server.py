"""A temporary PostgreSQL server for tests and benchmarks: Debian's package `postgresql`."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until

NOBODY = 65534

MISSING = "PostgreSQL's server is not installed; on Debian and Ubuntu: apt install postgresql"

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    # What is written need not outlive the machine, and nobody waits for it.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


def programs() -> Path | None:
    """Return the directory of the newest server that is installed, or None."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    path = str(found[-1]) if found else shutil.which("initdb")
    return Path(path).parent if path else None


@dataclass
class PostgresqlServer:
    """A server that listens on a socket in its directory, or also on a port of 127.0.0.1."""

    programs: Path
    directory: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "registry") -> str:
        """Return the URL of one of its databases, as its owner."""
        port = self.settings.get("port", "5432")
        return f"postgresql://postgres@/{database}?host={self.directory}&port={port}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection where each statement is a transaction."""
        return psycopg.connect(self.url(database), autocommit=True)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each in a transaction of its own."""
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)

    def start(self) -> None:
        """Start, and wait until a client is answered."""
        options = {**SETTINGS, "unix_socket_directories": str(self.directory), **self.settings}
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        log = (self.directory / "log").open("ab")
        self.process = subprocess.Popen(
            as_nobody(str(self.programs / "postgres"), "-D", str(self.data), *flags),
            stdout=log,
            stderr=log,
            cwd=self.directory,
        )
        log.close()
        wait_until(self._answers, what="PostgreSQL")

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.directory / "data"

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop. SIGINT ends its clients' connections first, SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(STUCK_SECONDS)
            self.process = None


def on_loopback() -> dict[str, str]:
    """Return the settings of a server that also listens on a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return {"listen_addresses": "127.0.0.1", "port": str(free.getsockname()[1])}


def as_nobody(*command: str) -> list[str]:
    """Return the command, as a user that the server accepts, which ends with its parent."""
    user = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    return ["setpriv", "--pdeathsig", "QUIT", *(user if os.geteuid() == 0 else []), *command]


@contextmanager
def postgresql_server(
    found: Path,
    settings: dict[str, str] | None = None,
    *,
    initdb: Sequence[str] = (),
    inside: Path = Path("/tmp"),
    copy_of: Path | None = None,
) -> Iterator[PostgresqlServer]:
    """Run a server, with the user `postgres` who needs no password at the socket.

    Its directory is `inside` that one, whose path is short. Its data is new, or a copy of a data
    directory.
    """
    with _stopped_server(found, settings or {}, inside) as server:
        if copy_of is None:
            _run(
                server,
                *("initdb", "-D", str(server.data), "-U", "postgres", "-E", "UTF8"),
                *("--locale=C", "--no-sync", "--no-instructions", "--wal-segsize=1"),
                *("--auth-local=trust", "--auth-host=scram-sha-256", *initdb),
            )
        else:
            copied(copy_of, server.data)
        server.start()
        yield server


@contextmanager
def standby_of(primary: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """Run a standby, which each commit of the primary waits for from now on."""
    with _stopped_server(primary.programs, primary.settings, primary.directory.parent) as standby:
        _run(
            standby,
            *("pg_basebackup", "-d", primary.url("postgres"), "-D", str(standby.data)),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        )
        standby.start()
        primary.execute(
            "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"
        )
        with primary.connect() as watcher:
            waits = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            wait_until(lambda: watcher.execute(waits).fetchone() == (1,), what="the standby")
        yield standby


@contextmanager
def _stopped_server(
    found: Path, settings: dict[str, str], inside: Path
) -> Iterator[PostgresqlServer]:
    """Yield a server without data, which is stopped and removed at the end."""
    # Not a directory of pytest's: the path of a socket has at most 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="pg-", dir=inside))
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    server = PostgresqlServer(found, directory, settings)
    try:
        yield server
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.stop(signal.SIGQUIT)
        shutil.rmtree(directory, ignore_errors=True)


def _run(server: PostgresqlServer, program: str, *arguments: str) -> None:
    subprocess.run(
        as_nobody(str(server.programs / program), *arguments),
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=server.directory,
    )


def copied(data: Path, to: Path) -> None:
    """Copy the data directory of a server that was stopped."""
    subprocess.run(["cp", "--archive", "--reflink=auto", str(data), str(to)], check=True)
