"""Parts that the registry's tests share.

What a registry answers does not depend on its database: a test of that takes `api`, `database` or
`database_url`, and runs on SQLite and on PostgreSQL. The tests of the page run on SQLite: the page
asks the REST API alone, and nothing that it shows depends on which database answered.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_harness import running_browser
from playwright.sync_api import Browser
from registry_harness import Api, TickingClock
from tradingbot_dev.processes.postgresql_server import (
    MISSING,
    PostgresqlServer,
    postgresql_server,
    programs,
)
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.storage.engine import Database

TABLES = (
    "report",
    "asset_tag",
    "dependency",
    "pending_dependency",
    "tag",
    "asset",
    "change",
    "receipt",
    "asset_tally",
)
SEQUENCES = ("asset_seq_seq", "change_seq_seq", "tag_id_seq")
FEW = 500
"""Assets of a test, below which to delete its rows takes an eighth of what new files take."""


@pytest.fixture(scope="session")
def postgresql_programs() -> Path:
    """The programs of the server. Without the package, tests are skipped; in CI they fail."""
    found = programs()
    if found is None:
        assert not os.environ.get("CI"), MISSING
        pytest.skip(MISSING)
    return found


@pytest.fixture(scope="session")
def postgresql(postgresql_programs: Path) -> Iterator[PostgresqlServer]:
    """A server with an empty registry."""
    with postgresql_server(postgresql_programs) as server:
        server.execute("CREATE DATABASE registry")
        yield server


@pytest.fixture(scope="session")
def prepared_postgresql(postgresql: PostgresqlServer) -> Iterator[Database]:
    """The registry's database of that server, with its tables and its connections."""
    database = prepared_database(postgresql.url(), connections=40)
    yield database
    database.release()


@pytest.fixture
def empty_postgresql(prepared_postgresql: Database) -> Database:
    """The same, without a row."""
    db = prepared_postgresql
    with db.connection_context():
        if max(db.execute_sql("SELECT last_value FROM asset_seq_seq").fetchone()) < FEW:
            deletes = [f"DELETE FROM {table}" for table in TABLES]
            restarts = [f"SELECT setval('{sequence}', 1, false)" for sequence in SEQUENCES]
            db.execute_sql(";".join([*deletes, *restarts]))
        else:
            db.execute_sql(f"TRUNCATE {','.join(TABLES)} RESTART IDENTITY")
    return db


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Iterator[Database]:
    """An empty registry in the file `registry.db`."""
    database = prepared_database(f"sqlite:///{tmp_path / 'registry.db'}")
    database.hold()
    yield database
    database.release()
    if not database.is_closed():
        database.close()


@pytest.fixture(params=["sqlite_file", "empty_postgresql"], ids=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """An empty registry of each kind."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def database_url(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of `database`, for other processes."""
    if database.shared:
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        return server.url()
    return f"sqlite:///{tmp_path / 'registry.db'}"


@pytest.fixture
def api(database: Database) -> Api:
    return Api(create_app(database, clock=TickingClock()).test_client())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file: while it runs, no other event loop can."""
    with running_browser() as browser:
        yield browser
