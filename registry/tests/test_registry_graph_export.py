"""The graph as JSON, for Graphviz and for Mermaid."""

import itertools
from typing import Any

import pytest
from registry_harness import ASSETS, Api, refusal

GRAPH = "/api/v1/graph"


def graph(api: Api, query: str = "") -> Any:
    response = api.client.get(f"{GRAPH}?{query}")
    assert response.status_code == 200, response.text
    return response.json


def names(api: Api, query: str = "") -> list[str]:
    return [node["name"] for node in graph(api, query)["nodes"]]


@pytest.fixture
def chain(api: Api) -> list[Any]:
    """Each asset needs the one before it; another one stands alone."""
    found = [api.add("a0")]
    for number in range(1, 5):
        found.append(api.add(f"a{number}", found[-1]["id"]))
    api.add("alone")
    return found


def test_the_whole_graph_has_all_assets_and_edges(api: Api, chain: list[Any]) -> None:
    found = graph(api)
    assert [node["name"] for node in found["nodes"]] == ["a0", "a1", "a2", "a3", "a4", "alone"]
    assert found["edges"] == [
        {"source": src["id"], "target": dst["id"]} for dst, src in itertools.pairwise(chain)
    ]
    assert found["truncated"] is False


def test_what_is_around_an_asset_is_shown_nearest_first(api: Api, chain: list[Any]) -> None:
    root = f"root={chain[2]['id']}"
    assert names(api, root) == ["a2", "a1", "a3", "a0", "a4"]
    assert names(api, f"{root}&depth=1") == ["a2", "a1", "a3"]
    assert names(api, f"{root}&direction=dependencies") == ["a2", "a1", "a0"]
    assert names(api, f"{root}&direction=dependents") == ["a2", "a3", "a4"]
    part = graph(api, f"{root}&limit=2")
    assert [node["name"] for node in part["nodes"]] == ["a2", "a1"]
    assert part["edges"] == [{"source": chain[2]["id"], "target": chain[1]["id"]}]
    assert part["truncated"] is True
    assert graph(api, "limit=2")["truncated"] is True


def test_the_dependencies_of_a_picture_are_bounded(
    api: Api, chain: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = graph(api)
    for most in (4, 3):
        monkeypatch.setattr("tradingbot_registry.inventory.picture.MAX_EDGES", most)
        assert graph(api) == {**whole, "edges": whole["edges"][:most], "truncated": most < 4}


def test_a_graph_that_means_nothing_is_refused(api: Api, chain: list[Any]) -> None:
    for query, parameter in (
        ("depth=1", "depth"),
        ("direction=dependents", "direction"),
        ("root=x", "root"),
        ("format=svg", "format"),
        ("limit=5001", "limit"),
    ):
        problem = refusal(api.client.get(f"{GRAPH}?{query}"), 422, "invalid")
        assert problem["errors"][0]["parameter"] == parameter
    api.client.delete(f"{ASSETS}/{chain[-1]['id']}")
    refusal(api.client.get(f"{GRAPH}?root={chain[-1]['id']}"), 404, "asset-not-found")


def test_graphviz_and_mermaid_get_text_that_no_name_can_break(api: Api) -> None:
    hostile = 'a"]; x -> y; \\N <b> & "] --> z #quot;'
    target = api.add(hostile, status="Failed")
    source = api.add("source", target["id"])
    drawn = api.client.get(f"{GRAPH}?format=dot")
    assert drawn.content_type == "text/vnd.graphviz; charset=utf-8"
    label = 'a\\"]; x -> y; \\\\N <b> &amp; \\"] --> z #quot;\\nOther\\nFailed'
    assert drawn.text.splitlines() == [
        "digraph assets {",
        "  rankdir=LR;",
        "  node [shape=box, style=filled];",
        f'  "{target["id"]}" [label="{label}", fillcolor="#f6d0d0"];',
        f'  "{source["id"]}" [label="source\\nOther\\nDraft", fillcolor="#ffffff"];',
        f'  "{source["id"]}" -> "{target["id"]}";',
        "}",
    ]
    drawn = api.client.get(f"{GRAPH}?format=mermaid&limit=1")
    assert drawn.content_type == "text/vnd.mermaid; charset=utf-8"
    lines = drawn.text.splitlines()
    assert lines[0] == "flowchart LR"
    assert lines[1].startswith('  n0["a#34;#93;#59; x -#62; y')
    assert lines[1].endswith('<br>Other<br>Failed"]:::Failed')
    assert lines[2] == '  more["there is more"]'
    assert "  n1 --> n0" in api.client.get(f"{GRAPH}?format=mermaid").text.splitlines()
