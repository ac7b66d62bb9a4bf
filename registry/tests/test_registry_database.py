"""The database file: made, migrated, refused when it can't be used, and never half written."""

import sqlite3
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from registry_harness import ASSETS, Api, refusal
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.errors import DatabaseUnusableError, DatabaseURLError
from tradingbot_registry.storage import engine
from tradingbot_registry.storage.database import open_database, write
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.migrations import INITIAL, MIGRATIONS, Migration, migrate
from tradingbot_registry.storage.sqlite import database_path


@pytest.fixture
def database(sqlite_file: Database) -> Database:
    return sqlite_file


def test_not_every_statement_that_clients_can_cause_is_kept(database: Database) -> None:
    with database.connection_context():
        for number in range(engine.KEPT_TEXTS + 100):
            assert database.query(f"SELECT {number} + ?", 1) == [(number + 1,)]
    assert database.as_driver_has_it.cache_info().currsize == engine.KEPT_TEXTS


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/registry.db", "/var/lib/registry.db"),
        ("sqlite:///registry.db", "registry.db"),
        ("sqlite:////a%20b/%23.db", "/a b/#.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert database_path(url) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:hunter2@db/orders",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://var/registry.db",
        "sqlite:////registry.db?mode=ro",
        "/var/registry.db",
        "",
    ],
)
def test_another_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseURLError, match="sqlite:////") as refused:
        database_path(url)
    assert "hunter2" not in str(refused.value)


def test_a_file_of_an_odd_name_is_made_and_opened(tmp_path: Path) -> None:
    path = tmp_path / "a b#?%.db"
    prepared_database(
        f"sqlite:///{str(path).replace('%', '%25').replace('#', '%23').replace('?', '%3F')}"
    )
    assert path.exists()
    assert path.stat().st_mode & 0o077 == 0


def test_the_pragmas_hold_for_every_connection(database: Database) -> None:
    for _ in range(2):
        with database.connection_context():
            pragmas = [
                database.pragma(name) for name in ("journal_mode", "foreign_keys", "synchronous")
            ]
        assert pragmas == ["wal", 1, 1]


def test_a_second_start_finds_what_the_first_has_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    Api(create_app(prepared_database(url)).test_client()).add("a")
    assert Api(create_app(prepared_database(url)).test_client()).find() == ["a"]


def test_two_registries_in_one_process_know_nothing_of_each_other(tmp_path: Path) -> None:
    one, other = (
        Api(create_app(prepared_database(f"sqlite:///{tmp_path / name}")).test_client())
        for name in ("one.db", "other.db")
    )
    asset = one.add("a", tags=["t"])
    other.add("b", status="Failed")
    assert (one.find(), other.find()) == (["a"], ["b"])
    assert one.patch(asset["id"], {"name": "c"}).status_code == 200
    refusal(other.client.get(f"{ASSETS}/{asset['id']}"), 404, "asset-not-found")
    assert 'status="Failed"' not in one.client.get("/metrics").text
    assert (one.find("tag=t"), other.find("tag=t")) == (["c"], [])


NEXT = MIGRATIONS[-1].version + 1
STEP = Migration(
    NEXT, ("ALTER TABLE asset ADD COLUMN colour TEXT", "CREATE TABLE colour (name TEXT)")
)
BROKEN = Migration(
    NEXT, ("CREATE TABLE colour (name TEXT)", "ALTER TABLE absent ADD COLUMN x TEXT")
)


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in found}


def version(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT version FROM schema_version").fetchone()[0])


def test_a_later_version_migrates_in_place_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    database = prepared_database(f"sqlite:///{path}")
    Api(create_app(database).test_client()).add("a")
    with database.connection_context():
        assert migrate(database, (*MIGRATIONS, STEP)) == NEXT
        assert migrate(database, (*MIGRATIONS, STEP)) == NEXT
    assert version(path) == NEXT
    assert "colour" in tables(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name, colour FROM asset").fetchall() == [("a", None)]


def test_assets_of_an_older_version_are_found_by_a_search(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    database = open_database(f"sqlite:///{path}")
    with database.connection_context():
        migrate(database, MIGRATIONS[:2])
        database.execute_sql(
            "INSERT INTO asset (id, name, type, status, description, config, managed_by, version,"
            " created_at, updated_at) VALUES (?, 'GRÖSSE', 'Other', 'Draft', '', '{}', 'user', 1,"
            " '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z')",
            (uuid.uuid4().hex,),
        )
    api = Api(create_app(prepared_database(f"sqlite:///{path}")).test_client())
    assert api.find("q=größe") == ["GRÖSSE"]


def test_a_step_that_fails_leaves_nothing_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    database = open_database(f"sqlite:///{path}")
    with database.connection_context(), pytest.raises(Exception, match="absent"):
        migrate(database, (INITIAL, BROKEN))
    assert version(path) == 1
    assert "colour" not in tables(path)


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    script = f"from tradingbot_registry.app import *; prepared_database({url!r})"
    starts = [
        subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE) for _ in range(4)
    ]
    errors = [start.communicate(timeout=60)[1] for start in starts]
    assert [start.returncode for start in starts] == [0] * 4, errors
    assert version(tmp_path / "registry.db") == MIGRATIONS[-1].version


def start_error(path: Path) -> str:
    with pytest.raises(DatabaseUnusableError) as refused:
        prepared_database(f"sqlite:///{path}")
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    prepared_database(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    assert "version 99" in start_error(path)


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    assert "another program" in start_error(path)
    assert tables(path) == {"bookmarks"}


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_text("Dear diary, " * 100)
    assert "not a SQLite database" in start_error(path)
    assert path.read_text().startswith("Dear diary")


def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in start_error(tmp_path / "absent" / "registry.db")
    (tmp_path / "directory").mkdir()
    assert "is a directory" in start_error(tmp_path / "directory")
    (tmp_path / "file").touch()
    assert "file" in start_error(tmp_path / "file" / "registry.db")


def test_a_directory_that_can_not_be_written_to_is_refused(unprivileged_directory: Path) -> None:
    unprivileged_directory.chmod(0o500)
    assert "not writable" in start_error(unprivileged_directory / "registry.db")


def test_a_full_disk_refuses_writes_whole_and_still_reads(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = api.add("kept", config={"n": 1})
    with database.connection_context():
        pages = database.pragma("page_count")
    database.release()  # The pragma is one of new connections.
    monkeypatch.setattr(database, "_pragmas", [*database._pragmas, ("max_page_count", pages)])
    big = {"blob": "x" * 15_000}
    before = api.find()
    answers = [
        api.client.post(ASSETS, json={"name": "new", "type": "Other", "config": big}),
        api.patch(asset["id"], {"config": big, "name": "half"}),
        api.upsert("crd/default/new", config=big),
    ]
    for answer in answers:
        problem = refusal(answer, 507, "storage-full")
        assert "disk is full" in problem["detail"]
    assert api.find() == before
    assert api.get(asset["id"]) == asset
    monkeypatch.undo()
    assert api.patch(asset["id"], {"config": big}).status_code == 200


def test_a_write_lock_held_elsewhere_is_waited_for_then_reported(
    api: Api, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_timeout", 0.01)
    asset = api.add("a")
    with sqlite3.connect(tmp_path / "registry.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        response = api.patch(asset["id"], {"name": "b"})
        problem = refusal(response, 503, "storage")
        assert "lock" in problem["detail"]
        assert response.headers["Retry-After"]
        refusal(api.client.get("/readyz"), 503, "storage")
        assert api.get(asset["id"]) == asset
        other.execute("ROLLBACK")
    assert api.patch(asset["id"], {"name": "b"}).status_code == 200
    assert api.client.get("/readyz").status_code == 200


def test_a_unit_of_work_is_tried_again_as_a_whole(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_timeout", 0.01)
    other = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begin = database.begin
    attempts: list[int] = []

    def releasing(lock_type: str | None = None) -> None:
        attempts.append(len(attempts))
        if len(attempts) == 3:
            other.execute("ROLLBACK")
        begin(lock_type)

    monkeypatch.setattr(database, "begin", releasing)
    ran: list[str] = []
    with database.connection_context():
        write(database, lambda: ran.append("unit"))
    other.close()
    assert ran == ["unit"]
    assert len(attempts) == 3 <= engine.WRITE_ATTEMPTS


def test_a_file_that_vanishes_under_the_server_is_not_replaced_by_an_empty_one(
    api: Api, tmp_path: Path
) -> None:
    api.add("a")
    for file in tmp_path.glob("registry.db*"):
        file.unlink()
    refusal(api.client.get(ASSETS), 503, "storage")
    refusal(api.client.get("/readyz"), 503, "storage")
    assert api.client.get("/healthz").status_code == 200
    assert api.client.get("/metrics").status_code == 200
    assert not (tmp_path / "registry.db").exists()


def test_a_damaged_file_is_reported_and_not_a_crash(api: Api, tmp_path: Path) -> None:
    api.add("a")
    for file in tmp_path.glob("registry.db*"):
        file.unlink()
    (tmp_path / "registry.db").write_bytes(b"garbage" * 1000)
    assert "not a SQLite database" in refusal(api.client.get(ASSETS), 503, "storage")["detail"]


def test_the_writers_of_a_process_take_turns_instead_of_waiting_for_sqlites_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own lock starves one of many writers: nobody else may want it at the same time."""
    beginning, most = [0], [0]
    counting = threading.Lock()
    begin = database.begin

    def counted(lock_type: str | None = None) -> None:
        with counting:
            beginning[0] += 1
            most[0] = max(most[0], beginning[0])
        begin(lock_type)

    def unit() -> None:
        with counting:
            assert beginning[0] == 1
        wait.wait(0.001)
        with counting:
            beginning[0] -= 1

    def writer() -> None:
        with database.connection_context():
            for _ in range(20):
                write(database, unit)

    monkeypatch.setattr(database, "begin", counted)
    wait = threading.Event()
    writers = [threading.Thread(target=writer) for _ in range(8)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert (beginning, most) == ([0], [1])


def test_a_writer_does_not_wait_for_ever_for_the_others(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TURN_SECONDS", 0.01)
    with database.turn():
        response = api.client.post(ASSETS, json={"name": "a", "type": "Other"})
        refusal(response, 503, "storage")
        assert response.headers["Retry-After"]
    api.add("a")
