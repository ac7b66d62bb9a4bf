"""However large the graph is, an answer is bounded and its work linear."""

import json
import time
from collections.abc import Callable, Iterable
from uuid import uuid4

from registry_harness import ASSETS, ON_SQLITE, Api, refusal
from tradingbot_registry.inventory.cycles import MAX_CYCLE
from tradingbot_registry.inventory.effective import settle_everything
from tradingbot_registry.inventory.graph import MAX_CAUSES, MAX_NEIGHBOURS
from tradingbot_registry.rest.query import MAX_PAGE_SIZE
from tradingbot_registry.storage.engine import Database

LEAVES = 1000


def active(_: int) -> str:
    return "Active"


def fill(
    db: Database,
    count: int,
    edges: Iterable[tuple[int, int]],
    status: Callable[[int], str] = active,
) -> list[str]:
    """Store assets 1 to `count` and edges between them, and return the ids by number."""
    moment = "2026-01-01T00:00:00.000000Z"
    ids = {seq: uuid4() for seq in range(1, count + 1)}
    row = (
        "INSERT INTO asset (seq, id, name, type, status, description, config, managed_by, version,"
        " created_at, updated_at)"
        f" VALUES (?, ?, ?, 'Other', ?, '', '{{}}', 'user', 1, '{moment}', '{moment}')"
    ).replace("?", db.param)
    edge = f"INSERT INTO dependency VALUES ({db.param}, {db.param})"
    with db.connection_context(), db.atomic():
        cursor = db.cursor()
        cursor.executemany(row, [(seq, ids[seq].hex, f"a{seq}", status(seq)) for seq in ids])
        cursor.executemany(edge, list(edges))
        db.continue_numbers()
        settle_everything(db)
    return ["", *(str(asset_id) for asset_id in ids.values())]


def test_a_page_below_thousands_of_failures_is_small_and_quick(
    api: Api, database: Database
) -> None:
    """500 assets on 5 hubs, each on 1,000 failed leaves: 290 MB and 83 s when all were listed."""
    hubs, top = range(501, 506), 505 + 5 * LEAVES
    edges = [(asset, hub) for asset in range(1, 501) for hub in hubs]
    edges += [(hub, 506 + at * LEAVES + n) for at, hub in enumerate(hubs) for n in range(LEAVES)]
    ids = fill(database, top, edges, status=lambda seq: "Failed" if seq > 505 else "Active")
    begun = time.process_time()
    response = api.client.get(f"{ASSETS}?page_size=500")
    assert time.process_time() - begun < 10
    assert len(response.data) < 2_000_000
    oldest = [ids[506 + n] for n in range(MAX_CAUSES)]
    for asset in response.json:
        assert (asset["effectiveStatus"], asset["moreCauses"]) == ("Degraded", True)
        assert [cause["id"] for cause in asset["causedBy"]] == oldest
    assert api.get(ids[501])["causedBy"] == response.json[0]["causedBy"]


def test_a_long_chain_is_listed_in_linear_time(api: Api, database: Database) -> None:
    """A chain of 5,000 took 10.8 s, healthy, since each asset of the page was walked by itself."""
    count = 5000
    ids = fill(
        database,
        count,
        [(seq, seq + 1) for seq in range(1, count)],
        status=lambda seq: "Failed" if seq == count else "Active",
    )
    begun = time.process_time()
    page = api.client.get(f"{ASSETS}?page_size=500").json
    assert time.process_time() - begun < 5
    for asset in page:
        assert ([c["id"] for c in asset["causedBy"]], asset["moreCauses"]) == ([ids[-1]], False)


def test_a_ladder_is_walked_in_linear_time(api: Api, database: Database) -> None:
    count = 5000
    edges = [(seq, seq - back) for seq in range(2, count + 1) for back in (1, 2) if seq > back]
    ids = fill(database, count, edges)
    begun = time.process_time()
    response = api.client.get(f"{ASSETS}/{ids[1]}/dependents")
    assert time.process_time() - begun < 10
    assert json.loads(response.headers["X-Pagination"])["total"] == count - 1
    assert [step["depth"] for step in response.json[-2:]] == [MAX_PAGE_SIZE // 2] * 2


@ON_SQLITE
def test_an_asset_with_many_dependents_names_some_and_counts_all(
    api: Api, database: Database
) -> None:
    """More than a statement takes values."""
    count = 40_001
    ids = fill(database, count, [(seq, 1) for seq in range(2, count + 1)])
    answers = [
        api.client.delete(f"{ASSETS}/{ids[1]}"),
        api.patch(ids[1], {"status": "Inactive"}),
    ]
    for answer in answers:
        problem = refusal(answer, 409, "has-dependents")
        assert [blocker["id"] for blocker in problem["blockers"]] == ids[2 : MAX_NEIGHBOURS + 2]
        assert problem["total"] == count - 1
        assert len(problem["detail"]) < 1000
    preview = api.client.delete(f"{ASSETS}/{ids[1]}?dry_run=true").json
    assert (len(preview["dependents"]), preview["total"]) == (MAX_NEIGHBOURS, count - 1)
    assert api.client.delete(f"{ASSETS}/{ids[1]}?force=true").status_code == 204
    assert (api.get(ids[-1])["version"], api.get(ids[-1])["dependsOn"]) == (2, [])


@ON_SQLITE
def test_many_that_wait_for_a_reference_are_resolved_and_left_again(
    api: Api, database: Database
) -> None:
    ids, ref = fill(database, 40_000, []), "crd/default/late"
    with database.connection_context():
        database.execute_sql(
            f"INSERT INTO pending_dependency (src, ref) SELECT seq, '{ref}' FROM asset"
        )
    target = api.upsert(ref).json
    assert api.get(ids[-1])["dependsOn"] == [target["id"]]
    assert api.client.delete(f"{ASSETS}/by-ref/{ref}?unresolve=true").status_code == 204
    assert api.get(ids[-1])["unresolved"] == [ref]


@ON_SQLITE
def test_a_long_cycle_is_cut(api: Api, database: Database) -> None:
    count = 10_000
    ids = fill(database, count, [(seq, seq + 1) for seq in range(1, count)])
    problem = refusal(api.patch(ids[-1], {"dependsOn": [ids[1]]}), 409, "dependency-cycle")
    assert problem["length"] == count
    assert [step["id"] for step in problem["cycle"]] == [ids[-1], *ids[1:MAX_CYCLE]]
    assert len(problem["detail"]) < 1000
    assert "a10000 -> a1 -> a2" in problem["detail"]


def test_a_database_with_a_cycle_is_still_read(api: Api, database: Database) -> None:
    """Edited by hand: the API never stores one."""
    ids = fill(
        database, 3, [(1, 2), (2, 1), (2, 3)], status=lambda seq: "Failed" if seq == 3 else "Active"
    )
    for asset_id in ids[1:3]:
        assert api.get(asset_id)["effectiveStatus"] == "Degraded"
    assert len(api.find()) == 3
