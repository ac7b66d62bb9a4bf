"""Cursors, parts of assets, bounded traversals and numbers."""

import base64
import json
from typing import Any

import pytest
from registry_harness import ASSETS, Api, refusal, statements_of
from tradingbot_registry.inventory import filters, listing
from tradingbot_registry.storage.engine import Database
from werkzeug.test import TestResponse

FACETS = "/api/v1/facets"


def cursor_of(response: TestResponse) -> Any:
    assert response.status_code == 200, response.text
    return json.loads(response.headers["X-Pagination"])["next_cursor"]


def pages(api: Api, path: str) -> list[list[str]]:
    """The names on each page, from cursor to cursor."""
    response = api.client.get(path)
    found = [[asset["name"] for asset in response.json]]
    while (cursor := cursor_of(response)) is not None:
        response = api.client.get(f"{path}&cursor={cursor}")
        found.append([asset["name"] for asset in response.json])
    return found


@pytest.mark.parametrize(
    "sort", ["", "name", "-name", "type,-name", "-status,updated_at", "-updated_at", "-created_at"]
)
def test_cursors_show_each_asset_once_in_the_order_asked_for(api: Api, sort: str) -> None:
    for number, (name, kind) in enumerate([("b", "Other"), ("a", "Other"), ("a", "Configuration")]):
        asset = api.add(name, type=kind, status="Active" if number else "Draft")
        api.add(name, asset["id"])
    query = f"sort={sort}" if sort else ""
    wanted = api.find(f"{query}&page_size=500")
    found = pages(api, f"{ASSETS}?{query}&page_size=2")
    assert [name for page in found for name in page] == wanted
    assert [len(page) for page in found] == [2, 2, 2]


def test_nothing_is_lost_to_one_who_deletes_while_paging(api: Api) -> None:
    """With numbers of pages, half of the assets were skipped."""
    for number in range(6):
        api.add(f"a{number}")
    path, deleted = f"{ASSETS}?page_size=2", 0
    response = api.client.get(path)
    while True:
        for asset in response.json:
            assert api.client.delete(f"{ASSETS}/{asset['id']}").status_code == 204
            deleted += 1
        cursor = cursor_of(response)
        if cursor is None:
            break
        response = api.client.get(f"{path}&cursor={cursor}")
    assert deleted == 6
    assert api.find() == []


def test_a_page_by_cursor_counts_nothing_and_links_to_the_next(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        api.add(f"a{number}")
    first = api.client.get(f"{ASSETS}?page_size=2")
    with statements_of(database, monkeypatch) as statements:
        second = api.client.get(f"{ASSETS}?page_size=2&cursor={cursor_of(first)}")
    assert not [statement for statement in statements if "COUNT" in statement.upper()]
    assert json.loads(second.headers["X-Pagination"]).keys() == {"page_size", "next_cursor"}
    link, _, relation = second.headers["Link"].partition(">; ")
    assert relation == 'rel="next"'
    assert [asset["name"] for asset in api.client.get(link[1:]).json] == ["a4"]


def test_a_cursor_is_valid_for_its_query_alone(api: Api) -> None:
    for number in range(3):
        api.add(f"a{number}")
    cursor = cursor_of(api.client.get(f"{ASSETS}?page_size=1&sort=name"))
    assert api.find(f"page_size=2&sort=name&cursor={cursor}&fields=name") == ["a1", "a2"]
    head = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0]
    forged = [
        base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        for value in (
            [head],
            [head, "a", True],
            [head, 1, 1],
            [head, "\ud800", 1],
            [head, "a", 2**70],
        )
    ]
    for query in (
        f"cursor={cursor}",
        f"cursor={cursor}&sort=-name",
        f"cursor={cursor}&sort=name&q=a",
        "cursor=&sort=name",
        "cursor=e30&sort=name",
        "cursor=%21&sort=name",
        *(f"cursor={value}&sort=name" for value in forged),
    ):
        problem = refusal(api.client.get(f"{ASSETS}?{query}"), 422, "invalid")
        assert [error["parameter"] for error in problem["errors"]] == ["cursor"], query
    problem = refusal(api.client.get(f"{ASSETS}?sort=name&page=1&cursor={cursor}"), 422, "invalid")
    assert problem["errors"][0]["parameter"] == "page"


def test_a_cursor_behind_the_longest_name_is_taken(api: Api) -> None:
    for _ in range(2):
        api.add("\U0001f600" * 253)
    path = f"{ASSETS}?page_size=1&sort=type,status,updated_at,name"
    assert len(pages(api, path)) == 2


def test_only_the_fields_asked_for_are_answered(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = api.add("failed", status="Failed")
    api.add("asset", failed["id"])
    found = api.client.get(f"{ASSETS}?fields=name,effectiveStatus").json
    assert found == [
        {"name": "failed", "effectiveStatus": "Failed"},
        {"name": "asset", "effectiveStatus": "Degraded"},
    ]
    with statements_of(database, monkeypatch) as statements:
        assert api.client.get(f"{ASSETS}?fields=name,name").json == [
            {"name": "failed"},
            {"name": "asset"},
        ]
    assert not [statement for statement in statements if "RECURSIVE" in statement]
    for query in ("fields=", "fields=colour", "fields=name,", "fields=effective_status"):
        problem = refusal(api.client.get(f"{ASSETS}?{query}"), 422, "invalid")
        assert problem["errors"][0]["parameter"] == "fields"


def test_a_traversal_is_paged_nearest_first(api: Api) -> None:
    root = api.add("root")
    near = [api.add(f"near{number}", root["id"]) for number in range(3)]
    far = api.add("far", near[0]["id"], near[2]["id"], type="Configuration")
    api.add("farther", far["id"], root["id"])
    path = f"{ASSETS}/{root['id']}/dependents"
    assert pages(api, f"{path}?page_size=2") == [["near0", "near1"], ["near2", "farther"], ["far"]]
    assert pages(api, f"{path}?depth=1&page_size=3") == [["near0", "near1", "near2"], ["farther"]]
    assert pages(api, f"{path}?type=Configuration&page_size=1") == [["far"]]
    summary = json.loads(api.client.get(f"{path}?page_size=2").headers["X-Pagination"])
    assert (summary["total"], summary["page_size"]) == (5, 2)
    cursor = summary["next_cursor"]
    for other in (
        f"{path}?depth=2&cursor={cursor}",
        f"{ASSETS}/{far['id']}/dependents?cursor={cursor}",
    ):
        refusal(api.client.get(other), 422, "invalid")


def test_a_traversal_of_few_steps_is_that_of_many_cut_short(api: Api) -> None:
    """Up to 4 steps are counted by the query, more by a walk over the edges."""
    chain = [api.add("a0")]
    for number in range(1, 8):
        chain.append(api.add(f"a{number}", *(asset["id"] for asset in chain[-2:])))
    path = f"{ASSETS}/{chain[-1]['id']}/dependencies"
    everything = api.client.get(path).json
    assert [step["depth"] for step in everything] == [1, 1, 2, 2, 3, 3, 4]
    for depth in range(1, 7):
        near = [step for step in everything if step["depth"] <= depth]
        assert api.client.get(f"{path}?depth={depth}").json == near


def test_facets_count_what_the_filters_select(api: Api) -> None:
    failed = api.add("failed", status="Failed", tags=["a", "b"])
    api.add("asset", failed["id"], status="Active", tags=["a"], type="Configuration")
    api.upsert("crd/default/x", managedBy="crd")
    facets = api.client.get(FACETS).json
    assert facets["total"] == 3
    assert facets["type"] == [
        {"value": "Other", "count": 2},
        {"value": "Configuration", "count": 1},
    ]
    assert {item["value"]: item["count"] for item in facets["effectiveStatus"]} == {
        "Failed": 1,
        "Degraded": 1,
        "Draft": 1,
    }
    assert facets["managedBy"][0] == {"value": "user", "count": 2}
    assert facets["tag"] == [{"value": "a", "count": 2}, {"value": "b", "count": 1}]
    tagged = api.client.get(f"{FACETS}?tag=a&effective_status=Degraded").json
    assert (tagged["total"], tagged["tag"]) == (1, [{"value": "a", "count": 1}])
    for item in facets["effectiveStatus"]:
        assert len(api.find(f"effective_status={item['value']}")) == item["count"]
    refusal(api.client.get(f"{FACETS}?sort=name"), 422, "invalid")
    assert api.client.get(f"{FACETS}?tag=none").json["total"] == 0


def test_the_most_frequent_tags_are_listed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradingbot_registry.inventory.facets.MAX_TAGS", 1)
    api.add("a", tags=["x", "y"])
    api.add("b", tags=["y"])
    facets = api.client.get(FACETS).json
    assert (facets["tag"], facets["moreTags"]) == ([{"value": "y", "count": 2}], True)


def test_no_character_in_a_parameter_is_a_defect(api: Api) -> None:
    """PostgreSQL takes no NUL and no half of a surrogate pair."""
    for path, methods in api.client.get("/api/v1/openapi.json").json["paths"].items():
        given = [*methods.get("parameters", []), *methods.get("get", {}).get("parameters", [])]
        for name in (each["name"] for each in given if each.get("in") == "query"):
            for text in ("%00", "a%00b", "%ED%A0%80", "%F0%9F%98%80", "%FF"):
                where = path.replace("{", "").replace("}", "")
                response = api.client.get(f"{where}?{name}={text}")
                assert response.status_code < 500, (where, name, response.text)


@pytest.mark.parametrize("text", ["\0", "\ud800", "a\0b"])
def test_a_cursor_with_what_no_name_has_is_refused(api: Api, text: str) -> None:
    api.add("a")
    api.add("b")
    path = f"{ASSETS}?sort=name&page_size=1"
    cursor = cursor_of(api.client.get(path))
    assert cursor is not None
    digest, _, seq = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    made = base64.urlsafe_b64encode(json.dumps([digest, text, seq]).encode()).decode().rstrip("=")
    refusal(api.client.get(f"{path}&cursor={made}"), 422, "invalid")


BROAD = [
    "",
    "tag=even",
    "tag=even&tag=third",
    "any_tag=even&any_tag=third",
    "status=Active&tag=third",
    "type=Other&effective_status=Active&q=a1",
    "namespace=b&tag=even",
    "updated_since=2026-01-01T00:00:20Z&tag=third",
    "updated_since=2026-01-01T00:00:20Z&status=Active&type=Other",
    "updated_since=2026-01-01T00:00:36Z&status=Active&tag=even",
    "external_ref_prefix=s/b/&status=Active",
    "q=a1&tag=even&status=Active",
    "q=number%201&namespace=b",
]


@pytest.mark.parametrize(
    "sort",
    [
        "",
        "sort=-created_at",
        "sort=name",
        "sort=-status,name",
        "sort=updated_at",
        "sort=-updated_at",
    ],
)
def test_every_way_to_a_page_finds_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    """By a walk or from the index of a filter: which one is quicker must not show."""
    for number in range(24):
        tags = [tag for tag, of in (("even", 2), ("third", 3)) if number % of == 0]
        namespace = "b" if number % 4 else "a"
        status = "Active" if number % 5 else "Draft"
        about = f"number {number}"
        api.upsert(
            f"s/{namespace}/n{number}", f"a{number}", tags=tags, status=status, description=about
        )
    for query in BROAD:
        found = {}
        for quicker in (True, False):
            monkeypatch.setattr(listing, "_is_quicker_driven", lambda *_, q=quicker: q)
            shown = pages(api, f"{ASSETS}?{query}&{sort}&page_size=3")
            found[quicker] = [name for page in shown for name in page]
        assert found[True] == found[False], query
        assert found[True], query
        assert found[True] == api.find(f"{query}&{sort}&page_size=500"), query
        total = cursor_total(api.client.get(f"{ASSETS}?{query}&{sort}&page_size=1"))
        assert total == {"total": len(found[True]), "more": False}


def cursor_total(response: TestResponse) -> Any:
    header = json.loads(response.headers["X-Pagination"])
    return {name: header[name] for name in ("total", "more")}


def test_a_total_is_counted_up_to_a_limit_or_on_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        api.add(f"a{number}", tags=["t"] if number else [])
    monkeypatch.setattr(listing, "MANY", 3)
    monkeypatch.setattr(filters, "LIMITS", (4, 40))
    for query, exact in (("", 5), ("tag=t", 4), ("tag=t&status=Draft", 4)):
        response = api.client.get(f"{ASSETS}?{query}&page_size=2")
        assert cursor_total(response) == {"total": 3, "more": True}
        assert 'rel="next"' in response.headers["Link"]
        assert 'rel="last"' not in response.headers["Link"]
        response = api.client.get(f"{ASSETS}?{query}&page_size=2&exact_total=true")
        assert cursor_total(response) == {"total": exact, "more": False}


def test_two_filters_of_many_assets_may_have_few_in_common(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A total is not counted if so many must be in both: here that is one less."""
    for number in range(6):
        api.add(
            f"a{number}", tags=["x"] if number < 4 else [], status=["Draft", "Active"][number > 1]
        )
    monkeypatch.setattr(listing, "MANY", 2)
    monkeypatch.setattr(filters, "LIMITS", (3, 30))
    response = api.client.get(f"{ASSETS}?tag=x&status=Active")
    assert cursor_total(response) == {"total": 2, "more": False}
    monkeypatch.setattr(listing, "MANY", 1)
    response = api.client.get(f"{ASSETS}?tag=x&status=Active")
    assert cursor_total(response) == {"total": 1, "more": True}
