"""The export of a registry, and its import into an empty database."""

import hashlib
import io
import json
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from old_databases import old_database
from registry_harness import DEADLINE_SECONDS, Api, TickingClock
from tradingbot_dev.processes.postgresql_server import PostgresqlServer
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.errors import MaintenanceError
from tradingbot_registry.maintenance.checking import check_database, check_file
from tradingbot_registry.maintenance.exporting import export
from tradingbot_registry.maintenance.findings import Report
from tradingbot_registry.maintenance.importing import read_export
from tradingbot_registry.maintenance.opening import to_import, to_read
from tradingbot_registry.settings import DatabaseSettings
from tradingbot_registry.storage.engine import Database

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def at(place: Path | str) -> DatabaseSettings:
    """The settings of a SQLite file, or of a URL."""
    return DatabaseSettings(database_url=place if isinstance(place, str) else f"sqlite:///{place}")


def exported(place: Path | str) -> bytes:
    stream = io.BytesIO()
    with to_read(at(place)) as database:
        export(database, stream, program_version="1.2.3", now=NOW)
    return stream.getvalue()


def imported(place: Path | str, text: bytes) -> Report:
    with to_import(at(place)) as database:
        return read_export(database, io.BytesIO(text))


def lines(text: bytes) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def sealed(edited: list[Any]) -> bytes:
    """The export of these lines, with a new end: as if a registry had written it."""
    body = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in edited[:-1])
    counts: dict[str, int] = {}
    for line in edited[1:-1]:
        counts[line["kind"]] = counts.get(line["kind"], 0) + 1
    digest = hashlib.sha256(body.encode()).hexdigest()
    end = {"kind": "end", "counts": counts, "sha256": digest}
    return (body + json.dumps(end) + "\n").encode()


@pytest.fixture
def sqlite_api(sqlite_file: Database) -> Api:
    return Api(create_app(sqlite_file, clock=TickingClock()).test_client())


@pytest.fixture
def path(sqlite_api: Api, tmp_path: Path) -> Path:
    """A SQLite file with something in each table."""
    fill(sqlite_api)
    return tmp_path / "registry.db"


def fill(api: Api) -> None:
    """Put something into each table."""
    a = api.add("Größe", tags=["t"], config={"n": [1, 1.0, 1e300, 10**30], "ü": None})
    b = api.add("b", a["id"], tags=["t", "u"], secretRef={"name": "s", "key": "k"})
    api.add("c", b["id"], "crd/default/x.y")
    api.upsert("crd/default/x.z", "z", managedBy="crd", dependsOn=[a["id"]])
    api.upsert("crd/default/x.w", "w", managedBy="crd", dependsOn=["crd/default/x.z"])
    api.client.delete("/api/v1/assets/by-ref/crd/default/x.z?unresolve=true")
    api.become(a["id"], "Failed")
    api.client.post(
        "/api/v1/assets", json={"name": "d", "type": "Other"}, headers={"Idempotency-Key": "k"}
    )


def test_an_import_gives_the_registry_that_was_exported(
    sqlite_api: Api, path: Path, tmp_path: Path
) -> None:
    text = exported(path)
    new = tmp_path / "new.db"
    assert imported(new, text).lines() == []
    assert exported(new) == text
    check_equal(sqlite_api, prepared_database(f"sqlite:///{new}"))
    assert check_file(new).lines() == []


def check_equal(api: Api, database: Database) -> None:
    """Compare a registry with one that was imported from it, which then goes on."""
    clock = TickingClock()
    clock.now += timedelta(hours=1)  # Later than all that was exported, and in time to repeat.
    other = Api(create_app(database, clock=clock).test_client())
    for place in ("assets?page_size=500", "changes?since=0", "facets", "graph"):
        one, two = (each.client.get(f"/api/v1/{place}") for each in (api, other))
        assert one.text == two.text
    # A follower continues, a repeated request is recognised, and a pending reference resolves.
    last = api.client.get("/api/v1/changes").json["last"]
    body = {"name": "d", "type": "Other"}
    repeated = other.client.post("/api/v1/assets", json=body, headers={"Idempotency-Key": "k"})
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert other.upsert("crd/default/x.z", "z").status_code == 201
    new = other.client.get(f"/api/v1/changes?since={last}").json["changes"]
    assert [entry["seq"] for entry in new] == [last + 1, last + 2]


def test_a_registry_moves_from_sqlite_to_postgresql_and_back(
    sqlite_api: Api,
    path: Path,
    tmp_path: Path,
    postgresql: PostgresqlServer,
    empty_postgresql: Database,
) -> None:
    text = exported(path)
    assert imported(postgresql.url(), text).lines() == []
    assert exported(postgresql.url()) == text
    assert imported(tmp_path / "back.db", exported(postgresql.url())).lines() == []
    assert exported(tmp_path / "back.db") == text
    check_equal(sqlite_api, empty_postgresql)
    with empty_postgresql.connection_context():
        assert check_database(empty_postgresql).lines() == []


def test_nothing_is_imported_into_a_server_of_a_file_that_is_wrong(
    path: Path, postgresql: PostgresqlServer, empty_postgresql: Database
) -> None:
    text = exported(path)
    for wrong in ("a cycle", "cut in a line", "two assets of one id", "a dependency on nothing"):
        with pytest.raises(MaintenanceError, match="nothing was imported"):
            imported(postgresql.url(), WRONG[wrong][0](text))
    imported(postgresql.url(), text)
    assert exported(postgresql.url()) == text


def test_an_export_has_no_trace_of_sqlite(path: Path) -> None:
    header, *rest = lines(exported(path))
    assert header == {
        "kind": "header",
        "format": "tradingbot-registry-export",
        "formatVersion": 1,
        "programVersion": "1.2.3",
        "exportedAt": "2026-12-01T00:00:00.000000Z",
    }
    kinds = [line["kind"] for line in rest]
    assert kinds == sorted(
        kinds, key=["asset", "dependency", "pending", "change", "receipt", "end"].index
    )
    assets = [line for line in rest if line["kind"] == "asset"]
    assert assets[0]["name"] == "Größe"
    assert all(len(asset["id"]) == 36 and "seq" not in asset for asset in assets)


def edited(change: Callable[[list[Any]], object]) -> Callable[[bytes], bytes]:
    """Change the lines and seal them."""

    def edit(text: bytes) -> bytes:
        parsed = lines(text)
        change(parsed)
        return sealed(parsed)

    return edit


def first(parsed: list[Any], kind: str) -> Any:
    return next(line for line in parsed if line["kind"] == kind)


def cycle(parsed: list[Any]) -> None:
    edge = first(parsed, "dependency")
    parsed.insert(parsed.index(edge), {**edge, "source": edge["target"], "target": edge["source"]})


WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut in a line": (lambda text: text[:-10], "is cut: the file is not complete"),
    "cut between lines": (
        lambda text: b"".join(text.splitlines(keepends=True)[:-1]), "is cut",
    ),
    "empty": (lambda _: b"", "line 1: is cut"),
    "not JSON": (lambda text: text.replace(b'{"kind":"pending"', b"{kind"), "is not JSON"),
    "more behind it": (lambda text: text + b"\n", "is behind the end"),
    "another digest": (lambda text: text.replace(b'"1.2.3"', b'"1.2.4"'), "digest"),
    "a missing line": (
        lambda text: text.replace(text.splitlines(keepends=True)[-3], b""), "lines were read",
    ),
    "a newer format": (
        edited(lambda parsed: parsed[0].update(formatVersion=2)), "the format has version 2",
    ),
    "no header": (edited(lambda parsed: parsed.pop(0)), "line 1: is not the header"),
    "another order": (
        edited(lambda parsed: parsed.insert(1, first(parsed, "change"))), "must be before",
    ),
    "an unknown field": (
        edited(lambda parsed: first(parsed, "asset").update(colour="red")), "/colour",
    ),
    "an unknown kind": (
        edited(lambda parsed: parsed.insert(1, {"kind": "colour"})), "kind",
    ),
    "a wrong status": (
        edited(lambda parsed: first(parsed, "asset").update(status="Gone")), "line 2: /status",
    ),
    "a large config": (
        edited(lambda parsed: first(parsed, "asset").update(config={"x": "x" * 20_000})),
        "line 2: /config: must be at most 16384 bytes",
    ),
    "two assets of one id": (
        edited(lambda parsed: parsed.insert(1, first(parsed, "asset"))), "UNIQUE",
    ),
    "a dependency on nothing": (
        edited(lambda parsed: first(parsed, "dependency").update(target=str(NOW.year) * 8)),
        "no asset before it has the id",
    ),
    "a cycle": (edited(cycle), "is a cycle"),
    "a version that its history contradicts": (
        edited(lambda parsed: first(parsed, "asset").update(version=9)), "has version 9",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_is_imported_of_a_file_that_is_wrong(
    path: Path, tmp_path: Path, wrong: str
) -> None:
    change, message = WRONG[wrong]
    text = exported(path)
    new = tmp_path / "new.db"
    with pytest.raises(MaintenanceError, match=message) as refused:
        imported(new, change(text))
    assert "nothing was imported" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not any(check_file(new).counts.values())
    imported(new, text)
    assert exported(new) == text


def test_a_value_is_not_shown_by_a_refusal(path: Path, tmp_path: Path) -> None:
    secret = edited(lambda parsed: first(parsed, "asset").update(secretRef="hunter2"))
    with pytest.raises(MaintenanceError) as refused:
        imported(tmp_path / "new.db", secret(exported(path)))
    assert "hunter2" not in str(refused.value)


def test_an_import_does_not_merge(path: Path) -> None:
    text = exported(path)
    with pytest.raises(MaintenanceError, match="not empty"):
        imported(path, text)
    assert exported(path) == text


def test_an_old_schema_is_migrated_before_it_is_exported(tmp_path: Path) -> None:
    path = old_database(tmp_path / "registry.db", 3)
    with pytest.raises(MaintenanceError, match="registry migrate"):
        exported(path)


KILLED = """
import io, os, signal, sys
from tradingbot_registry.maintenance import importing
from tradingbot_registry.maintenance.opening import to_import
from tradingbot_registry.settings import DatabaseSettings
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
importing.check_content = die
with to_import(DatabaseSettings(database_url=sys.argv[1])) as database:
    importing.read_export(database, open(sys.argv[2], "rb"))
"""


def test_an_import_that_is_killed_is_repeated(path: Path, tmp_path: Path) -> None:
    text = exported(path)
    (tmp_path / "export").write_bytes(text)
    new = tmp_path / "new.db"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, f"sqlite:///{new}", tmp_path / "export"],
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert not any(check_file(new).counts.values())
    imported(new, text)
    assert exported(new) == text


def test_memory_does_not_grow_with_the_registry(sqlite_api: Api, tmp_path: Path) -> None:
    """What 4000 large changes take is 12 MB; an export holds a piece of them."""
    asset = sqlite_api.add("a")
    with to_import(at(tmp_path / "registry.db")) as database:
        database.execute_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 4000)"
            " INSERT INTO change SELECT i + 1, replace(?, '-', ''), 'a', NULL, 1, 'updated', 'me',"
            " NULL, '2026-01-01T00:00:00.000000Z', json_object('x', hex(zeroblob(1500))), NULL"
            " FROM n",
            (asset["id"],),
        )

    class Sink(io.RawIOBase):
        size = 0

        def write(self, text: Any) -> int:
            self.size += len(text)
            return len(text)

    sink = Sink()
    with to_read(at(tmp_path / "registry.db")) as database:
        tracemalloc.start()
        export(database, sink, program_version="1", now=NOW)  # type: ignore[arg-type]
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert sink.size > 12_000_000
    assert most < 8_000_000
