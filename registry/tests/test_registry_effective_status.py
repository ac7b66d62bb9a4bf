"""The effective status that is stored is the one that the definition gives."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_harness import ASSETS, ON_SQLITE, Api
from tradingbot_registry.app import create_app
from tradingbot_registry.inventory import effective
from tradingbot_registry.maintenance.checking import check_database
from tradingbot_registry.storage.engine import Database

STATUSES = ["Draft", "Active", "Inactive", "Failed"]


def wrong(database: Database) -> list[Any]:
    with database.connection_context():
        return effective.wrong(database)


def stored(api: Api) -> dict[str, str]:
    """The effective status of each asset by name, as a list shows them."""
    found = api.client.get(f"{ASSETS}?fields=name,effectiveStatus&page_size=500").json
    return {asset["name"]: asset["effectiveStatus"] for asset in found}


def test_a_failure_goes_up_and_a_recovery_too(api: Api, database: Database) -> None:
    root = api.add("root", status="Active")
    other = api.add("other", status="Failed")
    mid = api.add("mid", root["id"], status="Active")
    api.add("idle", mid["id"], status="Inactive")
    api.add("top", mid["id"], status="Active")
    api.add("both", mid["id"], other["id"], status="Active")
    api.add("failed", mid["id"], status="Failed")
    api.become(root["id"], "Failed")
    assert stored(api) == {
        "root": "Failed",
        "other": "Failed",
        "mid": "Degraded",
        "idle": "Degraded",
        "top": "Degraded",
        "both": "Degraded",
        "failed": "Failed",
    }
    api.become(root["id"], "Inactive", "force=true")
    assert stored(api)["mid"] == "Degraded"
    api.become(root["id"], "Active")
    assert stored(api) == {
        "root": "Active",
        "other": "Failed",
        "mid": "Active",
        "idle": "Inactive",
        "top": "Active",
        "both": "Degraded",
        "failed": "Failed",
    }
    assert wrong(database) == []


def test_edges_that_come_and_go_with_other_assets_count(api: Api, database: Database) -> None:
    assert api.upsert("crd/a/waits", "waits", dependsOn=["crd/a/late"]).status_code == 201
    api.add("above", api.client.get(f"{ASSETS}/by-ref/crd/a/waits").json["id"])
    assert stored(api) == {"waits": "Draft", "above": "Draft"}
    assert api.upsert("crd/a/late", "late", status="Failed").status_code == 201
    assert stored(api) == {"waits": "Degraded", "above": "Degraded", "late": "Failed"}
    gone = api.client.delete(f"{ASSETS}/by-ref/crd/a/late?unresolve=true")
    assert gone.status_code == 204
    assert stored(api) == {"waits": "Draft", "above": "Draft"}
    assert wrong(database) == []


Step = tuple[str, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "status", "edges", "delete", "upsert", "batch"]),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(0, 3),
    ),
    min_size=8,
    max_size=30,
)


def take(api: Api, step: Step) -> None:
    """Take a step, which may be refused."""
    kind, one, other, number = step
    ids = [asset["id"] for asset in api.client.get(f"{ASSETS}?fields=id&page_size=500").json]
    some = sorted({ids[place % len(ids)] for place in (one, other)}) if ids else []
    body = {"name": "a", "type": "Other", "status": STATUSES[number], "dependsOn": some}
    if kind == "create" or not ids:
        api.client.post(ASSETS, json=body)
    elif kind == "status":
        api.patch(ids[one % len(ids)], {"status": STATUSES[number]}, "force=true")
    elif kind == "edges":
        api.patch(ids[one % len(ids)], {"dependsOn": [ids[other % len(ids)]] if number else []})
    elif kind == "delete":
        api.client.delete(f"{ASSETS}/{ids[one % len(ids)]}?force=true")
    elif kind == "upsert" and number == 3:
        api.client.delete(f"{ASSETS}/by-ref/x/y/n{other % 3}?unresolve=true")
    elif kind == "upsert":
        waited = [f"x/y/n{other % 3}"] if one % 3 != other % 3 else []
        api.upsert(f"x/y/n{one % 3}", status=STATUSES[number + 1], dependsOn=waited)
    else:
        items: list[Any] = [
            {"op": "create", "ref": "new", "asset": body},
            {"op": "update", "id": ids[0], "patch": {"dependsOn": ["#new"]}},
        ]
        if len(ids) > 1 and ids[-1] not in some:
            items.append({"op": "delete", "id": ids[-1], "force": True})
        api.client.post(f"{ASSETS}:batch", json={"items": items})


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_after_any_writes_it_is_what_the_definition_says(
    api: Api, database: Database, steps: list[Step]
) -> None:
    for step in steps:
        take(api, step)
        assert wrong(database) == [], step


def test_writers_at_once_keep_it_right(database: Database) -> None:
    app = create_app(database)
    api = Api(app.test_client())
    for number in range(10):
        earlier = [asset["id"] for asset in api.client.get(f"{ASSETS}?fields=id").json]
        api.add(f"a{number}", *earlier[-2:], status="Active")

    def write(seed: int) -> None:
        rng = Random(seed)
        mine = Api(app.test_client())
        for _ in range(12):
            kind = rng.choice(["status", "status", "edges", "create"])
            take(mine, (kind, rng.randrange(10), rng.randrange(10), rng.randrange(1, 4)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert wrong(database) == []


def test_a_check_names_a_wrong_one_and_its_repair(api: Api, database: Database) -> None:
    asset = api.add("a", status="Active")
    with database.connection_context():
        assert check_database(database).faults == 0
        database.execute_sql("UPDATE asset SET effective_status = 'Degraded'")
        (fault,) = check_database(database).findings
    assert (fault.check, fault.fault) == ("effective-status", True)
    assert f"asset {asset['id']} is Active and stored as Degraded" in fault.message
    assert "export" in fault.message


@ON_SQLITE
@pytest.mark.parametrize("filters", ["effective_status=Degraded", "status=Active"])
def test_a_filter_by_it_reads_its_index_in_the_order_of_the_page(
    api: Api, database: Database, filters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.add("a", api.add("failed", status="Failed")["id"], status="Active")
    statements: list[tuple[str, Any]] = []
    execute = database.execute_sql

    def record(sql: str, params: Any = None) -> Any:
        statements.append((sql, params))
        return execute(sql, params)

    with monkeypatch.context() as patch:
        patch.setattr(database, "execute_sql", record)
        api.find(filters)
    (page,) = [each for each in statements if "ORDER BY" in each[0] and "LIMIT" in each[0]]
    with database.connection_context():
        plan = database.execute_sql(f"EXPLAIN QUERY PLAN {page[0]}", page[1]).fetchall()
    column = filters.split("=", maxsplit=1)[0]
    assert [row[-1] for row in plan] == [
        f"SEARCH asset USING COVERING INDEX asset_{column} ({column}=?)"
    ]
