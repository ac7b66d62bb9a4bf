"""Children are compared as the API server merges them: by the keys of its own schema."""

import copy
from typing import Any

import pytest
from codegen.built_in_types import table
from operator_harness import NOW, as_stored, bot, observed
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.children.built_in_types import at
from tradingbot_operator.bots.children.differences import differences
from tradingbot_operator.bots.plan import plan

DEPLOYMENT = plan(bot(), observed(), NOW).manifests[2]
POD = "spec.template.spec"


def pod(**fields: Any) -> JsonObject:
    return {"kind": "Deployment", "spec": {"template": {"spec": fields}}}


def container(**fields: Any) -> JsonObject:
    return pod(containers=[{"name": "bot", **fields}])


def paths(declared: JsonObject, live: JsonObject) -> list[str]:
    return [found.path for found in differences(declared, live)]


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (f"{POD}.containers", ("name",)),
        (f"{POD}.containers[].env", ("name",)),
        (f"{POD}.containers[].volumeMounts", ("mountPath",)),
        (f"{POD}.containers[].volumeDevices", ("devicePath",)),
        (f"{POD}.containers[].ports", ("containerPort", "protocol")),
        (f"{POD}.containers[].envFrom", None),
        (f"{POD}.containers[].securityContext.capabilities.drop", None),
        (f"{POD}.topologySpreadConstraints", ("topologyKey", "whenUnsatisfiable")),
        (f"{POD}.tolerations", None),
        (f"{POD}.hostAliases", ("ip",)),
        (f"{POD}.imagePullSecrets", ("name",)),
        ("metadata.ownerReferences", ("uid",)),
        ("metadata.finalizers", ()),
    ],
)
def test_the_table_has_the_keys_of_each_list(path: str, keys: tuple[str, ...] | None) -> None:
    assert at("Deployment", path).keys == keys


def test_a_second_mount_of_a_declared_volume_is_no_difference() -> None:
    live = as_stored(DEPLOYMENT)
    mounts = live["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    for place in (0, len(mounts) + 1):
        mounts.insert(place, {"name": "config", "mountPath": f"/elsewhere/{place}"})
    assert paths(DEPLOYMENT, live) == []


@pytest.mark.parametrize("part", ["labels", "annotations"])
@pytest.mark.parametrize("live", [{}, {"other": "a"}, None])
def test_a_key_with_an_empty_value_is_not_the_same_as_no_key(part: str, live: Any) -> None:
    declared = {"kind": "Deployment", "metadata": {part: {"team": ""}}}
    found = paths(declared, {"kind": "Deployment", "metadata": {part: live}})
    assert found == [f"metadata.{part}" if live is None else f"metadata.{part}.team"]


TERM = {"key": "a", "operator": "Exists"}


@pytest.mark.parametrize(
    ("declared", "live"),
    [
        (
            {"labelSelector": {"matchLabels": {"a": ""}, "matchExpressions": []}},
            {"labelSelector": {"matchLabels": {"a": ""}}},
        ),
        (
            {"labelSelector": {"matchExpressions": [{**TERM, "values": []}], "matchLabels": {}}},
            {"labelSelector": {"matchExpressions": [TERM]}},
        ),
    ],
    ids=["no expressions", "no labels and values"],
)
def test_empty_lists_and_maps_in_a_selector_are_left_out_by_the_api_server(
    declared: JsonObject, live: JsonObject
) -> None:
    def spread(selector: JsonObject) -> JsonObject:
        return pod(topologySpreadConstraints=[{"topologyKey": "zone", **selector}])

    assert paths(spread(declared), spread(live)) == []
    assert len(paths(spread(declared), spread({"labelSelector": {}}))) == 1


def test_and_so_they_are_in_a_term_for_nodes() -> None:
    def required(term: JsonObject) -> JsonObject:
        terms = {"nodeSelectorTerms": [term]}
        affinity = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        return pod(affinity={"nodeAffinity": affinity})

    declared = required({"matchExpressions": [{**TERM, "values": []}], "matchFields": []})
    assert paths(declared, required({"matchExpressions": [TERM]})) == []
    for other in ({"matchExpressions": [{**TERM, "key": "b"}]}, {"matchExpressions": []}, {}):
        assert len(paths(declared, required(other))) == 1


def test_an_empty_value_in_a_node_selector_is_not_left_out() -> None:
    worker = pod(nodeSelector={"worker": "", "a": "b"})
    assert len(paths(worker, pod(nodeSelector={"a": "b"}))) == 1


# Each list of maps, with a declared item and another that differs in its keys alone.
KEYED: dict[str, tuple[JsonObject, JsonObject]] = {
    "volumeMounts": ({"mountPath": "/a", "name": "v"}, {"mountPath": "/b", "name": "v"}),
    "ports": (
        {"containerPort": 1, "protocol": "TCP", "name": "x"},
        {"containerPort": 1, "protocol": "UDP", "name": "x"},
    ),
    "env": ({"name": "A", "value": "1"}, {"name": "B", "value": "1"}),
    "volumeDevices": ({"devicePath": "/a", "name": "v"}, {"devicePath": "/b", "name": "v"}),
}


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize("first", [True, False])
def test_items_of_others_are_no_difference_wherever_they_stand(name: str, first: bool) -> None:
    own, other = KEYED[name]
    both = [other, own] if first else [own, other]
    assert paths(container(**{name: [own]}), container(**{name: both})) == []


@pytest.mark.parametrize("name", KEYED)
def test_a_declared_item_that_is_gone_is_named_by_its_keys(name: str) -> None:
    own, other = KEYED[name]
    (path,) = paths(container(**{name: [own]}), container(**{name: [other]}))
    keys = at("Deployment", f"{POD}.containers[].{name}").keys
    named = ",".join(f"{key}={own[key]}" for key in sorted(keys or ()))
    assert path == f"{POD}.containers[name=bot].{name}[{named}]"


def test_the_protocol_of_a_port_is_tcp_if_nobody_says_so() -> None:
    declared = container(ports=[{"containerPort": 8080}])
    assert paths(declared, container(ports=[{"containerPort": 8080, "protocol": "TCP"}])) == []
    assert paths(declared, container(ports=[{"containerPort": 8080, "protocol": "UDP"}]))


def test_an_atomic_list_is_one_difference() -> None:
    drop = container(securityContext={"capabilities": {"drop": ["ALL"]}})
    more = container(securityContext={"capabilities": {"drop": ["ALL", "NET_RAW"]}})
    assert paths(drop, more) == [f"{POD}.containers[name=bot].securityContext.capabilities.drop"]


def test_an_atomic_map_has_no_fields_of_others_but_those_that_the_api_server_adds() -> None:
    ours, theirs = {"app": "a"}, {"app": "a", "more": "b"}
    service = [{"kind": "Service", "spec": {"selector": chosen}} for chosen in (ours, theirs)]
    assert paths(*service) == ["spec.selector"]
    ref = {"fieldPath": "status.podIP"}
    filled = {"apiVersion": "v1", **ref}
    variables = [
        container(env=[{"name": "A", "valueFrom": {"fieldRef": r}}]) for r in (ref, filled)
    ]
    assert paths(*variables) == []
    assert paths(*reversed(variables))


@pytest.mark.parametrize(
    ("declared", "same"),
    [
        (pod(hostNetwork=False), True),
        (pod(automountServiceAccountToken=False), False),
        (pod(hostUsers=False), False),
        (pod(priorityClassName=""), True),
        (pod(tolerations=[]), True),
        (pod(nodeSelector={}), False),
        (pod(overhead={}), True),
        (pod(affinity={}), False),
        (container(env=[{"name": "A", "value": ""}]), False),
        (container(securityContext={"allowPrivilegeEscalation": False}), False),
    ],
    ids=str,
)
def test_a_value_that_the_api_server_leaves_out_is_no_difference(
    declared: JsonObject, same: bool
) -> None:
    assert (paths(declared, container() if "containers" in str(declared) else pod()) == []) is same


def test_an_empty_variable_is_as_declared() -> None:
    declared, live = container(env=[{"name": "A", "value": ""}]), container(env=[{"name": "A"}])
    assert paths(declared, live) == []


def test_a_missing_replica_count_is_a_difference() -> None:
    for count in (0, 1):
        assert paths({"kind": "Deployment", "spec": {"replicas": count}}, {"spec": {}})


@pytest.mark.parametrize("garbage", [None, 7, "text", [], ["x"], {"a": 1}, [{"name": {}}], [[1]]])
def test_no_live_value_makes_the_comparison_fail(garbage: Any) -> None:
    def spoilt(obj: Any) -> list[Any]:
        if not isinstance(obj, dict | list):
            return []
        places: list[Any] = list(obj) if isinstance(obj, dict) else list(range(len(obj)))
        found = []
        for place in places:
            changed = copy.copy(obj)
            changed[place] = garbage
            found.append(changed)
            for inner in spoilt(obj[place]):
                changed = copy.copy(obj)
                changed[place] = inner
                found.append(changed)
        return found

    live = as_stored(DEPLOYMENT)
    variants = spoilt(live)
    assert len(variants) > 100
    for variant in variants:
        list(differences(DEPLOYMENT, variant))


# ---- the generator


def schema(name: str, **properties: JsonObject) -> JsonObject:
    return {name: {"type": "object", "properties": properties}}


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({}, None),
        ({"x-kubernetes-list-type": "atomic"}, None),
        ({"x-kubernetes-list-type": "set"}, []),
        ({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"]}, ["a", "b"]),
        ({"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "k"}, ["k"]),
        (
            {
                "x-kubernetes-patch-strategy": "merge,retainKeys",
                "x-kubernetes-patch-merge-key": "k",
            },
            ["k"],
        ),
        ({"x-kubernetes-patch-strategy": "merge"}, []),
        ({"x-kubernetes-patch-strategy": "retainKeys"}, None),
        (
            {
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
                "x-kubernetes-patch-strategy": "merge",
                "x-kubernetes-patch-merge-key": "k",
            },
            ["a"],
        ),
    ],
    ids=str,
)
def test_the_keys_of_a_list_are_found_as_the_api_server_finds_them(
    extensions: JsonObject, expected: list[str] | None
) -> None:
    items = {"type": "array", "items": {"type": "string"}, **extensions}
    kinds = ("core.v1.ConfigMap", "core.v1.Service", "core.v1.PersistentVolumeClaim")
    others = (*kinds, "networking.v1.NetworkPolicy")
    schemas: JsonObject = schema("io.k8s.api.apps.v1.Deployment", things=items)
    for name in others:
        schemas |= schema(f"io.k8s.api.{name}")
    found = table([{"components": {"schemas": schemas}}])["types"]
    assert found["io.k8s.api.apps.v1.Deployment"]["things"].get("keys") == expected
