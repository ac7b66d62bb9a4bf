"""The check of a database finds each kind of fault, and all of them at once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_harness import Api, TickingClock
from tradingbot_registry.app import create_app
from tradingbot_registry.errors import DatabaseUnusableError
from tradingbot_registry.maintenance.acyclic import find_cycle
from tradingbot_registry.maintenance.checking import check_database, check_file
from tradingbot_registry.maintenance.findings import MAX_LISTED
from tradingbot_registry.storage.engine import Database


@pytest.fixture
def path(sqlite_file: Database, tmp_path: Path) -> Path:
    """A SQLite file with something in each table."""
    fill(Api(create_app(sqlite_file, clock=TickingClock()).test_client()))
    return tmp_path / "registry.db"


def fill(api: Api) -> None:
    """Put something into each table."""
    a = api.add("a", tags=["t"], config={"n": 1})
    b = api.add("b", a["id"], tags=["t", "u"])
    api.add("c", b["id"], "crd/default/x.y")
    api.upsert("crd/default/x.z", "z")
    report = {"externalRef": "crd/default/x.z", "dayPnL": "-1.5", "at": "2026-12-01T10:00:00Z"}
    api.client.post("/api/v1/reports", json={"reports": [report]})
    api.client.post(
        "/api/v1/assets", json={"name": "d", "type": "Other"}, headers={"Idempotency-Key": "k"}
    )
    deleted = api.add("gone")
    api.client.delete(f"/api/v1/assets/{deleted['id']}")


def edit(path: Path, *statements: str) -> None:
    """Change the database by hand, with what protects it switched off."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def found(path: Path) -> list[tuple[str, str]]:
    return [(finding.check, finding.message) for finding in check_file(path).findings]


def test_a_sound_database_has_no_faults(path: Path) -> None:
    report = check_file(path)
    assert report.lines() == []
    assert report.faults == 0
    assert report.counts == {
        "asset": 5,
        "dependency": 2,
        "pending_dependency": 1,
        "tag": 2,
        "change": 7,
    }


ON_A_SERVER = {
    "UPDATE asset SET status = 'Broken', version = 9 WHERE seq = 1": {"bounds", "history"},
    "INSERT INTO dependency VALUES (1, 2)": {"cycles"},
    "UPDATE pending_dependency SET ref = 'crd/default/x.z'": {"links"},
    "INSERT INTO tag (name) VALUES ('v')": {"links"},
    "UPDATE asset SET search = 'x' WHERE seq = 1": {"search"},
    "DELETE FROM change WHERE action = 'deleted'": {"history"},
    "UPDATE change SET after = '{' WHERE seq = 1": {"bounds"},
    "UPDATE report SET day_pnl = '1e3', at = 'now'": {"bounds"},
}


def test_a_database_of_a_server_is_checked_too(empty_postgresql: Database) -> None:
    database = empty_postgresql
    fill(Api(create_app(database, clock=TickingClock()).test_client()))
    with database.connection_context():
        assert check_database(database).lines() == []
        for statement, checks in ON_A_SERVER.items():
            with database.atomic() as transaction:
                database.execute_sql(statement)
                report = check_database(database)
                transaction.rollback()
            assert {finding.check for finding in report.findings} == checks, report.lines()
        assert check_database(database).lines() == []


FAULTS = {
    "an unknown status": ("UPDATE asset SET status = 'Broken' WHERE seq = 1", "bounds", "/status"),
    "a long name": (
        "UPDATE asset SET name = hex(zeroblob(200)), search = '' WHERE seq = 1", "bounds", "/name",
    ),
    "an id": ("UPDATE asset SET id = 'x' WHERE seq = 1", "bounds", "/id"),
    "a config": ("UPDATE asset SET config = '{' WHERE seq = 1", "bounds", "/config"),
    "a list as config": ("UPDATE asset SET config = '[]' WHERE seq = 1", "bounds", "/config"),
    "a large config": (
        "UPDATE asset SET config = '{\"x\":\"' || hex(zeroblob(9000)) || '\"}' WHERE seq = 1",
        "bounds", "at most 16384 bytes",
    ),
    "NUL": ("UPDATE asset SET config = '{\"x\":\"\\u0000\"}' WHERE seq = 1", "bounds", "NUL"),
    "a secret": (
        "UPDATE asset SET secret_ref = '{\"name\":\"X\"}' WHERE seq = 1", "bounds", "secretRef",
    ),
    "a reference": ("UPDATE asset SET external_ref = 'x' WHERE seq = 1", "bounds", "/externalRef"),
    "a manager": ("UPDATE asset SET managed_by = 'me' WHERE seq = 1", "bounds", "/managedBy"),
    "a version": ("UPDATE asset SET version = 0 WHERE seq = 1", "bounds", "/version"),
    "a time": ("UPDATE asset SET updated_at = 'now' WHERE seq = 1", "bounds", "/updatedAt"),
    "a tag": ("UPDATE tag SET name = 'T T' WHERE name = 't'", "bounds", "/tags/0"),
    "text to search in": ("UPDATE asset SET search = 'x' WHERE seq = 1", "search", "stale"),
    "a tag of nothing": ("INSERT INTO tag (name) VALUES ('v')", "links", "tag v is of no asset"),
    "a dependency on nothing": ("INSERT INTO dependency VALUES (1, 99)", "links", "of dependency"),
    "a tag that does not exist": ("INSERT INTO asset_tag VALUES (1, 99)", "links", "of asset_tag"),
    "a reference that could be resolved": (
        "UPDATE pending_dependency SET ref = 'crd/default/x.z'", "links", "which exists",
    ),
    "a cycle": ("INSERT INTO dependency VALUES (1, 2)", "cycles", "is a cycle"),
    "a cycle of one": ("INSERT INTO dependency VALUES (1, 1)", "cycles", "is a cycle"),
    "a version without an entry": (
        "UPDATE asset SET version = 7 WHERE seq = 1", "history", "has version 7",
    ),
    "an asset without its deletion": (
        "DELETE FROM change WHERE action = 'deleted'", "history", "does not exist",
    ),
    "an action": ("UPDATE change SET action = 'x' WHERE seq = 1", "bounds", "/action"),
    "an entry": ("UPDATE change SET after = '{' WHERE seq = 1", "bounds", "/after"),
    "a receipt": ("UPDATE receipt SET at = 'x'", "bounds", "receipt"),
    "a profit": ("UPDATE report SET day_pnl = '1e3'", "bounds", "/dayPnL"),
    "the time of a report": ("UPDATE report SET at = 'now'", "bounds", "/at"),
    "a report of nothing": (
        "INSERT INTO report VALUES (99, '1', '2026-12-01T10:00:00.000000Z')", "links", "of report",
    ),
    "a missing index": ("DROP INDEX dependency_dst", "tables", "index dependency_dst is missing"),
    "a missing table": ("DROP TABLE pending_dependency", "tables", "pending_dependency is missing"),
    "another column": ("ALTER TABLE asset ADD COLUMN x TEXT", "tables", "table asset is not as"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_kind_of_fault_is_found(path: Path, fault: str) -> None:
    statement, check, text = FAULTS[fault]
    edit(path, statement)
    report = check_file(path)
    assert report.faults
    assert [each for each in report.findings if each.check == check and text in each.message], (
        report.lines()
    )


def test_all_faults_are_reported_at_once(path: Path) -> None:
    kinds = ("an unknown status", "a tag of nothing", "a cycle", "a missing index", "a receipt")
    edit(path, *(FAULTS[kind][0] for kind in kinds))
    assert {FAULTS[kind][1] for kind in kinds} <= {check for check, _ in found(path)}


def test_many_faults_of_one_kind_are_counted(path: Path) -> None:
    edit(path, *(f"INSERT INTO tag (name) VALUES ('v{n}')" for n in range(MAX_LISTED + 5)))
    report = check_file(path)
    assert len(report.findings) == MAX_LISTED
    assert report.faults == MAX_LISTED + 5
    assert report.lines()[-1] == "fault: links: 5 more"


def test_a_credential_is_noted_without_its_value(path: Path) -> None:
    edit(path, 'UPDATE asset SET config = \'{"password":"hunter2-hunter2"}\' WHERE seq = 1')
    report = check_file(path)
    assert report.faults == 0
    assert [finding.check for finding in report.findings] == ["credentials"]
    assert "hunter2" not in report.lines()[0]


def test_times_in_another_order_are_noted(path: Path) -> None:
    edit(path, "UPDATE asset SET created_at = '2030-01-01T00:00:00.000000Z' WHERE seq = 1")
    report = check_file(path)
    assert report.faults == 0
    assert "before it was created" in report.lines()[0]


def test_a_value_is_not_shown_by_a_fault(path: Path) -> None:
    edit(path, 'UPDATE asset SET secret_ref = \'{"name":"hunter2!","key":"k"}\' WHERE seq = 1')
    assert "hunter2" not in "".join(check_file(path).lines())


def test_a_damaged_page_is_found_and_the_rest_is_checked(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'change'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    edit(path, "INSERT INTO tag (name) VALUES ('v')", "PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    checks = {check for check, _ in found(path)}
    assert {"file", "links"} <= checks


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"Dear diary, " * 100, "not a SQLite database"), (b"", "is empty")],
)
def test_what_is_not_a_database_is_not_checked(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "registry.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnusableError, match=message):
        check_file(path)
    assert path.read_bytes() == content


def test_a_newer_version_is_not_checked(path: Path) -> None:
    edit(path, "UPDATE schema_version SET version = 99")
    with pytest.raises(DatabaseUnusableError, match="newer program"):
        check_file(path)


@pytest.fixture
def content(path: Path) -> bytes:
    """The file of a sound database."""
    edit(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def test_a_file_in_a_directory_that_is_not_writable_is_checked(
    content: bytes, unprivileged_directory: Path
) -> None:
    copy = unprivileged_directory / "copy.db"
    copy.write_bytes(content)
    copy.chmod(0o400)
    unprivileged_directory.chmod(0o500)
    assert check_file(copy).faults == 0


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=30))
def test_a_cycle_is_found_if_and_only_if_there_is_one(edges: list[tuple[int, int]]) -> None:
    cycle = find_cycle(range(1, 11), sorted(edges))
    real = {(a, b) for a, b in edges if a < 11 and b < 11}
    if cycle:
        assert set(zip(cycle, [*cycle[1:], cycle[0]], strict=True)) <= real
        return
    # Without a cycle, removing what depends on nothing removes everything.
    left = set(range(1, 11))
    while ends := {node for node in left if not any(a == node and b in left for a, b in real)}:
        left -= ends
    assert not left
