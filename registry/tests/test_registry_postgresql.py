"""A PostgreSQL database: its URL, its schema, its lock, and how its failures are reported."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from registry_harness import ASSETS, Api, TickingClock, refusal
from tradingbot_dev.processes.postgresql_server import PostgresqlServer
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.errors import DatabaseUnusableError, DatabaseURLError
from tradingbot_registry.refusals import OutcomeUnknownError
from tradingbot_registry.storage import postgresql as postgresql_module
from tradingbot_registry.storage.database import open_database, write
from tradingbot_registry.storage.engine import WRITE, Database
from tradingbot_registry.storage.migrations import MIGRATIONS, POSTGRESQL_MIGRATIONS
from tradingbot_registry.storage.postgresql import parameters, place


@pytest.fixture
def database(empty_postgresql: Database) -> Database:
    return empty_postgresql


@pytest.fixture
def own(postgresql: PostgresqlServer) -> Iterator[str]:
    """The URL of a database of the test's own, without tables."""
    postgresql.execute("CREATE DATABASE own")
    yield postgresql.url("own")
    postgresql.execute("DROP DATABASE own WITH (FORCE)")


def tls(url: str, environment: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    found = parameters(url, environment or {})
    return found.get("sslmode"), found.get("sslrootcert")


def test_another_machine_is_verified_unless_the_url_says_otherwise() -> None:
    for here in ("", "localhost", "127.0.0.1:5433", "[::1]", "%2Frun%2Fpostgresql"):
        assert tls(f"postgresql://u@{here}/registry") == (None, None)
    for there in ("db", "10.0.0.1", "localhost,db"):
        assert tls(f"postgresql://u@{there}/registry") == ("verify-full", "system")
        assert tls(f"postgresql://u@{there}/registry?sslmode=disable") == ("disable", None)
    verified = "postgresql://u@db/registry?sslrootcert=/tls/ca.crt"
    assert tls(verified) == ("verify-full", "/tls/ca.crt")
    assert tls("postgresql://u@db/registry", {"PGSSLMODE": "require"}) == (None, None)
    assert tls("postgresql:///registry", {"PGHOST": "db"}) == ("verify-full", "system")
    assert tls("postgresql:///registry?service=s") == ("verify-full", "system")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h/db?colour=red",
        "postgresql://u:hun@ter2@h/db",
        "postgresql://u:hun/ter2@h/db",
        "postgresql://u:12/hunter2@h/db",
        "postgresql://u:hunter2%zz@h/db",
        "postgresql://u:hunter2@[h/db",
        "postgresql://u:hunter2@h:port/db",
        "postgresql://u:hunter2@h",
        "postgresql://hunter2",
        "postgres://",
    ],
)
def test_a_wrong_url_is_refused_without_a_part_of_it(url: str) -> None:
    with pytest.raises(DatabaseURLError, match="USER@HOST") as refused:
        open_database(url)
    message = str(refused.value)
    assert not any(part in message for part in ("hunter2", "ter2", "hun"))
    assert "\n" not in message
    assert refused.value.__cause__ is None


def test_messages_have_the_place_without_credentials() -> None:
    url = "postgresql://u:hunter2@a,b:5433/registry?password=hunter2&target_session_attrs=any"
    assert place(parameters(url, {})) == "postgresql://a,b:5433/registry"
    local = "postgresql://u:hunter2@/registry?host=/run/postgresql"
    assert place(parameters(local, {})) == "postgresql://%2Frun%2Fpostgresql/registry"


def test_the_schemas_have_the_same_version_tables_and_columns(
    database: Database, sqlite_file: Database
) -> None:
    assert MIGRATIONS[-1].version == POSTGRESQL_MIGRATIONS[-1].version
    columns: list[dict[str, list[tuple[str, bool, bool]]]] = []
    indexes: list[dict[str, set[tuple[bool, str]]]] = []
    for each in (database, sqlite_file):
        with each.connection_context():
            # A search has tables of its own in SQLite, and an index of its own kind here.
            tables = sorted(
                table
                for table in set(each.get_tables()) - {"sqlite_sequence"}
                if not table.startswith("asset_search")
            )
            columns.append(
                {
                    table: sorted(
                        (found.name, found.primary_key)
                        for found in each.get_columns(table)
                        if found.name != "namespace"  # SQLite does not list what it computes.
                    )
                    for table in tables
                }
            )
            indexes.append(
                {
                    table: {
                        (found.unique, ",".join(found.columns))
                        for found in each.get_indexes(table)
                        if found.columns not in (["seq"], ["id"], ["asset"], ["search"])
                    }
                    for table in tables
                }
            )
    assert columns[0] == columns[1]
    assert indexes[0] == indexes[1]


def test_processes_that_start_together_migrate_once(own: str) -> None:
    script = f"from tradingbot_registry.app import *; prepared_database({own!r})"
    starts = [
        subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) for _ in range(3)
    ]
    errors = [start.communicate(timeout=60)[1] for start in starts]
    assert [start.returncode for start in starts] == [0] * 3, errors


def start_error(url: str, **options: Any) -> str:
    with pytest.raises(DatabaseUnusableError) as refused:
        prepared_database(url, **options)
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith("database postgresql://")
    return message


def test_a_database_of_another_program_or_a_newer_version_is_left_alone(
    own: str, postgresql: PostgresqlServer
) -> None:
    postgresql.execute("CREATE TABLE bookmarks (url TEXT)", database="own")
    assert "another program" in start_error(own)
    postgresql.execute("DROP TABLE bookmarks", database="own")
    prepared_database(own)
    postgresql.execute("UPDATE schema_version SET version = 99", database="own")
    assert "version 99" in start_error(own)


def test_what_can_not_be_reached_or_used_is_named(own: str, postgresql: PostgresqlServer) -> None:
    assert 'database "absent" does not exist' in start_error(postgresql.url("absent"))
    assert "No such file or directory" in start_error("postgresql:///registry?host=/tmp/absent")
    assert "Connection refused" in start_error("postgresql://u@127.0.0.1:1/registry")
    assert "invalid sslmode" in start_error("postgresql://u@127.0.0.1:1/db?sslmode=bogus")
    refused = start_error("postgresql://u@no.such.host.invalid/registry")
    assert "no.such.host.invalid" in refused
    postgresql.execute("CREATE ROLE guest LOGIN")
    try:
        guest = own.replace("postgres@", "guest@")
        assert "permission denied for schema public" in start_error(guest)
    finally:
        postgresql.execute("DROP ROLE guest")


def test_a_database_of_another_encoding_is_refused(postgresql: PostgresqlServer) -> None:
    postgresql.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    try:
        assert "LATIN1" in start_error(postgresql.url("latin"))
    finally:
        postgresql.execute("DROP DATABASE latin WITH (FORCE)")


def test_a_server_that_is_not_verified_is_worth_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for url in ("postgresql://u@db/registry", "postgresql://u@localhost/registry?sslmode=disable"):
        open_database(url)
    assert caplog.messages == []
    open_database("postgresql://u@db/registry?sslmode=require")
    assert caplog.messages == ["sslmode=require does not verify the database's server"]


def test_of_several_hosts_one_that_answers_is_found(own: str, postgresql: PostgresqlServer) -> None:
    found = prepared_database(own.replace("host=/", "host=/tmp/absent,/") + ",5432")
    assert found.place.count(",") == 1


def test_a_standby_is_not_written_to(own: str, postgresql: PostgresqlServer) -> None:
    postgresql.execute("ALTER DATABASE own SET default_transaction_read_only = on")
    assert "read-only" in start_error(own)


def post(api: Api, **fields: Any) -> Any:
    return api.client.post(ASSETS, json={"name": "a", "type": "Other", **fields})


def test_a_write_lock_held_elsewhere_is_waited_for_then_reported(
    api: Api, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = postgresql_module.BEGIN[WRITE].replace("'8s'", "'20ms'")
    monkeypatch.setitem(postgresql_module.BEGIN, WRITE, begin)
    with postgresql.connect("registry") as other:
        other.execute(f"SELECT pg_advisory_lock({postgresql_module.WRITE_LOCK})")
        response = post(api)
        assert "lock" in refusal(response, 503, "storage")["detail"]
        assert response.headers["Retry-After"]
        refusal(api.client.get("/readyz"), 503, "storage")
        assert api.find() == []
    api.add("a")
    assert api.client.get("/readyz").status_code == 200


def test_a_writer_that_says_nothing_any_more_does_not_keep_the_lock(
    database: Database, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its machine were gone."""
    begin = postgresql_module.BEGIN[WRITE]
    silent = begin.replace("timeout = '10s'", "timeout = '200ms'")
    assert silent != begin
    monkeypatch.setitem(postgresql_module.BEGIN, WRITE, silent)
    begun, ended = threading.Event(), threading.Event()

    def hang() -> None:
        with database.connection_context():
            database.begin(WRITE)
            begun.set()
            ended.wait()

    thread = threading.Thread(target=hang)
    thread.start()
    begun.wait()
    api.add("a")
    ended.set()
    thread.join()


def terminate(postgresql: PostgresqlServer, database: Database) -> None:
    pid = database.connection().info.backend_pid
    postgresql.execute(f"SELECT pg_terminate_backend({pid}, 10000)")


def test_a_connection_that_is_lost_in_a_write_leaves_nothing_of_it(
    api: Api, database: Database, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clock() -> Any:
        terminate(postgresql, database)
        return TickingClock()()

    failing = Api(create_app(database, clock=clock).test_client())
    response = post(failing)
    assert "connection" in refusal(response, 503, "storage")["detail"]
    assert response.headers["Retry-After"]
    assert api.find() == []
    api.add("a")


def test_a_commit_whose_answer_is_lost_is_reported_as_unknown(
    database: Database, postgresql: PostgresqlServer
) -> None:
    def unit() -> None:
        terminate(postgresql, database)

    with database.connection_context(), pytest.raises(OutcomeUnknownError):
        write(database, unit)


def test_a_connection_that_the_server_has_closed_is_not_used_again(
    api: Api, postgresql: PostgresqlServer
) -> None:
    api.add("a")
    others = "pid <> pg_backend_pid() AND datname = 'registry'"
    postgresql.execute(
        f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {others}"
    )
    assert api.find() == ["a"]


def test_a_process_has_no_more_connections_than_it_may(postgresql: PostgresqlServer) -> None:
    few = prepared_database(postgresql.url(), connections=2)
    api = Api(create_app(few, clock=TickingClock()).test_client())
    answers: list[int] = []

    def create() -> None:
        answers.append(post(api).status_code)

    threads = [threading.Thread(target=create) for _ in range(4)]
    name = postgresql_module.DEFAULTS["application_name"]
    count = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"
    with postgresql.connect() as watcher:
        before = watcher.execute(count).fetchone()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = watcher.execute(count).fetchone()
    assert answers == [201] * 4
    assert before is not None
    assert after is not None
    assert after[0] - before[0] <= 1  # One was there already.
    few.release()


def test_a_number_that_is_seen_has_none_before_it_that_comes_later(
    database: Database, postgresql: PostgresqlServer
) -> None:
    app = create_app(database)
    ends = threading.Event()
    errors: list[str] = []

    def follow() -> None:
        seen: list[int] = []
        with postgresql.connect("registry") as reader:
            while not ends.is_set() or len(seen) < 60:
                found = [seq for (seq,) in reader.execute("SELECT seq FROM change ORDER BY seq")]
                if found[: len(seen)] != seen:
                    errors.append(f"{found} after {seen}")
                    return
                seen = found

    follower = threading.Thread(target=follow)
    follower.start()
    writers = [
        threading.Thread(target=lambda: [post(Api(app.test_client())) for _ in range(10)])
        for _ in range(6)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ends.set()
    follower.join()
    assert errors == []


def test_a_query_that_makes_no_sense_to_the_server_is_a_defect(
    api: Api, postgresql: PostgresqlServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(database), "contains_text", lambda *_: "nonsense(%s)")
    refusal(api.client.get(f"{ASSETS}?q=a"), 500, "defect")
    monkeypatch.undo()
    assert api.find("q=a") == []
