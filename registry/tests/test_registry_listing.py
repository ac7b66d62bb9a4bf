"""Finding assets: filters, order, pages."""

import json

import pytest
from registry_harness import ASSETS, Api, refusal, statements_of
from tradingbot_registry.storage.engine import Database


@pytest.fixture
def stocked(api: Api) -> Api:
    """Added at 1, 3, 5 and 7 seconds: each write reads the clock once more, for what it prunes."""
    root = api.add("root", status="Failed", tags=["a", "b"], description="The 100% source")
    api.add("mid", root["id"], status="Active", tags=["a"])
    api.add("Leaf_one", tags=["b", "c"], type="Configuration")
    api.upsert("crd/default/x.y", "owned", managedBy="crd", status="Inactive")
    return api


FOUND = {
    "": ["root", "mid", "Leaf_one", "owned"],
    "type=Configuration": ["Leaf_one"],
    "type=Configuration&type=Other": ["root", "mid", "Leaf_one", "owned"],
    "status=Active&status=Failed": ["root", "mid"],
    "effective_status=Degraded": ["mid"],
    "effective_status=Active": [],
    "effective_status=Failed&effective_status=Draft": ["root", "Leaf_one"],
    "effective_status=Inactive": ["owned"],
    "managed_by=crd": ["owned"],
    "managed_by=user&managed_by=crd": ["root", "mid", "Leaf_one", "owned"],
    "tag=a": ["root", "mid"],
    "tag=a&tag=b": ["root"],
    "any_tag=a&any_tag=c": ["root", "mid", "Leaf_one"],
    "tag=b&any_tag=c": ["Leaf_one"],
    "tag=absent": [],
    "q=SOURCE": ["root"],
    "q=leaf": ["Leaf_one"],
    "q=0%25": ["root"],
    "q=f_o": ["Leaf_one"],
    "q=l_af": [],
    "q=%25": ["root"],
    "external_ref_prefix=crd/default/x": ["owned"],
    "external_ref_prefix=crd/Default/x": [],
    "updated_since=2026-01-01T00:00:05Z": ["Leaf_one", "owned"],
    "updated_since=2026-01-01T00:00:05Z&sort=updated_at": ["Leaf_one", "owned"],
    "updated_since=2026-01-01T00:00:05Z&sort=-updated_at": ["owned", "Leaf_one"],
    "updated_since=2026-01-01T01:00:07%2B01:00": ["owned"],
    "updated_since=2026-01-01t00:00:05.9999999z": ["owned"],
    "updated_since=2025-12-31T23:59:60Z": ["root", "mid", "Leaf_one", "owned"],
    "updated_since=0001-01-01T00:00:00%2B23:59": ["root", "mid", "Leaf_one", "owned"],
    "updated_since=0999-01-01T00:00:00Z": ["root", "mid", "Leaf_one", "owned"],
    "updated_since=9999-12-31T23:59:59-23:59": [],
    "sort=name": ["Leaf_one", "mid", "owned", "root"],
    "sort=-name": ["root", "owned", "mid", "Leaf_one"],
    "sort=type,-name": ["Leaf_one", "root", "owned", "mid"],
    "sort=-updated_at": ["owned", "Leaf_one", "mid", "root"],
    "page=2&page_size=3": ["owned"],
    "page=9&page_size=3": [],
    "status=Active&tag=a&q=mid&managed_by=user": ["mid"],
}
"""The names of the assets that each query finds."""

REFUSED = {
    "colour=red": ["colour"],
    "Status=Active": ["Status"],
    "status=active": ["status"],
    "type=": ["type"],
    "effective_status=Broken": ["effective_status"],
    "page=0": ["page"],
    "page=x": ["page"],
    "page_size=501": ["page_size"],
    "sort=size": ["sort"],
    "sort=name,,type": ["sort"],
    "updated_since=yesterday": ["updated_since"],
    "updated_since=2026-01-01": ["updated_since"],
    "updated_since=2026-01-01T00:00:00": ["updated_since"],
    "updated_since=2026-W01-1T00:00:00Z": ["updated_since"],
    "updated_since=20260101T000000Z": ["updated_since"],
    "updated_since=2026-01-01T00Z": ["updated_since"],
    "updated_since=2026-01-01T24:00:00Z": ["updated_since"],
    "updated_since=2026-02-30T00:00:00Z": ["updated_since"],
    "updated_since=2026-01-01T00:00:00%2B0100": ["updated_since"],
    "updated_since=2026-01-01T00:00:00%2B01:00:30": ["updated_since"],
    "updated_since=2026-01-01T00:00:00%2B24:00": ["updated_since"],
    "updated_since=%D9%A2%D9%A0%D9%A2%D9%A6-01-01T00:00:00Z": ["updated_since"],
    "page=1&page=2": ["page"],
    "q=a&q=a": ["q"],
    "sort=name&sort=type": ["sort"],
    "sort=name,-name": ["sort"],
    "page=1_0": ["page"],
    "page=%D9%A3": ["page"],
    "page=%201": ["page"],
    "page=%2B1": ["page"],
    "page=1.0": ["page"],
    "page=99999999999999999999": ["page"],
    "q=%00": ["q"],
    "q=a%00b": ["q"],
    "tag=%00": ["tag"],
    "external_ref_prefix=crd%00": ["external_ref_prefix"],
}
"""The parameters that are named in the refusal of each query."""


def test_a_query_finds_what_it_says(stocked: Api) -> None:
    assert {query: stocked.find(query) for query in FOUND} == FOUND


def test_a_query_that_means_nothing_is_refused_by_name(api: Api) -> None:
    def named(query: str) -> list[str]:
        problem = refusal(api.client.get(f"{ASSETS}?{query}"), 422, "invalid")
        return [error["parameter"] for error in problem["errors"]]

    assert {query: named(query) for query in REFUSED} == REFUSED


def test_a_filter_may_be_repeated_as_often_as_fits(stocked: Api) -> None:
    filters = ("tag=b", "any_tag=b", "type=Other", "status=Draft", "effective_status=Degraded")
    for parameter in filters:
        found = stocked.find(parameter)
        assert stocked.find("&".join([parameter] * 2500)) == found


def test_a_walk_takes_its_parameters_as_strictly(api: Api) -> None:
    asset = api.add("a")
    for query in ("depth=1&depth=2", "depth=1_0", "depth=%D9%A1"):
        response = api.client.get(f"{ASSETS}/{asset['id']}/dependents?{query}")
        problem = refusal(response, 422, "invalid")
        assert [error["parameter"] for error in problem["errors"]] == ["depth"]


@pytest.mark.parametrize(
    ("text", "q"),
    [
        ("GRÖSSE", "größe"),
        ("Größe", "GRÖSSE"),
        ("ΜΕΓΑΣ", "μεγας"),
        ("ДАННЫЕ", "данные"),
        ("İstanbul", "i̇stanbul"),
        ("cafe\u0301", "CAFÉ"),
        ("ﬁnance", "FIN"),
        ("注文\u3000台帳", "文\u3000台"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u06cc\u200c\u062e"),
        ("50%_\\", "%_\\"),
    ],
)
def test_a_search_knows_case_in_every_alphabet(api: Api, text: str, q: str) -> None:
    api.add(text)
    described = api.add("described", description=f"the {text}")
    api.add("neither", description="other")
    found = api.client.get(ASSETS, query_string={"q": q}).json
    assert [asset["name"] for asset in found] == [text, "described"]
    api.patch(described["id"], {"description": "changed"})
    assert len(api.client.get(ASSETS, query_string={"q": q}).json) == 1


def test_a_search_does_not_match_across_name_and_description(api: Api) -> None:
    api.add("one", description="two")
    for q in ("onetwo", "one two", "one\ntwo", "e\x1ft"):
        assert api.client.get(ASSETS, query_string={"q": q}).json == []


def test_pages_say_where_they_stand_and_lead_on(stocked: Api) -> None:
    response = stocked.client.get(f"{ASSETS}?page=2&page_size=1&tag=a&sort=name")
    assert [asset["name"] for asset in response.json] == ["root"]
    assert json.loads(response.headers["X-Pagination"]) == {
        "page": 2,
        "page_size": 1,
        "total": 2,
        "more": False,
        "total_pages": 2,
        "next_cursor": None,
    }
    links = dict(reversed(link.split("; ")) for link in response.headers["Link"].split(", "))
    assert set(links) == {'rel="first"', 'rel="prev"', 'rel="last"'}
    previous = stocked.client.get(links['rel="prev"'].strip("<>"))
    assert [asset["name"] for asset in previous.json] == ["mid"]


def test_ties_stand_in_order_of_creation_so_that_no_page_repeats_one(api: Api) -> None:
    made = [api.add("same")["id"] for _ in range(7)]
    for key in ("name", "-name", "-status"):
        pages = [
            api.client.get(f"{ASSETS}?sort={key}&page_size=2&page={page}").json
            for page in (1, 2, 3, 4)
        ]
        assert [asset["id"] for page in pages for asset in page] == made


def test_a_page_costs_the_same_queries_however_many_assets_it_holds(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = api.add("root", status="Failed")
    api.add("a", root["id"], tags=["t"])
    with statements_of(database, monkeypatch) as few:
        api.find()
    for number in range(20):
        api.add(f"a{number}", root["id"], tags=["t"])
    with statements_of(database, monkeypatch) as statements:
        assert len(api.find()) == 22
    assert len(statements) == len(few)
