"""Backups of a registry at work, and their restore."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from registry_harness import ASSETS, DEADLINE_SECONDS, Api, Server, ask, serving
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.errors import DatabaseUnusableError, MaintenanceError
from tradingbot_registry.maintenance.backup import back_up, restore
from tradingbot_registry.maintenance.checking import check_file

NOW = datetime(2026, 12, 1, 6, 20, tzinfo=UTC)
KEPT = ".before-restore-20261201T062000Z"
BODY = {"name": "a", "type": "Other"}


def count(path: Path) -> int:
    """The number of assets in a database that is sound."""
    report = check_file(path)
    assert report.lines() == []
    return report.counts["asset"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed database with two assets."""
    path = tmp_path / "registry.db"
    filled(path, 2)
    return path


def filled(path: Path, assets: int, **fields: Any) -> None:
    """Add assets."""
    api = Api(create_app(prepared_database(f"sqlite:///{path}")).test_client())
    for _ in range(assets):
        api.add("a", tags=["t"], **fields)


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def test_a_backup_is_one_private_file_that_is_sound(path: Path, tmp_path: Path) -> None:
    report = back_up(path, tmp_path / "b.db")
    assert report.counts["asset"] == 2
    assert (tmp_path / "b.db").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["b.db", "registry.db"]
    assert count(tmp_path / "b.db") == 2


def test_a_backup_while_clients_write_has_every_write_that_was_acknowledged_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "registry.db"
    with serving(path, tmp_path / "log") as server, writing(server) as acknowledged:
        for number in range(5):
            while len(acknowledged) < 20 * (number + 1):
                assert server.process.poll() is None
            before = set(acknowledged)
            backup = tmp_path / f"{number}.db"
            assert back_up(path, backup).lines() == []
            assert before <= ids(backup)
        # The registry was never kept from writing: there are more now.
        assert len(acknowledged) > 100


@contextmanager
def writing(server: Server) -> Iterator[list[str]]:
    """Four clients that create assets until the end; the ids of those that exist."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def write() -> None:
        connection = server.connection()
        while not stop.is_set():
            status, asset = ask(connection, "POST", ASSETS, BODY | {"tags": ["t"]})
            assert status == 201
            acknowledged.append(asset["id"].replace("-", ""))
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)


def ids(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {asset for (asset,) in connection.execute("SELECT id FROM asset")}


def test_a_backup_never_replaces_a_file_unless_it_is_told_to(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.db"
    other.write_text("precious")
    with pytest.raises(MaintenanceError, match="--overwrite"):
        back_up(path, other)
    assert other.read_text() == "precious"
    back_up(path, other, replace=True)
    assert count(other) == 2


@pytest.mark.parametrize("replace", [False, True])
def test_a_database_is_not_its_own_backup(path: Path, replace: bool) -> None:
    for command in (
        lambda: back_up(path, path, replace=replace),
        lambda: restore(path, path, now=NOW),
    ):
        with pytest.raises(MaintenanceError, match="the database itself"):
            command()
    assert count(path) == 2


def test_a_backup_into_no_directory_or_of_no_file_says_so(path: Path, tmp_path: Path) -> None:
    with pytest.raises(MaintenanceError, match="does not exist; create it first"):
        back_up(path, tmp_path / "absent" / "b.db")
    with pytest.raises(MaintenanceError, match="is a directory"):
        back_up(path, tmp_path)
    with pytest.raises(DatabaseUnusableError, match="no such file"):
        back_up(tmp_path / "absent.db", tmp_path / "b.db")
    assert names(tmp_path) == ["registry.db"]


def test_faults_of_the_database_are_in_its_backup_and_reported(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO dependency VALUES (1, 2), (2, 1)")
    backup = tmp_path / "b.db"
    assert back_up(path, backup).faults == 1
    with pytest.raises(MaintenanceError, match=r"faults \(1\), and nothing was changed"):
        restore(path, backup, now=NOW)
    assert names(tmp_path) == ["b.db", "registry.db"]
    assert restore(path, backup, now=NOW, with_faults=True) == tmp_path / f"registry.db{KEPT}"


def test_no_copy_of_a_damaged_database_is_kept_or_restored(path: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    shutil.copy(path, damaged)
    with closing(sqlite3.connect(damaged)) as connection:
        connection.execute("DROP INDEX dependency_dst")
    with pytest.raises(MaintenanceError, match="is damaged, and no copy was kept"):
        back_up(damaged, tmp_path / "b.db")
    with pytest.raises(MaintenanceError, match="is damaged"):
        restore(path, damaged, now=NOW, with_faults=True)
    damaged.write_bytes(path.read_bytes()[:5000])
    with pytest.raises((MaintenanceError, DatabaseUnusableError), match="damaged"):
        restore(path, damaged, now=NOW, with_faults=True)
    assert names(tmp_path) == ["damaged.db", "registry.db"]
    assert count(path) == 2


def test_a_restore_keeps_the_old_file_and_its_rights(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "b.db")
    filled(path, 3)
    path.chmod(0o640)
    kept = restore(path, tmp_path / "b.db", now=NOW)
    assert kept == tmp_path / f"registry.db{KEPT}"
    assert (count(path), count(kept)) == (2, 5)
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["b.db", "registry.db", f"registry.db{KEPT}"]


def test_a_restore_where_no_database_is_creates_it(path: Path, tmp_path: Path) -> None:
    assert restore(tmp_path / "new.db", path, now=NOW) is None
    assert count(tmp_path / "new.db") == 2


def test_a_restore_is_refused_while_a_registry_has_the_file(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "b.db")
    with serving(path, tmp_path / "log") as server:
        asset = server.call("POST", ASSETS, BODY)[1]["id"]
        with pytest.raises(MaintenanceError, match="stop the registry first"):
            restore(path, tmp_path / "b.db", now=NOW)
        assert server.call("GET", f"{ASSETS}/{asset}")[0] == 200
        assert server.call("POST", ASSETS, BODY)[0] == 201
    assert restore(path, tmp_path / "b.db", now=NOW)
    with serving(path, tmp_path / "log") as server:
        assert len(server.call("GET", ASSETS)[1]) == 2


def test_what_a_killed_registry_left_in_its_log_is_in_the_kept_file(
    path: Path, tmp_path: Path
) -> None:
    back_up(path, tmp_path / "b.db")
    with serving(path, tmp_path / "log") as server:
        assert server.call("POST", ASSETS, BODY)[0] == 201
        server.process.kill()
        server.process.wait()
    assert (tmp_path / "registry.db-wal").stat().st_size > 0
    kept = restore(path, tmp_path / "b.db", now=NOW)
    assert kept is not None
    assert (count(path), count(kept)) == (2, 3)
    assert not (tmp_path / "registry.db-wal").exists()


def test_a_damaged_database_is_restored_and_kept_as_it_is(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / "b.db")
    garbage = b"garbage" * 2000
    path.write_bytes(garbage)
    log = tmp_path / "registry.db-wal"
    log.write_bytes(b"log")
    kept = restore(path, tmp_path / "b.db", now=NOW)
    assert kept is not None
    assert kept.read_bytes() == garbage
    assert kept.with_name(kept.name + "-wal").read_bytes() == b"log"
    assert not log.exists()
    assert count(path) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk_leaves_nothing_of_a_backup_and_restore(path: Path, tmp_path: Path) -> None:
    filled(path, 100, config={"x": "x" * 15_000})
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        target = disk / "registry.db"
        filled(target, 1)
        with pytest.raises((MaintenanceError, DatabaseUnusableError), match="disk is full"):
            back_up(path, disk / "b.db")
        with pytest.raises((MaintenanceError, DatabaseUnusableError), match="disk is full"):
            restore(target, path, now=NOW)
        assert names(disk) == ["registry.db"]
        assert count(target) == 1
    finally:
        subprocess.run(["umount", disk], check=True)


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from tradingbot_registry.maintenance import backup
step, database, file = sys.argv[1:]
steps = {"copy": "check_file", "checked": "flush", "kept": "flush"}
real = {name: getattr(backup, name) for name in ("check_file", "flush")}
calls = [0]
def die(*arguments):
    calls[0] += 1
    if step != "kept" or calls[0] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return real[steps[step]](*arguments)
setattr(backup, steps[step], die)
backup.restore(Path(database), Path(file), now=datetime.now(UTC))
"""


@pytest.mark.parametrize("step", ["copy", "checked", "kept"])
def test_a_restore_that_is_killed_leaves_the_old_database(
    path: Path, tmp_path: Path, step: str
) -> None:
    back_up(path, tmp_path / "b.db")
    filled(path, 1)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, step, path, tmp_path / "b.db"],
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert count(path) == 3
    assert restore(path, tmp_path / "b.db", now=NOW)
    assert count(path) == 2
    assert not [name for name in names(tmp_path) if "partial" in name]
