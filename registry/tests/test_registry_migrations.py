"""Databases of all former versions, migrated to this one."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from old_databases import FEED, MATCHER, ORDERS_DB, SCHEMAS, old_database
from registry_harness import Api, TickingClock
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.errors import DatabaseUnusableError
from tradingbot_registry.maintenance.backup import back_up, restore
from tradingbot_registry.maintenance.checking import NEWEST, check_file
from tradingbot_registry.maintenance.migrating import migrate_database
from tradingbot_registry.settings import DatabaseSettings
from tradingbot_registry.storage.migrations import MIGRATIONS

VERSIONS = range(1, NEWEST + 1)


def migrated_api(path: Path) -> Api:
    return Api(create_app(prepared_database(f"sqlite:///{path}")).test_client())


def rows(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_a_database_of_each_version_is_kept() -> None:
    kept = {path.name for path in SCHEMAS.iterdir()}
    assert kept == {f"version-{migration.version}.sql" for migration in MIGRATIONS}, (
        "keep a database of the new version, as SQL text: see old_databases.py"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_of_an_old_database_is_there_after_the_migration(
    tmp_path: Path, version: int
) -> None:
    path = old_database(tmp_path / "registry.db", version)
    api = migrated_api(path)
    assert api.find() == ["GRÖSSE", "matcher", "feed"]
    assert api.find("q=größe") == ["GRÖSSE"]
    assert api.find("tag=env:prod&tag=team-a") == ["matcher"]
    orders_db = api.get(ORDERS_DB)
    assert orders_db["secretRef"] == {"name": "db", "key": "password"}
    assert orders_db["config"] == {"engine": "postgres", "host": "db", "database": "orders"}
    assert orders_db["createdAt"] == "2026-01-01T00:00:00.000000Z"
    assert api.get(MATCHER)["dependsOn"] == [ORDERS_DB]
    feed = api.get(FEED)
    assert (feed["managedBy"], feed["externalRef"]) == ("crd", "crd/default/market.feed")
    assert feed["unresolved"] == ["crd/default/market.gone"]
    changes = api.client.get("/api/v1/changes?since=0").json
    assert changes["last"] == (4 if version >= 4 else 0)
    # It is written to as any other: a new asset resolves what waits for it.
    assert api.upsert("crd/default/market.gone", "gone").status_code == 201
    assert api.get(FEED)["unresolved"] == []
    report = check_file(path)
    assert (report.version, report.findings) == (NEWEST, ())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_migrated_schema_is_that_of_a_new_database(tmp_path: Path, version: int) -> None:
    # The check compares the tables with those that the migrations make: this compares two files.
    old = old_database(tmp_path / "old.db", version)
    new = tmp_path / "new.db"
    for path in (old, new):
        prepared_database(f"sqlite:///{path}")
    shape = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2, 3"
    assert rows(old, shape) == rows(new, shape)
    columns = "SELECT m.name, i.* FROM sqlite_master m, pragma_table_info(m.name) i ORDER BY 1, 2"
    assert rows(old, columns) == rows(new, columns)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_database_is_checked_and_backed_up_before_its_migration(
    tmp_path: Path, version: int
) -> None:
    path = old_database(tmp_path / "registry.db", version)
    before = path.read_bytes()
    report = back_up(path, tmp_path / "backup.db")
    assert report.version == version
    assert report.faults == 0
    notes = [finding.check for finding in report.findings]
    assert notes == ([] if version == NEWEST else ["version"])
    assert path.read_bytes() == before
    assert migrate_database(DatabaseSettings(database_url=f"sqlite:///{path}")) == (version, NEWEST)
    kept = restore(path, tmp_path / "backup.db", now=TickingClock()())
    assert kept is not None
    assert check_file(path).version == version
    assert check_file(kept).version == NEWEST


def test_a_dry_run_of_the_migration_changes_nothing(tmp_path: Path) -> None:
    path = old_database(tmp_path / "registry.db", 2)
    before = path.read_bytes()
    assert migrate_database(DatabaseSettings(database_url=f"sqlite:///{path}"), dry_run=True) == (
        2,
        NEWEST,
    )
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["registry.db"]


def test_no_migration_makes_a_database_where_none_was(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusableError, match="no such file"):
        migrate_database(DatabaseSettings(database_url=f"sqlite:///{tmp_path / 'registry.db'}"))
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_leaves_the_version_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that the third step can't fold, as of a database edited by hand."""
    path = old_database(tmp_path / "registry.db", 1)
    copy = shutil.copy(path, tmp_path / "copy.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE asset SET name = x'ff' WHERE seq = 1")
        connection.commit()
    with pytest.raises(DatabaseUnusableError):
        migrate_database(DatabaseSettings(database_url=f"sqlite:///{path}"))
    assert rows(path, "SELECT version FROM schema_version") == [(2,)]
    assert rows(path, "SELECT count(*) FROM asset") == rows(copy, "SELECT count(*) FROM asset")


def test_a_step_that_fails_at_its_end_leaves_nothing_of_it(tmp_path: Path) -> None:
    """A table of the name of the index, as of another program: the last step is nearly done."""
    path = old_database(tmp_path / "registry.db", 8)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE asset_search_data (number INTEGER)")
        connection.commit()
    with pytest.raises(DatabaseUnusableError, match="asset_search"):
        migrate_database(DatabaseSettings(database_url=f"sqlite:///{path}"))
    assert rows(path, "SELECT version FROM schema_version") == [(8,)]
    assert rows(path, "SELECT name FROM pragma_table_info('tag')") == [("id",), ("name",)]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE asset_search_data")
    assert migrated_api(path).find("q=atch") == ["matcher"]
    assert check_file(path).findings == ()
