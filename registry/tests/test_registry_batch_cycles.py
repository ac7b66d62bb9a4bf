"""The cycles of a batch: each item is refused as if it came alone, and one search is for all."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_harness import ASSETS, ON_SQLITE, Api, refusal
from tradingbot_registry.storage.engine import Database
from werkzeug.test import TestResponse

SIZE = 6
NODES = st.integers(0, SIZE - 1)
TARGETS = st.frozensets(NODES, max_size=3)


def rewire(asset: Any, *targets: Any, **patch: Any) -> Any:
    wanted = {"dependsOn": [target["id"] for target in targets], **patch}
    return {"op": "update", "id": asset["id"], "patch": wanted}


def send(api: Api, *items: Any) -> TestResponse:
    return api.client.post(f"{ASSETS}:batch", json={"items": items})


def names(problem: Any) -> list[str]:
    return [step["name"] for step in problem["cycle"]]


@pytest.fixture
def recursions(api: Api, caplog: pytest.LogCaptureFixture) -> Callable[..., int]:
    """How many walks through the graph a successful batch asks of the database."""

    def count(*items: Any) -> int:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "peewee"):
            response = send(api, *items)
        assert response.status_code == 200, response.text
        statements = [str(record.msg) for record in caplog.records if record.name == "peewee"]
        return sum("RECURSIVE" in statement for statement in statements)

    return count


@ON_SQLITE
def test_a_larger_batch_walks_the_graph_no_more_often(
    api: Api, recursions: Callable[..., int]
) -> None:
    """24 ms for each item in a ladder of 5,000: 12 s, beyond what other writers wait."""
    ladder = [api.add("0")]
    for number in range(1, 60):
        ladder.append(api.add(str(number), *[asset["id"] for asset in ladder[-2:]]))
    few, many = (
        recursions(*(rewire(ladder[at], ladder[at - 1]) for at in part), *deletions)
        for part, deletions in (
            ((3, 4), [{"op": "delete", "id": api.add("a")["id"]}]),
            (range(5, 55), [{"op": "delete", "id": api.add(f"a{n}")["id"]} for n in range(9)]),
        )
    )
    assert 0 < many == few
    above = {"name": "above", "type": "Other", "dependsOn": [ladder[-1]["id"]]}
    creations = [{"op": "create", "asset": {**above, "name": f"above {n}"}} for n in range(9)]
    # An asset that no other depends on is on no cycle.
    assert recursions(*creations) == 0
    tops = [rewire(asset, ladder[7]) for asset in map(api.add, ("x", "y", "z"))]
    assert recursions(*tops) == 0


def test_a_cycle_within_one_batch_is_refused_where_it_closes(api: Api) -> None:
    a, b, c, other = (api.add(name) for name in ("a", "b", "c", "other"))
    api.add("needs a", a["id"])
    before = api.client.get(ASSETS).json
    circle = (rewire(a, b), rewire(other, a), rewire(b, c), rewire(c, a), rewire(c, other))
    problem = refusal(send(api, *circle[:4]), 409, "dependency-cycle")
    assert (problem["item"], problem["length"]) == (3, 3)
    assert names(problem) == ["c", "a", "b", "c"]
    assert problem["detail"].startswith("item 3: ")
    itself = refusal(send(api, rewire(b, a), rewire(a, a)), 409, "dependency-cycle")
    assert (itself["item"], names(itself)) == (1, ["a", "a"])
    assert api.client.get(ASSETS).json == before


def test_what_a_later_item_removes_counts_until_its_turn(api: Api) -> None:
    a = api.add("a")
    b = api.add("b", a["id"])
    turned = (rewire(a, b), rewire(b))
    problem = refusal(send(api, *turned), 409, "dependency-cycle")
    assert (problem["item"], names(problem)) == (0, ["a", "b", "a"])
    assert send(api, *turned[::-1]).status_code == 200


def test_the_first_refusal_is_named_and_the_assets_are_as_they_are_then(api: Api) -> None:
    a, b, c = (api.add(name) for name in "abc")
    cycle = (rewire(a, b), rewire(b, a))
    wrong = rewire(c, {"id": "00000000-0000-0000-0000-000000000001"})
    found = refusal(send(api, wrong, *cycle), 422, "invalid")["errors"]
    assert [error["pointer"] for error in found] == ["/items/0/patch/dependsOn/0"]
    assert refusal(send(api, *cycle, wrong), 409, "dependency-cycle")["item"] == 1
    never = {"op": "update", "id": c["id"], "patch": {"status": "Draft"}}
    api.become(c["id"], "Active")
    assert refusal(send(api, never, *cycle), 409, "forbidden-transition")["item"] == 0
    renamed = (rewire(a, b, name="A"), rewire(b, a, name="B"), rewire(c, name="C"))
    assert names(refusal(send(api, *renamed), 409, "dependency-cycle")) == ["B", "A", "B"]


def test_a_database_with_a_cycle_is_still_changed(api: Api, database: Database) -> None:
    """Edited by hand: the API never stores one. Its items are checked one by one."""
    a, b, c, d = (api.add(name) for name in "abcd")
    with database.connection_context():
        database.execute_sql("INSERT INTO dependency VALUES (1, 2), (2, 1)")
    assert send(api, rewire(c, a), rewire(d, c)).status_code == 200
    problem = refusal(send(api, rewire(c, d), rewire(d, b)), 409, "dependency-cycle")
    assert (problem["item"], names(problem)) == (0, ["c", "d", "c"])


@ON_SQLITE
@settings(
    max_examples=25,
    deadline=None,
    # One registry for all examples: each has assets of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    above=st.lists(TARGETS, min_size=SIZE, max_size=SIZE),
    changes=st.lists(
        st.tuples(NODES, TARGETS), min_size=1, max_size=SIZE, unique_by=lambda change: change[0]
    ),
)
def test_a_batch_is_refused_as_its_items_are_one_by_one(
    api: Api, above: list[frozenset[int]], changes: list[tuple[int, frozenset[int]]]
) -> None:
    together, alone = ladder(api, above), ladder(api, above)
    items = [rewire(together[n], *(together[m] for m in sorted(to))) for n, to in changes]
    answer = send(api, *items)
    for place, (n, to) in enumerate(changes):
        patch = {"dependsOn": [alone[m]["id"] for m in sorted(to)]}
        response = api.patch(alone[n]["id"], patch)
        if response.status_code != 200:
            one = refusal(response, 409, "dependency-cycle")
            whole = refusal(answer, 409, "dependency-cycle")
            assert (whole["item"], names(whole)) == (place, names(one))
            assert whole["detail"] == f"item {place}: {one['detail']}"
            return
    assert answer.status_code == 200, answer.text


def ladder(api: Api, above: list[frozenset[int]]) -> list[Any]:
    """Assets, each of which depends on some of those before it."""
    assets: list[Any] = []
    for number, targets in enumerate(above):
        below = [assets[target]["id"] for target in sorted(targets) if target < number]
        assets.append(api.add(str(number), *below))
    return assets
