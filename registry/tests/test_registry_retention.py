"""How long the history of assets is kept, and what those see who come too late."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from registry_harness import ASSETS, Api, refusal, serving
from tradingbot_registry.app import create_app
from tradingbot_registry.inventory import history
from tradingbot_registry.settings import RegistrySettings
from tradingbot_registry.storage.engine import Database

CHANGES = "/api/v1/changes"
DAYS = 30


class MovedClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def kept(database: Database, clock: MovedClock) -> Api:
    """A registry that keeps changes for 30 days."""
    app = create_app(database, clock=clock, keep=timedelta(days=DAYS))
    return Api(app.test_client())


def numbers(api: Api, since: int) -> list[int]:
    response = api.client.get(f"{CHANGES}?since={since}")
    assert response.status_code == 200, response.text
    return [entry["seq"] for entry in response.json["changes"]]


def stored(database: Database) -> list[int]:
    with database.connection_context():
        found: Any = database.execute_sql("SELECT seq FROM change ORDER BY seq")
        return [seq for (seq,) in found]


def test_a_follower_who_was_away_for_too_long_is_told_to_begin_again(
    kept: Api, clock: MovedClock
) -> None:
    first = kept.add("first")
    gone = kept.add("gone")
    assert kept.client.delete(f"{ASSETS}/{gone['id']}").status_code == 204
    clock.move(days=DAYS)
    kept.add("second")
    # As old as may be, and not older.
    assert numbers(kept, 0) == [1, 2, 3, 4]
    clock.move(seconds=1)
    kept.patch(first["id"], {"name": "renamed"})
    for since in (0, 1, 2):
        problem = refusal(kept.client.get(f"{CHANGES}?since={since}&wait=5"), 410, "history-gone")
        assert problem["oldest"] == 3
        assert "list the assets again" in problem["detail"]
    assert numbers(kept, 3) == [4, 5]
    # What the problem says to do.
    last = kept.client.get(CHANGES).json["last"]
    assert sorted(kept.find()) == ["renamed", "second"]
    kept.add("third")
    assert numbers(kept, last) == [6]


def test_the_document_has_the_refusal(kept: Api) -> None:
    paths = kept.client.get("/api/v1/openapi.json").json["paths"]
    for path in (CHANGES, f"{ASSETS}/{{asset_id}}/changes"):
        content = paths[path]["get"]["responses"]["410"]["content"]["application/problem+json"]
        assert [*content["examples"]] == ["history-gone"]


def test_the_history_of_an_asset_begins_with_what_is_kept(kept: Api, clock: MovedClock) -> None:
    asset, gone = kept.add("a"), kept.add("gone")
    assert kept.client.delete(f"{ASSETS}/{gone['id']}").status_code == 204
    path = f"{ASSETS}/{asset['id']}/changes"
    clock.move(days=DAYS, seconds=1)
    kept.patch(asset["id"], {"name": "b"})
    found = kept.client.get(path).json
    assert ([entry["seq"] for entry in found["changes"]], found["last"]) == ([4], 4)
    assert refusal(kept.client.get(f"{path}?since=1"), 410, "history-gone")["oldest"] == 3
    assert kept.client.get(f"{path}?since=3").json["last"] == 4
    # The deletion is forgotten like every change.
    refusal(kept.client.get(f"{ASSETS}/{gone['id']}/changes"), 404, "asset-not-found")
    # An asset of which nothing is kept is there all the same.
    quiet = kept.add("quiet")
    clock.move(days=DAYS, seconds=1)
    kept.add("c")
    assert kept.client.get(f"{ASSETS}/{quiet['id']}/changes").json == {"changes": [], "last": 0}


def test_one_write_deletes_a_bounded_number(
    kept: Api, clock: MovedClock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PRUNED_AT_ONCE", 3)
    for number in range(8):
        kept.add(str(number))
    clock.move(days=DAYS, seconds=1)
    assert numbers(kept, 0) == [1, 2, 3, 4, 5, 6, 7, 8]  # Reading deletes nothing.
    create = [{"op": "create", "asset": {"name": str(n), "type": "Other"}} for n in range(8, 11)]
    assert kept.client.post(f"{ASSETS}:batch", json={"items": create}).status_code == 200
    assert stored(database) == [4, 5, 6, 7, 8, 9, 10, 11]
    missing = kept.client.delete(f"{ASSETS}/00000000-0000-0000-0000-000000000000")
    refusal(missing, 404, "asset-not-found")
    kept.add("11")
    assert stored(database) == [7, 8, 9, 10, 11, 12]
    kept.add("12")
    kept.add("13")
    assert stored(database) == [9, 10, 11, 12, 13, 14]


def test_the_newest_stays_for_those_who_are_up_to_date(
    kept: Api, clock: MovedClock, database: Database
) -> None:
    asset = kept.add("a")
    clock.move(days=10 * DAYS)
    kept.add("b")
    assert (stored(database), numbers(kept, 1)) == ([2], [2])
    clock.move(days=10 * DAYS)
    # A write that changes nothing, after which the newest entry is as old as it may not be.
    same = {"op": "update", "id": asset["id"], "patch": {"name": "a"}}
    assert kept.client.post(f"{ASSETS}:batch", json={"items": [same]}).status_code == 200
    assert (stored(database), numbers(kept, 2), numbers(kept, 1)) == ([2], [], [2])
    assert kept.client.get(CHANGES).json["last"] == 2


def test_a_clock_that_was_set_back_makes_no_gap(
    kept: Api, clock: MovedClock, database: Database
) -> None:
    kept.add("a")
    clock.move(days=DAYS)
    kept.add("b")
    clock.move(days=-DAYS)
    kept.add("c")
    clock.move(days=DAYS, seconds=1)
    kept.add("d")
    assert stored(database) == [2, 3, 4]
    clock.move(days=DAYS)
    kept.add("e")
    assert stored(database) == [4, 5]


def test_the_setting_has_bounds_and_reaches_the_writer(tmp_path: Path) -> None:
    for days in (0, 36501):
        with pytest.raises(ValidationError, match="history_days"):
            RegistrySettings(history_days=days)
    assert RegistrySettings().history_days == 90
    path, body = tmp_path / "r.db", {"name": "a", "type": "Other"}
    with serving(path, tmp_path / "log", TRADINGBOT_REGISTRY_HISTORY_DAYS="2") as server:
        for _ in range(2):
            assert server.call("POST", ASSETS, body)[0] == 201
        connection = sqlite3.connect(path)
        for seq, hours in enumerate((49, 47), 1):
            at = (datetime.now(UTC) - timedelta(hours=hours)).replace(tzinfo=None)
            text = at.isoformat(timespec="microseconds") + "Z"
            connection.execute("UPDATE change SET at = ? WHERE seq = ?", (text, seq))
        connection.commit()
        connection.close()
        assert server.call("POST", ASSETS, body)[0] == 201
        status, problem = server.call("GET", f"{CHANGES}?since=0")
        assert (status, problem["oldest"]) == (410, 1)
