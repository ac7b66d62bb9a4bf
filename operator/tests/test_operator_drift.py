"""Drift: every declared field counts, and what the API server or others add does not."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_harness import NOW, as_stored, bot, children_of, merged, observed
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.children.drift import (
    OTHERS_DATA,
    corrections,
    is_subset_of_live,
    must_replace,
    without_guarded_fields,
)
from tradingbot_operator.bots.children.guarded_fields import RULES, table
from tradingbot_operator.bots.plan import plan

MANIFESTS = plan(bot(), observed(), NOW).manifests
CONFIG_MAP, SERVICE, DEPLOYMENT = MANIFESTS


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all declared values."""
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


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_a_child_as_the_api_server_stores_it_covers_what_was_applied(manifest: JsonObject) -> None:
    assert is_subset_of_live(manifest, as_stored(manifest))


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
    assert not is_subset_of_live(manifest, live)


@pytest.mark.parametrize(("manifest", "path"), EDITS)
def test_no_declared_field_can_be_removed_unseen(
    manifest: JsonObject, path: tuple[Any, ...]
) -> None:
    live = as_stored(manifest)
    del at(live, path[:-1])[path[-1]]
    assert not is_subset_of_live(manifest, live)


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
    assert is_subset_of_live(DEPLOYMENT, live)


def test_nothing_can_be_added_to_what_finds_the_pods_or_the_credentials() -> None:
    service = as_stored(SERVICE)
    service["spec"]["selector"]["app"] = "mine"
    assert not is_subset_of_live(SERVICE, service)
    live = live_deployment()
    containers(live)[0]["env"][0]["valueFrom"]["secretKeyRef"]["optional"] = True
    assert not is_subset_of_live(DEPLOYMENT, live)


def test_the_order_of_named_items_does_not_matter() -> None:
    live = live_deployment()
    containers(live)[0]["env"].reverse()
    assert is_subset_of_live(DEPLOYMENT, live)


@pytest.mark.parametrize("drop", [["ALL", "NET_RAW"], ["NET_RAW"], [], None])
def test_a_list_without_names_is_compared_as_a_whole(drop: list[str] | None) -> None:
    live = live_deployment()
    containers(live)[0]["securityContext"]["capabilities"]["drop"] = drop
    assert not is_subset_of_live(DEPLOYMENT, live)


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
    for name in ("cpu", "memory", "example.com/gpu"):
        assert is_subset_of_live(limits(name, declared), limits(name, live))
        assert not is_subset_of_live(limits(name, declared), limits(name, "7"))


def limits(name: str, value: str) -> JsonObject:
    bot = {"name": "bot", "resources": {"limits": {name: value}}}
    return {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [bot]}}}}


def test_text_that_only_looks_like_a_quantity_is_compared_as_text() -> None:
    for name in ("value", "cpu"):
        declared, live = ({"kind": "ConfigMap", "data": {name: text}} for text in ("0.5", "500m"))
        assert not is_subset_of_live(declared, live)


def test_what_is_no_quantity_does_not_count_as_equal_to_another() -> None:
    assert not is_subset_of_live(limits("cpu", "few"), limits("cpu", "many"))


@pytest.mark.parametrize("live", [None, [], "text", 7, {}])
def test_a_live_value_of_another_kind_is_drift(live: Any) -> None:
    assert not is_subset_of_live({"a": [{"name": "b"}]}, live)
    assert not is_subset_of_live({"a": [{"name": "b"}]}, {"a": live})


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
    for kind in ("Deployment", "Thing"):
        obj = {"kind": kind, "spec": value}
        assert is_subset_of_live(obj, copy.deepcopy(obj))


def test_a_settled_bot_is_covered_by_its_own_children() -> None:
    children = children_of(bot())
    live = (children.config_map, children.service, children.deployment)
    decided = plan(bot(), observed(children), NOW).manifests
    assert all(
        is_subset_of_live(manifest, child) for child, manifest in zip(live, decided, strict=True)
    )


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_what_the_api_server_makes_of_a_manifest_needs_no_correction(manifest: JsonObject) -> None:
    for live in (manifest, as_stored(manifest)):
        assert corrections(live, manifest) is None
        assert must_replace(live, manifest) is None


def test_a_correction_removes_only_what_is_guarded() -> None:
    live = live_deployment()
    live["spec"]["minReadySeconds"] = 7
    live["spec"]["progressDeadlineSeconds"] = 900
    live["spec"]["template"]["spec"]["hostNetwork"] = True
    containers(live)[0]["readinessProbe"] = {"exec": {"command": ["false"]}}
    containers(live)[0]["command"] = ["sh"]
    containers(live).append({"name": "sidecar", "readinessProbe": {"exec": {"command": ["x"]}}})
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "mesh", "image": "mesh:1"})
    before = copy.deepcopy(live)
    patch = corrections(live, DEPLOYMENT)
    assert live == before
    assert patch is not None
    assert set(patch["spec"]) == {"minReadySeconds", "template"}
    assert patch["metadata"] == {"resourceVersion": "1"}
    after = merged(live, patch)
    mesh, own = containers(after)[:2]
    assert mesh == {"name": "mesh", "image": "mesh:1"}
    assert own == {
        key: value for key, value in before_own(before).items() if key != "readinessProbe"
    }
    assert after["spec"]["progressDeadlineSeconds"] == 900
    assert after["spec"]["template"]["spec"]["hostNetwork"]


def before_own(live: JsonObject) -> JsonObject:
    return next(container for container in containers(live) if container["name"] == "bot")


def test_a_correction_without_lists_can_be_no_conflict() -> None:
    live = live_deployment()
    live["spec"] |= {"minReadySeconds": 7, "paused": True}
    assert corrections(live, DEPLOYMENT) == {"spec": {"minReadySeconds": None, "paused": None}}


def test_a_paused_deployment_stays_so_until_the_rest_is_as_declared() -> None:
    live = live_deployment()
    live["spec"] |= {"minReadySeconds": 7, "paused": True, "replicas": 0}
    assert corrections(live, DEPLOYMENT) == {"spec": {"minReadySeconds": None}}
    # What the correction itself restores counts.
    live = live_deployment()
    live["spec"]["paused"] = True
    containers(live)[0]["env"][0]["valueFrom"]["secretKeyRef"]["optional"] = True
    patch = corrections(live, DEPLOYMENT)
    assert patch is not None
    assert patch["spec"]["paused"] is None


@pytest.mark.parametrize(
    ("size", "stays"), [(OTHERS_DATA - len("other"), True), (OTHERS_DATA, False)]
)
def test_keys_of_others_stay_while_there_is_room(size: int, *, stays: bool) -> None:
    live = as_stored(CONFIG_MAP)
    live["data"]["other"] = "x" * size
    patch = corrections(live, CONFIG_MAP)
    assert patch == (None if stays else {"data": {"other": None}})


def test_a_volume_with_another_source_is_put_back_as_a_whole() -> None:
    live = live_deployment()
    volumes = live["spec"]["template"]["spec"]["volumes"]
    volumes[0] = {"name": "config", "emptyDir": {}}
    patch = corrections(live, DEPLOYMENT)
    assert patch is not None
    declared = DEPLOYMENT["spec"]["template"]["spec"]["volumes"]
    assert patch["spec"]["template"]["spec"]["volumes"] == [declared[0], volumes[1]]


def test_the_page_about_drift_has_the_rules() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "drift.md"
    assert f"\n{table()}\n" in page.read_text(encoding="utf-8")


def test_a_declared_field_is_never_guarded() -> None:
    declared = copy.deepcopy(DEPLOYMENT)
    declared["spec"]["template"]["spec"]["schedulerName"] = "ours"
    assert corrections(as_stored(declared), declared) is None
    live = as_stored(declared)
    live["spec"]["template"]["spec"]["schedulerName"] = "theirs"
    assert corrections(live, declared) is None
    assert not is_subset_of_live(declared, live)


def test_a_live_template_can_be_declared_again_without_what_is_guarded() -> None:
    live = live_deployment()
    template = copy.deepcopy(live["spec"]["template"])
    edited = live["spec"]["template"]
    edited["spec"] |= {"readinessGates": [{"conditionType": "x.io/y"}], "nodeName": "nowhere"}
    containers(live)[0]["lifecycle"] = {"postStart": {"exec": {"command": ["sleep"]}}}
    containers(live)[0]["command"] = ["sh"]
    before = copy.deepcopy(edited)
    cleaned = without_guarded_fields(edited)
    assert edited == before
    assert cleaned["spec"]["containers"][0].pop("command") == ["sh"]
    template["spec"].pop("schedulerName")
    cleaned["spec"].pop("schedulerName", None)
    assert cleaned == template


WHERE = sorted(
    {
        *(tuple(rule.path.replace("[]", ".0").split(".")) for rule in RULES),
        *(tuple(map(str, path)) for manifest in MANIFESTS for path in leaves(manifest)),
    }
)


def put(value: Any, path: tuple[str, ...], new: Any) -> None:
    """Set the value at a path, if the path exists."""
    for step in path[:-1]:
        if isinstance(value, dict):
            value = value.setdefault(step, {})
        elif isinstance(value, list) and value:
            value = value[0]
    if isinstance(value, dict):
        value[path[-1]] = new
    elif isinstance(value, list):
        value.append(new)


mutations = st.lists(
    st.tuples(
        st.sampled_from(WHERE).flatmap(
            lambda path: st.integers(1, len(path)).map(lambda length: path[:length])
        ),
        json_values
        | st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["bot", "http", "config", "x"])},
                optional={"value": json_values, "mountPath": json_values, "port": json_values},
            ),
            max_size=3,
        ),
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(MANIFESTS), mutations)
def test_after_its_correction_a_child_needs_none(
    manifest: JsonObject, edits: list[tuple[tuple[str, ...], Any]]
) -> None:
    live = as_stored(manifest)
    for path, value in edits:
        put(live, path, copy.deepcopy(value))
    before = copy.deepcopy(live)
    patch = corrections(live, manifest)
    must_replace(live, manifest)
    is_subset_of_live(manifest, live)
    assert live == before
    if patch is not None:
        assert corrections(merged(live, patch), manifest) is None
