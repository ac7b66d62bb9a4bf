"""The dependency graph: walked, and never with a cycle."""

import itertools
import json
import threading
import time
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_harness import ASSETS, ON_SQLITE, Api, refusal
from tradingbot_api.asset import AssetStatus, AssetType
from tradingbot_registry.app import create_app, prepared_database
from tradingbot_registry.inventory.graph import Causes, Direction, Walk, causes, walk
from tradingbot_registry.inventory.record import Record, Wanted
from tradingbot_registry.inventory.store import Store
from tradingbot_registry.refusals import CycleError
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Asset, Dependency, rows

Edges = dict[int, frozenset[int]]


def wanted(name: str, *depends_on: str, status: AssetStatus | None = None) -> Wanted:
    return Wanted(
        name=name,
        type=AssetType.OTHER,
        config={},
        secret_ref=None,
        depends_on=depends_on,
        status=status,
        description=None,
        tags=None,
    )


def store_on(database: Database) -> Store:
    return Store.on(database, lambda: datetime.now(UTC), uuid4)


def walked(api: Api, asset_id: str, which: str, query: str = "") -> list[tuple[str, int]]:
    response = api.client.get(f"{ASSETS}/{asset_id}/{which}?{query}")
    assert response.status_code == 200, response.text
    return [(step["name"], step["depth"]) for step in response.json]


def test_a_walk_goes_all_the_way_and_says_how_far(api: Api) -> None:
    a = api.add("a", status="Failed")
    b = api.add("b", a["id"], type="Configuration")
    c = api.add("c", b["id"])
    d = api.add("d", c["id"], a["id"])
    assert walked(api, d["id"], "dependencies") == [("a", 1), ("c", 1), ("b", 2)]
    assert walked(api, a["id"], "dependents") == [("b", 1), ("d", 1), ("c", 2)]
    assert walked(api, d["id"], "dependencies", "depth=1") == [("a", 1), ("c", 1)]
    assert walked(api, d["id"], "dependencies", "type=Configuration") == [("b", 2)]
    assert walked(api, d["id"], "dependencies", "status=Failed&depth=1") == [("a", 1)]
    assert walked(api, a["id"], "dependencies") == []
    refusal(api.client.get(f"{ASSETS}/{a['id']}/dependents?depth=0"), 422, "invalid")
    refusal(api.client.get(f"{ASSETS}/{uuid4()}/dependents"), 404, "asset-not-found")


@ON_SQLITE
def test_a_deep_and_wide_graph_is_walked_in_no_time(api: Api) -> None:
    layer: list[str] = []
    for depth in range(24):
        layer = [api.add(f"{depth}.{width}", *layer)["id"] for width in range(3)]
    top = api.add("top", *layer)
    steps = walked(api, top["id"], "dependencies")
    assert len(steps) == 72
    assert max(depth for _, depth in steps) == 24


def test_one_request_for_a_long_graph_is_answered_in_linear_time(
    api: Api, database: Database
) -> None:
    """2,000 assets, each on the two before it: the depth in the recursion took seconds."""
    first = api.add("a0")
    seqs = list(range(2, 2001))
    batches = [seqs[at : at + 500] for at in range(0, len(seqs), 500)]
    with database.connection_context(), database.atomic():
        row = Asset.select().where(Asset.name == "a0").dicts().get(database)
        del row["namespace"]  # The database computes it.
        for batch in batches:
            Asset.insert_many(
                [{**row, "seq": n, "id": uuid4(), "name": f"a{n}"} for n in batch]
            ).execute(database)
            edges = [{"src": n, "dst": n - back} for n in batch for back in (1, 2) if n > back]
            Dependency.insert_many(edges).execute(database)
    begun = time.process_time()
    response = api.client.get(f"{ASSETS}/{first['id']}/dependents")
    assert time.process_time() - begun < 2
    assert json.loads(response.headers["X-Pagination"])["total"] == 1999
    assert [reached["depth"] for reached in response.json[:4]] == [1, 1, 2, 2]


def test_a_cycle_is_refused_with_its_path(api: Api) -> None:
    a = api.add("a")
    b = api.add("b", a["id"])
    c = api.add("c", b["id"])
    problem = refusal(api.patch(a["id"], {"dependsOn": [c["id"]]}), 409, "dependency-cycle")
    assert [step["name"] for step in problem["cycle"]] == ["a", "c", "b", "a"]
    assert "a -> c -> b -> a" in problem["detail"]
    itself = refusal(api.patch(a["id"], {"dependsOn": [a["id"]]}), 409, "dependency-cycle")
    assert [step["name"] for step in itself["cycle"]] == ["a", "a"]
    assert api.get(a["id"]) == a


def test_an_asset_that_is_not_there_can_not_be_depended_on(api: Api) -> None:
    a = api.add("a")
    body = {"name": "b", "type": "Other", "dependsOn": [a["id"], str(uuid4())]}
    problem = refusal(api.client.post(ASSETS, json=body), 422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == ["/dependsOn/1"]


def test_a_dependency_may_be_named_in_upper_case(api: Api) -> None:
    a = api.add("a")
    assert api.add("b", a["id"].upper())["dependsOn"] == [a["id"]]


def reachable(edges: Edges, start: int) -> set[int]:
    seen: set[int] = set()
    frontier = [start]
    while frontier:
        for end in edges.get(frontier.pop(), frozenset()) - seen:
            seen.add(end)
            frontier.append(end)
    return seen


SIZE = 6
NODES = st.integers(0, SIZE - 1)
CHANGES = st.lists(st.tuples(NODES, st.frozensets(NODES, max_size=3)), max_size=25)
STATUSES = st.lists(
    st.sampled_from([AssetStatus.ACTIVE, AssetStatus.INACTIVE, AssetStatus.FAILED]),
    min_size=SIZE,
    max_size=SIZE,
)


@settings(max_examples=60, deadline=None)
@given(statuses=STATUSES, changes=CHANGES)
def test_whatever_is_asked_for_the_graph_is_what_was_granted_and_has_no_cycle(
    statuses: list[AssetStatus], changes: list[tuple[int, frozenset[int]]]
) -> None:
    with TemporaryDirectory() as directory:
        database = prepared_database(f"sqlite:///{directory}/registry.db")
        store = store_on(database)
        with database.connection_context():
            assets = [store.writes.create(wanted(str(n), status=s)) for n, s in enumerate(statuses)]
            edges: Edges = {}
            for source, targets in changes:
                closes = source in targets or any(
                    source in reachable(edges, target) for target in targets
                )
                ids = [assets[target].id for target in sorted(targets)]
                try:
                    before = store.reads.asset(UUID(assets[source].id))
                    store.writes.change(before, wanted(before.name, *ids))
                    assert not closes
                    edges[source] = targets
                except CycleError:
                    assert closes
            assert_as_modelled(database, assets, edges, statuses)


def assert_as_modelled(
    db: Database, assets: list[Record], edges: Edges, statuses: list[AssetStatus]
) -> None:
    number = {asset.seq: n for n, asset in enumerate(assets)}
    found = causes(db, [asset.seq for asset in assets])
    for n, asset in enumerate(assets):
        below = reachable(edges, n)
        assert n not in below
        steps = walk(db, asset.seq, Walk(Direction.DEPENDENCIES)).items
        assert {int(step.asset.name) for step in steps} == below
        bad = {m for m in below if statuses[m] != AssetStatus.ACTIVE}
        assert {int(cause.name) for cause in found.get(asset.seq, Causes()).listed} == bad
        above = {m for m in range(len(assets)) if n in reachable(edges, m)}
        back = walk(db, asset.seq, Walk(Direction.DEPENDENTS)).items
        assert {int(step.asset.name) for step in back} == above
    stored = {(number[src], number[dst]) for src, dst in rows(db, Dependency.select())}
    assert stored == {(n, m) for n, targets in edges.items() for m in targets}


@pytest.mark.parametrize("attempt", range(5))
def test_two_writers_can_not_close_a_cycle_together(database: Database, attempt: int) -> None:
    app = create_app(database)
    first = Api(app.test_client())
    assets = [first.add(f"a{number}") for number in range(4)]
    ring = list(zip(assets, assets[1:] + assets[:1], strict=True))
    barrier = threading.Barrier(len(ring))
    answers: list[int] = []

    def connect(source: str, target: str) -> None:
        api = Api(app.test_client())
        barrier.wait()
        answers.append(api.patch(source, {"dependsOn": [target]}).status_code)

    threads = [
        threading.Thread(target=connect, args=(source["id"], target["id"]))
        for source, target in ring
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Any three edges of the ring are fine; the last one is refused.
    assert sorted(answers) == [200, 200, 200, 409]
    with database.connection_context():
        assert Dependency.select().count(database) == 3


def test_concurrent_writers_all_get_through_and_none_is_lost(database: Database) -> None:
    app = create_app(database)
    asset = Api(app.test_client()).add("counter", config={})
    answers: list[int] = []

    def write(writer: int) -> None:
        api = Api(app.test_client())
        for number in range(10):
            changes = {"config": {f"w{writer}": number}}
            answers.append(api.patch(asset["id"], changes).status_code)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 60
    with database.connection_context():
        stored = Asset.select().get(database)
        assert stored.config == {f"w{writer}": 9 for writer in range(6)}
        assert stored.version == 61


def test_of_racing_conditional_writes_exactly_one_wins(database: Database) -> None:
    app = create_app(database)
    asset = Api(app.test_client()).add("a")
    barrier = threading.Barrier(6)
    answers: list[int] = []

    def write(writer: int) -> None:
        api = Api(app.test_client())
        barrier.wait()
        response = api.patch(asset["id"], {"description": str(writer)}, If_Match='"1"')
        answers.append(response.status_code)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [412] * 5


def test_a_shortest_cycle_is_shown(api: Api) -> None:
    chain = [api.add("0")]
    for number in range(1, 6):
        chain.append(api.add(str(number), chain[-1]["id"]))
    shortcut = api.add("shortcut", chain[0]["id"])
    changes = {"dependsOn": [chain[-1]["id"], shortcut["id"]]}
    problem = refusal(api.patch(chain[0]["id"], changes), 409, "dependency-cycle")
    assert [step["name"] for step in problem["cycle"]] == ["0", "shortcut", "0"]
    pairs = itertools.pairwise(problem["cycle"])
    assert all(one["id"] != two["id"] for one, two in pairs)
