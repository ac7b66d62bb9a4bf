"""Drift: every declared field counts, and what the API server or others add does not."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_harness import NOW, as_stored, bot, children_of, observed
from tradingbot_api.model import JsonObject
from tradingbot_operator.drift import covers
from tradingbot_operator.plan import plan

MANIFESTS = plan(bot(), observed(), NOW).manifests
CONFIG_MAP, SERVICE, DEPLOYMENT = MANIFESTS


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that is declared, down to single values."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def live_deployment() -> JsonObject:
    return as_stored(DEPLOYMENT)


def containers(live: JsonObject) -> list[JsonObject]:
    return list(live["spec"]["template"]["spec"]["containers"])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: one["kind"])
def test_a_child_as_the_api_server_stores_it_covers_what_was_applied(manifest: JsonObject) -> None:
    assert covers(as_stored(manifest), manifest)


EDITS = [
    pytest.param(manifest, path, id=f"{manifest['kind']}:{'.'.join(map(str, path))}")
    for manifest in MANIFESTS
    for path in leaves(manifest)
    if at(manifest, path) is not None
]


@pytest.mark.parametrize(("manifest", "path"), EDITS)
def test_no_declared_field_can_be_edited_unseen(
    manifest: JsonObject, path: tuple[Any, ...]
) -> None:
    live = as_stored(manifest)
    holder = at(live, path[:-1])
    value = holder[path[-1]]
    if isinstance(value, bool):
        holder[path[-1]] = not value
    elif isinstance(value, int):
        holder[path[-1]] = value + 1
    else:
        holder[path[-1]] = f"{value}x"
    assert not covers(live, manifest)


@pytest.mark.parametrize(("manifest", "path"), EDITS)
def test_no_declared_field_can_be_removed_unseen(
    manifest: JsonObject, path: tuple[Any, ...]
) -> None:
    live = as_stored(manifest)
    del at(live, path[:-1])[path[-1]]
    assert not covers(live, manifest)


def test_what_others_add_is_theirs() -> None:
    live = live_deployment()
    live["metadata"]["labels"]["team"] = "desk-7"
    live["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "3"}
    live["metadata"]["ownerReferences"].append({"uid": "another", "kind": "Desk", "name": "d"})
    template = live["spec"]["template"]
    template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-03-01"
    containers(live)[0]["env"].insert(0, {"name": "HTTP_PROXY", "value": "http://proxy"})
    containers(live)[0]["volumeMounts"].append({"name": "ca", "mountPath": "/ca"})
    template["spec"]["containers"].insert(0, {"name": "sidecar", "image": "mesh:1"})
    template["spec"]["volumes"].append({"name": "ca", "configMap": {"name": "ca"}})
    template["spec"]["tolerations"] = [{"key": "spot"}]
    assert covers(live, DEPLOYMENT)


def test_nothing_can_be_added_to_what_finds_the_pods_or_the_credentials() -> None:
    service = as_stored(SERVICE)
    service["spec"]["selector"]["app"] = "mine"
    assert not covers(service, SERVICE)
    live = live_deployment()
    containers(live)[0]["env"][0]["valueFrom"]["secretKeyRef"]["optional"] = True
    assert not covers(live, DEPLOYMENT)


def test_the_order_of_named_items_does_not_matter() -> None:
    live = live_deployment()
    containers(live)[0]["env"].reverse()
    assert covers(live, DEPLOYMENT)


@pytest.mark.parametrize("drop", [["ALL", "NET_RAW"], ["NET_RAW"], [], None])
def test_a_list_without_names_is_compared_as_a_whole(drop: list[str] | None) -> None:
    live = live_deployment()
    containers(live)[0]["securityContext"]["capabilities"]["drop"] = drop
    assert not covers(live, DEPLOYMENT)


@pytest.mark.parametrize(
    ("declared", "live"),
    [
        ("1024Mi", "1Gi"),
        ("0.5", "500m"),
        ("1e3", "1k"),
        ("1000m", "1"),
        ("0.0001", "1m"),
        ("100u", "1m"),
        ("+2", "2"),
    ],
)
def test_a_quantity_in_another_spelling_is_the_same(declared: str, live: str) -> None:
    for name in ("cpu", "memory"):
        assert covers({name: live}, {name: declared})
        assert not covers({name: "7"}, {name: declared})


def test_text_that_only_looks_like_a_quantity_is_compared_as_text() -> None:
    assert not covers({"value": "500m"}, {"value": "0.5"})


def test_what_is_no_quantity_does_not_count_as_equal_to_another() -> None:
    assert not covers({"cpu": "many"}, {"cpu": "few"})


@pytest.mark.parametrize("live", [None, [], "text", 7, {}])
def test_a_live_value_of_another_kind_is_drift(live: Any) -> None:
    assert not covers(live, {"a": [{"name": "b"}]})
    assert not covers({"a": live}, {"a": [{"name": "b"}]})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values)
def test_everything_covers_itself(value: Any) -> None:
    assert covers(copy.deepcopy(value), value)


def test_a_settled_bot_is_covered_by_its_own_children() -> None:
    children = children_of(bot())
    live = (children.config_map, children.service, children.deployment)
    decided = plan(bot(), observed(children), NOW).manifests
    assert all(covers(one, manifest) for one, manifest in zip(live, decided, strict=True))
