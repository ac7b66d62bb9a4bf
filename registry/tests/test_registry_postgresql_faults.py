"""Faults of a PostgreSQL server: fail-over, locks, a full disk, read-only, damaged files."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from registry_clients import BODY, Clients, total
from registry_harness import ASSETS, Api, refusal, serving
from tradingbot_dev.processes.postgresql_server import (
    NOBODY,
    PostgresqlServer,
    postgresql_server,
    standby_of,
)
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_registry.maintenance.opening import check_of
from tradingbot_registry.settings import DatabaseSettings
from tradingbot_registry.storage import postgresql as postgresql_module
from tradingbot_registry.storage.engine import READ, WRITE, Database


@pytest.fixture
def database(empty_postgresql: Database) -> Database:
    return empty_postgresql


@contextmanager
def own_server(programs: Path, **options: Any) -> Iterator[PostgresqlServer]:
    """A server that the test may damage, with an empty database."""
    with postgresql_server(programs, **options) as server:
        server.execute("CREATE DATABASE registry")
        yield server


def faults(url: str) -> list[str]:
    return check_of(DatabaseSettings(database_url=url))[1].lines()


def test_a_fail_over_loses_nothing_that_was_acknowledged(
    postgresql_programs: Path, tmp_path: Path
) -> None:
    with own_server(postgresql_programs) as primary, standby_of(primary) as standby:
        hosts = f"host={primary.directory},{standby.directory}"
        url = f"postgresql://postgres@/registry?{hosts}&port=5432"
        with serving(url, tmp_path / "log") as server:
            clients = Clients([server])
            with clients:
                clients.wait_for_more()
                primary.stop(signal.SIGQUIT)
                # The standby is not asked: it may lack what the primary has acknowledged.
                clients.wait_for_refusals()
                assert server.call("GET", ASSETS)[0] == 503
                assert server.call("GET", "/readyz")[0] == 503
                assert server.call("GET", "/healthz")[0] == 200
                standby.execute("SELECT pg_promote()")
                clients.wait_for_more()
            clients.check(server)
        assert faults(url) == []


def test_a_locked_table_is_waited_for_and_then_reported(
    api: Api, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while another session alters the table."""
    for kind in (READ, WRITE):
        begin = postgresql_module.BEGIN[kind]
        monkeypatch.setitem(postgresql_module.BEGIN, kind, begin.replace("'8s'", "'20ms'"))
    asset = api.add("a")
    with postgresql.connect("registry") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE asset IN ACCESS EXCLUSIVE MODE")
        path = f"{ASSETS}/{asset['id']}"
        for response in (
            api.client.post(ASSETS, json=BODY),
            api.patch(asset["id"], {"name": "b"}),
            api.client.get(path),
            api.client.get(ASSETS),
        ):
            assert "lock" in refusal(response, 503, "storage")["detail"]
            assert response.headers["Retry-After"]
        assert api.client.get("/metrics").status_code == 200
        other.execute("ROLLBACK")
    assert api.client.get(path).json == asset
    assert api.patch(asset["id"], {"name": "b"}).status_code == 200


def test_a_read_only_server_is_read_and_not_written_to(
    api: Api, database: Database, postgresql: PostgresqlServer
) -> None:
    """As hosted servers become when their disk is nearly full."""
    asset = api.add("a")
    set_to = "ALTER SYSTEM SET default_transaction_read_only = "
    postgresql.execute(f"{set_to} on", "SELECT pg_reload_conf()")
    try:
        for _ in range(2):
            wait_until(lambda: api.client.get("/readyz").status_code == 503, what="the setting")
            for response in (
                api.client.post(ASSETS, json=BODY),
                api.patch(asset["id"], {"name": "b"}),
                api.client.delete(f"{ASSETS}/{asset['id']}"),
                api.client.get("/readyz"),
            ):
                assert "read-only" in refusal(response, 503, "storage")["detail"]
                assert response.headers["Retry-After"]
            assert api.client.get(f"{ASSETS}/{asset['id']}").json == asset
            database.release()  # The second time with a new connection.
    finally:
        postgresql.execute(f"{set_to} off", "SELECT pg_reload_conf()")
    wait_until(lambda: api.client.get("/readyz").status_code == 200, what="the setting")
    assert api.patch(asset["id"], {"name": "b"}).status_code == 200


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system that is soon full, of the server's user and with a path that it may reach."""
    disk = Path(tempfile.mkdtemp(prefix="pg-disk-", dir="/tmp"))
    options = f"size=80m,uid={NOBODY},gid={NOBODY},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)
    disk.rmdir()


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Take all space of the disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
@pytest.mark.parametrize("what", ["tables", "log"])
def test_a_full_disk_is_reported_and_needs_no_restart_of_the_registry(
    postgresql_programs: Path, tmp_path: Path, small_disk: Path, what: str
) -> None:
    """A server refuses rows that do not fit. Without space for its write-ahead log, it ends."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as other:
        os.chown(other, NOBODY, NOBODY)
        places = (small_disk, Path(other)) if what == "tables" else (Path(other), small_disk)
        with (
            own_server(
                postgresql_programs, inside=places[0], initdb=[f"--waldir={places[1]}/wal"]
            ) as postgresql,
            serving(postgresql.url(), tmp_path / "log") as server,
        ):
            stored = []

            def store() -> tuple[int, Any]:
                blob = {"blob": os.urandom(7500).hex()}
                answer = server.call("POST", ASSETS, BODY | {"tags": ["t"], "config": blob})
                if answer[0] == 201:
                    stored.append(answer[1]["id"])
                return answer

            def is_stored() -> bool:
                if postgresql.process is None or postgresql.process.poll() is not None:
                    postgresql.start()  # As its supervisor does.
                return store()[0] == 201

            assert store()[0] == 201
            with full(small_disk):
                status, problem = next(answer for _ in range(500) if (answer := store())[0] != 201)
                if what == "tables":
                    assert (status, problem["type"]) == (507, "urn:tradingbot:problem:storage-full")
                    assert "disk is full" in problem["detail"]
                    assert server.call("GET", f"{ASSETS}/{stored[0]}")[0] == 200
                else:
                    assert status == 503
                    assert "connection" in problem["detail"]
                assert server.call("GET", "/healthz")[0] == 200
            wait_until(is_stored, what="the server after there is space again")
            for asset_id in stored:
                assert server.call("GET", f"{ASSETS}/{asset_id}")[1]["tags"] == ["t"]
            # What may have been stored is all that there may be besides.
            assert total(server) - len(stored) in {0, "may have been" in problem["detail"]}
            assert faults(postgresql.url()) == []


def test_a_damaged_table_is_reported_in_a_clear_line(
    postgresql_programs: Path, tmp_path: Path
) -> None:
    program = ("-m", "tradingbot_cli", "registry")
    with (
        own_server(postgresql_programs) as postgresql,
        serving(postgresql.url(), tmp_path / "log", program=program) as server,
    ):
        assert server.call("POST", ASSETS, BODY)[0] == 201
        with postgresql.connect("registry") as connection:
            found = connection.execute("SELECT pg_relation_filepath('asset')").fetchone()
        assert found is not None
        table = postgresql.data / found[0]
        for damage, said in (
            (lambda: table.write_bytes(b"garbage." * 1024), "invalid page"),
            (table.unlink, "could not open file"),
        ):
            postgresql.stop()
            damage()
            postgresql.start()
            status, problem = server.call("GET", ASSETS)
            assert (status, problem["type"]) == (503, "urn:tradingbot:problem:storage")
            assert "damaged; restore a backup" in problem["detail"]
            assert said in (tmp_path / "log").read_text()
            lines = faults(postgresql.url())
            assert lines[0].startswith("fault: file: asset can't be read to its end:")
            assert all(said in line for line in lines)
        assert server.call("GET", "/healthz")[0] == 200
        assert "Traceback" not in (tmp_path / "log").read_text()
