"""A database of a PostgreSQL server: connections, transactions and failures.

Each write takes one advisory lock, and has it until its commit is visible to all. Row locks or
serializable transactions would let two writes happen at once; but no two may close a cycle
together, and who follows the changes must not see a number before a lower one.
"""

import logging
import os
import select
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import peewee
import psycopg
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase
from psycopg.conninfo import conninfo_to_dict
from tradingbot_process.addresses import is_loopback

from tradingbot_registry.errors import DatabaseURLError, SchemaError
from tradingbot_registry.refusals import OutcomeUnknownError, StorageError, StorageFullError
from tradingbot_registry.storage.engine import READ, TURN_SECONDS, WRITE, Database

log = logging.getLogger(__name__)

SCHEMES = ("postgresql://", "postgres://")

WRITE_LOCK = int.from_bytes(b"tradbreg")
"""The advisory lock of all writes to one database."""

CONNECT_SECONDS = 5
SILENT_SECONDS = 10
"""A server that does not acknowledge what was sent for so long is given up."""
IDLE_SECONDS = 10
"""A write whose process says nothing for so long is undone, as when its machine is gone."""
CONNECTION_SECONDS = 900
"""Age after which a connection is replaced: by one to another primary, or with a new password."""

# Not a setting of the connection: a pooler between may give each transaction another one.
_WAIT_FOR_LOCKS = f"SET LOCAL lock_timeout = '{TURN_SECONDS:.0f}s'"

BEGIN = {
    None: "BEGIN",
    READ: f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_WAIT_FOR_LOCKS}",
    # READ COMMITTED: a statement sees all that was committed before the lock was free. The first
    # statement of REPEATABLE READ would be the wait for the lock. Not READ WRITE: that would
    # override the server's `default_transaction_read_only`.
    WRITE: (
        f"BEGIN ISOLATION LEVEL READ COMMITTED; {_WAIT_FOR_LOCKS};"
        f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s';"
        f" SELECT pg_advisory_xact_lock({WRITE_LOCK})"
    ),
}

DEFAULTS = {
    "application_name": "tradingbot-registry",
    "connect_timeout": str(CONNECT_SECONDS),
    # A standby may not have yet what was answered. A primary that is read-only has it, and is read.
    "target_session_attrs": "primary",
    "tcp_user_timeout": str(SILENT_SECONDS * 1000),
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}

_NO_EXTENSION = frozenset({"0A000", "42501", "58P01"})
"""States of an extension that is not installed, or that this user may not create."""
_EXTENSION = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
# Other operators than LIKE are not needed, and the extension may be in a schema of its own. A list
# of new entries, which each search would have to read, is not kept.
_SEARCH_INDEX = """DO $$ BEGIN EXECUTE (
    SELECT 'CREATE INDEX IF NOT EXISTS asset_search ON asset USING gin (search '
        || quote_ident(nspname) || '.gin_trgm_ops) WITH (fastupdate = off)'
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'pg_trgm'
); END $$"""
_LITERALLY = str.maketrans({character: f"\\{character}" for character in "\\%_"})

EXAMPLE = "postgresql://USER@HOST:5432/DATABASE"

READ_ONLY = "its server is read-only now"


class UnreachableError(peewee.OperationalError):
    """There is no connection to the server. The text says why, on one line."""


class PostgresServer(Database, PooledPostgresqlDatabase):  # type: ignore[misc]
    """A database of a server, with a bounded number of connections."""

    shared = True
    has_statistics = True
    member_of_list = "= ANY(?)"

    def __init__(self, parameters: dict[str, str], password_file: Path | None, most: int) -> None:
        super().__init__(
            parameters["dbname"],
            max_connections=most,
            stale_timeout=CONNECTION_SECONDS,
            timeout=TURN_SECONDS,
            autoconnect=False,
            prefer_psycopg3=True,
        )
        self.place = place(parameters)
        self._parameters = parameters
        self._password_file = password_file
        self._asked = threading.local()
        self._failed: tuple[float, str] = (0.0, "")

    def hold(self) -> None:
        """Do nothing: connections stay open by themselves."""

    def release(self) -> None:
        """Close the connections that nobody uses."""
        self.close_idle()

    def check(self) -> None:
        """Raise SchemaError if the database can't hold the registry's texts."""
        found = self.execute_sql("SHOW server_encoding").fetchone()[0]  # type: ignore[no-untyped-call]
        if found != "UTF8":
            raise SchemaError(f"its encoding is {found}: create it with ENCODING 'UTF8'")

    @staticmethod
    def collected(column: str, source: str, *, order: str) -> str:
        """Return SQL for a list of the values of a column, as one value: an array, or NULL."""
        return f"(SELECT array_agg({column} ORDER BY {order}) FROM {source})"  # noqa: S608

    def list_value(self, integers: list[int]) -> list[int]:
        """Return the value that a list of integers is for the driver."""
        return integers

    def contains_text(self, column: str) -> str:
        """Return the condition that the column has a text, character by character.

        LIKE, and not strpos: it may use the index.
        """
        return f"{column} LIKE ?"

    def sought(self, text: str) -> str:
        """Return the value of `contains_text`: a pattern without other wildcards."""
        return f"%{text.translate(_LITERALLY)}%"

    def index_search(self) -> None:
        """Create the index of searches, if there is none. To be called outside of a transaction.

        It needs the extension pg_trgm, which comes with the server and which the owner of a
        database may create. Without it, a search reads all assets until it has a page.
        """
        if self.searches_by_index():
            return
        try:
            with self.turn(), self.in_write(), self.atomic(WRITE):
                for statement in (_EXTENSION, _SEARCH_INDEX):
                    self.execute_sql(statement)  # type: ignore[no-untyped-call]
        except peewee.DatabaseError as error:
            if getattr(getattr(error, "orig", None), "sqlstate", None) not in _NO_EXTENSION:
                raise
            log.warning(
                "a search reads all assets: the extension pg_trgm can't be used. Create it in this"
                " database as its owner, and restart the registry: CREATE EXTENSION pg_trgm",
                extra={"cause": one_line(error)},
            )
        else:
            log.info("the index of searches was created")

    def searches_by_index(self) -> bool:
        """Whether there is the index."""
        found = self.execute_sql("SELECT to_regclass('asset_search')")  # type: ignore[no-untyped-call]
        return found.fetchone()[0] is not None

    def by_index(self, name: str) -> str:  # noqa: ARG002
        """Return nothing: PostgreSQL chooses by its statistics."""
        return ""

    def without_index(self, column: str) -> str:
        """Return the column: PostgreSQL chooses by its statistics."""
        return column

    def continue_numbers(self) -> None:
        """Let new rows be numbered after all that are there, which may have come with numbers."""
        for table, column in (("asset", "seq"), ("change", "seq"), ("tag", "id")):
            self.execute_sql(  # type: ignore[no-untyped-call]
                f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'),"  # noqa: S608
                f" GREATEST(COALESCE(MAX({column}), 0), 1), COUNT(*) > 0) FROM {table}"
            )

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Take a connection of the pool, or a new one. Raises UnreachableError."""
        self._asked.at = time.monotonic()
        try:
            return bool(super().connect(reuse_if_open))
        except MaxConnectionsExceeded as error:
            raise UnreachableError("all connections are in use") from error

    def _connect(self) -> Any:
        # One thread connects at a time. Those that waited for one that failed fail with it:
        # otherwise each would wait for a silent server in its turn.
        failed_at, reason = self._failed
        if failed_at > self._asked.at:
            raise UnreachableError(reason)
        try:
            return super()._connect()
        except (psycopg.Error, UnreachableError) as error:
            reason = str(error) if isinstance(error, UnreachableError) else one_line(error)
            self._failed = (time.monotonic(), reason)
            raise UnreachableError(reason) from error

    def driver_parameters(self) -> dict[str, str]:
        """Return what a new connection is made with. Raises UnreachableError."""
        if self._password_file is None:
            return self._parameters
        return self._parameters | {"password": _password(self._password_file)}

    def _is_closed(self, conn: Any) -> bool:
        # An idle server sends nothing. What can be read is its farewell, or the end.
        if conn.closed:
            return True
        poll = select.poll()
        poll.register(conn.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def begin(self, kind: str | None = None) -> None:
        """Begin a transaction of that kind, `READ` or `WRITE`.

        Raises StorageError for a write on a server that is read-only.
        """
        try:
            self.execute_sql(BEGIN[kind])  # type: ignore[no-untyped-call]
            if kind == WRITE:
                self._check_writable()
        except (peewee.PeeweeException, StorageError):
            self.rollback()
            raise

    def _check_writable(self) -> None:
        # Servers since version 14 report this; an older one refuses the first change.
        info = self.connection().info  # type: ignore[no-untyped-call]
        if info.parameter_status("default_transaction_read_only") == "on":
            raise StorageError(READ_ONLY, busy=True)

    def commit(self) -> None:
        """Commit. Raises OutcomeUnknownError if a write's answer was lost."""
        try:
            super().commit()
        except peewee.PeeweeException as error:
            if self.writing and self._lost():
                raise OutcomeUnknownError from error
            raise

    def rollback(self) -> None:
        """Undo the transaction; if the connection is lost, the server does so itself."""
        if not self._lost():
            super().rollback()

    def _lost(self) -> bool:
        connection = self.connection()  # type: ignore[no-untyped-call]
        return bool(connection.broken or connection.closed)


class Driver(peewee.Psycopg3Adapter):
    """Connects with the password of the moment."""

    def connect(self, db: PostgresServer, **_: Any) -> Any:
        """Return a new connection."""
        return psycopg.connect(**db.driver_parameters())  # type: ignore[arg-type]


PostgresServer.psycopg3_adapter = Driver


def is_url(url: str) -> bool:
    """Whether the URL is one of PostgreSQL's."""
    return url.startswith(SCHEMES)


def open_server(url: str, *, password_file: Path | None, connections: int) -> PostgresServer:
    """Return the database of that URL, not connected. Raises DatabaseURLError."""
    found = parameters(url, os.environ)
    mode = found.get("sslmode") or os.environ.get("PGSSLMODE")
    if mode != "verify-full" and not _is_here(found, os.environ):
        log.warning("sslmode=%s does not verify the database's server", mode)
    return PostgresServer(found, password_file, connections)


def parameters(url: str, environment: Any) -> dict[str, str]:
    """Return libpq's parameters for the URL. No error has any part of it: it may hold a password.

    Another machine is verified by its certificate unless the URL says otherwise. Raises
    DatabaseURLError.
    """
    authority, _, path = url.split("://", 1)[1].partition("?")[0].partition("/")
    if authority.count("@") > 1 or "@" in path:
        raise _wrong("write @, / and other special characters of the password as %40, %2F, ...")
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.Error:
        raise _wrong("it has an unknown parameter, or a character that must be %-encoded") from None
    if not all(port.isdecimal() for port in found.get("port", "").split(",") if port):
        raise _wrong("its port is not a number")
    if not found.get("dbname"):
        raise _wrong("it names no database")
    chosen = "sslmode" in found or "PGSSLMODE" in environment
    if not chosen and not _is_here(found, environment):
        found["sslmode"] = "verify-full"
        if "PGSSLROOTCERT" not in environment:
            found.setdefault("sslrootcert", "system")
    return DEFAULTS | found


def _wrong(reason: str) -> DatabaseURLError:
    return DatabaseURLError(f"database URL postgresql://...: {reason}; it must be like {EXAMPLE}")


def _is_here(found: dict[str, str], environment: Any) -> bool:
    """Whether the server is on this machine: at a Unix socket or at a loopback address."""
    if "service" in found or "PGSERVICE" in environment:
        return False
    hosts = found.get("hostaddr") or found.get("host") or environment.get("PGHOST", "")
    return all(_is_local(host) for host in hosts.split(","))


def _is_local(host: str) -> bool:
    return not host or host.startswith(("/", "@")) or is_loopback(host)


def place(parameters: dict[str, str]) -> str:
    """Return where the database is, as a URL without credentials and parameters."""
    hosts = parameters.get("host", "").split(",")
    ports = parameters.get("port", "").split(",")
    shown = ",".join(
        quote(host, safe=":") + (f":{port}" if port else "")
        for host, port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=False)
    )
    return f"postgresql://{shown}/{quote(parameters['dbname'])}"


def _password(file: Path) -> str:
    try:
        password = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise UnreachableError(f"password file {file}: {reason}") from error
    if not password:
        raise UnreachableError(f"password file {file}: is empty")
    return password


def one_line(error: Exception) -> str:
    """Return what the driver says, on one line."""
    text = " ".join(str(error).split())
    for prefix in ("connection failed: ", "connection is bad: "):
        text = text.removeprefix(prefix)
    return text


def failure(cause: psycopg.Error | UnreachableError) -> StorageError | None:
    """Return the problem for a failure of the driver; None for a programming error."""
    if isinstance(cause, UnreachableError):
        return StorageError("its server can't be reached", busy=True, cause=str(cause))
    said = one_line(cause)
    match cause.sqlstate:
        case "53100":
            return StorageFullError()
        case "55P03":
            return StorageError("another session holds a lock", busy=True, cause=said)
        case "40001" | "40P01":
            return StorageError("another writer came between", busy=True, again=True, cause=said)
        case "25006":
            return StorageError(READ_ONLY, busy=True, cause=said)
        case "42501":
            return StorageError("the registry's user may not do this there", cause=said)
        case "53200" | "53300" | "53400" | "57014":
            return StorageError("its server has too much to do", busy=True, cause=said)
        case "58P01" | "XX001" | "XX002":
            return StorageError("a file of its server is damaged; restore a backup", cause=said)
        case "58030":
            return StorageError("the disk of its server fails", cause=said)
        case str(state) if not state.startswith(("08", "57P", "25P03")):
            return None
        case _ if isinstance(cause, psycopg.OperationalError | psycopg.errors.InternalError):
            return StorageError("the connection to its server was lost", busy=True, cause=said)
    return None
