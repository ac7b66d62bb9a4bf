"""The fields that others have added, by managedFields that they may write themselves."""

import json
from collections.abc import ItemsView
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster.reading.foreign_fields import (
    FOREIGN_FIELDS,
    MAX_MESSAGE,
    MAX_PATH,
    MAX_PATHS,
    MAX_STEPS,
    NOT_RECORDED,
    UNREADABLE_FIELDS,
    foreign_fields,
    foreign_message,
    note_foreign_fields,
)

BOT = 'k:{"name":"bot"}'


def entry(manager: str, fields: Any, *, operation: str = "Update", subresource: str = "") -> Any:
    made = {"manager": manager, "operation": operation, "fieldsV1": fields}
    return {**made, "subresource": subresource} if subresource else made


def in_pod(fields: JsonObject) -> JsonObject:
    return {"f:spec": {"f:template": {"f:spec": fields}}}


OURS = entry(
    "tradingbot-operator",
    {
        "f:metadata": {"f:ownerReferences": {'k:{"uid":"u"}': {}}},
        **in_pod(
            {
                "f:containers": {
                    BOT: {
                        ".": {},
                        "f:image": {},
                        "f:ports": {'k:{"containerPort":8080,"protocol":"TCP"}': {}},
                    }
                }
            }
        ),
    },
    operation="Apply",
)


def child(*entries: Any, metadata: JsonObject | None = None, **pod: Any) -> JsonObject:
    container = {"name": "bot", "image": "i", "command": ["sh"], "ports": [{"containerPort": 8080}]}
    spec = {"containers": [container, {"name": "mesh", "image": "m"}], **pod}
    return {
        "kind": "Deployment",
        "metadata": {**(metadata or {}), "managedFields": [OURS, *entries]},
        "spec": {"template": {"spec": spec, "metadata": {"annotations": {"a.io/b": "c"}}}},
    }


def test_fields_that_only_others_have_set_are_listed_as_kubectl_explain_spells_them() -> None:
    theirs = {
        "f:metadata": {"f:labels": {"f:team": {}}, "f:annotations": {".": {}, "f:x": {}}},
        **in_pod(
            {
                "f:hostNetwork": {},
                "f:affinity": {"f:nodeAffinity": {"f:deep": {}}},
                "f:containers": {
                    BOT: {"f:command": {}, "f:image": {}},
                    'k:{"name":"mesh"}': {".": {}, "f:name": {}, "f:image": {}},
                },
            }
        ),
    }
    theirs["f:spec"]["f:template"]["f:metadata"] = {"f:annotations": {"f:a.io/b": {}}}
    ours = json.loads(json.dumps(OURS))
    ours["fieldsV1"]["f:spec"]["f:template"]["f:metadata"] = {"f:annotations": {"f:hash": {}}}
    obj = child(
        ours,
        entry("kubectl-edit", theirs),
        hostNetwork=True,
        affinity={"nodeAffinity": {"deep": 1}},
        metadata={"labels": {"team": "x"}, "annotations": {"x": "y"}},
    )
    assert foreign_fields(obj) == (
        "spec.template.metadata.annotations[a.io/b]",
        "spec.template.spec.affinity",
        "spec.template.spec.containers[name=bot].command",
        "spec.template.spec.containers[name=mesh]",
        "spec.template.spec.hostNetwork",
    )


def test_owners_and_finalizers_of_others_are_listed() -> None:
    theirs = {
        "f:metadata": {
            "f:ownerReferences": {'k:{"uid":"v"}': {}, 'k:{"uid":"u"}': {}},
            "f:finalizers": {".": {}, 'v:"x.io/y"': {}},
        }
    }
    owners = [{"uid": "u"}, {"uid": "v"}]
    obj = child(entry("x", theirs), metadata={"ownerReferences": owners, "finalizers": ["x.io/y"]})
    assert foreign_fields(obj) == ("metadata.finalizers", "metadata.ownerReferences[uid=v]")


@pytest.mark.parametrize("subresource", ["status", "scale"])
def test_what_is_written_of_a_subresource_is_not_foreign(subresource: str) -> None:
    theirs = {"f:spec": {"f:replicas": {}}, "f:status": {"f:x": {}}}
    obj = child(entry("x", theirs, subresource=subresource))
    obj["spec"]["replicas"] = 1
    assert foreign_fields(obj) == ()


def test_a_status_is_not_foreign_whatever_its_entry_says() -> None:
    revision = {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}}
    obj = child(entry("kube-controller-manager", {**revision, "f:status": {"f:replicas": {}}}))
    obj["status"] = {"replicas": 1}
    obj["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    assert foreign_fields(obj) == ()


def test_our_own_merge_patches_are_ours() -> None:
    own = entry("tradingbot-operator", in_pod({"f:hostNetwork": {}}))
    theirs = entry("x", in_pod({"f:hostNetwork": {}}))
    assert foreign_fields(child(own, hostNetwork=True)) == ()
    assert foreign_fields(child(own, theirs, hostNetwork=True)) == ()


@pytest.mark.parametrize(
    ("name", "filled_in", "added"),
    [
        ("dnsPolicy", "ClusterFirst", "None"),
        ("schedulerName", "default-scheduler", "other"),
        ("securityContext", {}, {"runAsUser": 0}),
    ],
)
def test_what_the_api_server_fills_in_is_not_foreign(name: str, filled_in: Any, added: Any) -> None:
    """A tool that restores an object is recorded as the owner of all of it."""
    theirs = entry("velero", in_pod({f"f:{name}": {}}))
    assert foreign_fields(child(theirs, **{name: filled_in})) == ()
    assert foreign_fields(child(theirs, **{name: added})) == (f"spec.template.spec.{name}",)


def test_a_field_that_is_not_there_is_not_foreign() -> None:
    assert foreign_fields(child(entry("x", in_pod({"f:hostNetwork": {}})))) == ()


@pytest.mark.parametrize("managed", [None, [], [entry("x", in_pod({"f:hostPID": {}}))]])
def test_a_record_without_us_is_said(managed: Any) -> None:
    obj = child(hostPID=True)
    obj["metadata"]["managedFields"] = managed
    assert foreign_fields(obj) == (NOT_RECORDED,)


@pytest.mark.parametrize(
    "managed",
    [
        7,
        "text",
        [7],
        [OURS, entry("x", 7)],
        [OURS, entry("x", {"f:spec": 7})],
        [OURS, entry("x", {"f:spec": {"nothing": {}}})],
        [OURS, entry("x", in_pod({"f:containers": {"k:{": {}}}))],
        [OURS, entry("x", in_pod({"f:containers": {"k:7": {}}}))],
        [OURS, entry("x", in_pod({"f:containers": {"k:" + "[" * 600 + "]" * 600: {}}}))],
        [OURS, *[entry("x", {})] * 100],
        [OURS, entry("x", {"f:" + "x" * 1000: {}})],
    ],
)
def test_a_record_that_is_none_is_said(managed: Any) -> None:
    obj = child()
    obj["metadata"]["managedFields"] = managed
    assert foreign_fields(obj) == (UNREADABLE_FIELDS,)


def test_paths_are_cut_and_have_no_control_characters() -> None:
    names = {"\x1b[2J\n": "x", "y" * 300: "x", "z" * 200: "x"}
    theirs = {f"f:{name}": {} for name in names}
    obj = {"data": names, "metadata": {}}
    own = entry("tradingbot-operator", {"f:data": {"f:own": {}}}, operation="Apply")
    obj["metadata"] = {"managedFields": [own, entry("x", {"f:data": theirs})]}
    found = foreign_fields(obj)
    assert found[0] == "data." + "y" * (MAX_PATH - 8) + "..."
    assert found[2] == "data[?[2J?]"
    assert [len(path) for path in found] == [MAX_PATH, MAX_PATH, 11]


def test_many_paths_are_cut() -> None:
    names = [f"n{number:03}" for number in range(500)]
    fields = {f"f:{name}": {} for name in names}
    obj = child(entry("x", in_pod(fields)), **dict.fromkeys(names, 1))
    assert foreign_fields(obj) == tuple(f"spec.template.spec.{name}" for name in names[:MAX_PATHS])


class Counted(dict[str, Any]):
    """Counts the fields that are read."""

    count = 0

    def items(self) -> ItemsView[str, Any]:
        def counted() -> Any:
            for pair in super(Counted, self).items():
                Counted.count += 1
                yield pair

        return counted()  # type: ignore[return-value]


def test_the_work_on_a_record_is_bounded() -> None:
    Counted.count = 0
    fields = Counted({f"f:x{number}": {} for number in range(100_000)})
    assert foreign_fields(child(entry("x", fields))) == (UNREADABLE_FIELDS,)
    assert Counted.count <= MAX_STEPS + 1


def test_the_work_of_finding_list_items_is_bounded() -> None:
    Counted.count = 0
    items = Counted({f'k:{{"name":"x{number}"}}': {} for number in range(5000)})
    obj = child(entry("x", in_pod({"f:containers": items})))
    obj["spec"]["template"]["spec"]["containers"] *= 500
    assert foreign_fields(obj) == (UNREADABLE_FIELDS,)
    assert Counted.count * len(obj["spec"]["template"]["spec"]["containers"]) <= 2 * MAX_STEPS


def test_a_record_of_any_depth_is_read_without_recursion() -> None:
    fields: JsonObject = {}
    live: JsonObject = {}
    for _ in range(100_000):
        fields, live = {"f:x": fields}, {"x": live}
    own = entry("tradingbot-operator", fields, operation="Apply")
    obj = {**live, "metadata": {"managedFields": [own, entry("x", fields)]}}
    assert foreign_fields(obj) == (UNREADABLE_FIELDS,)
    obj = child(entry("x", fields), x=live)
    assert foreign_fields(obj) == ()


class Untouchable(dict[str, Any]):
    """Fails if it is read."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the fields is not needed")


def test_the_fields_of_a_child_that_nobody_has_changed_are_not_even_looked_at() -> None:
    own = entry("tradingbot-operator", Untouchable(x=1), operation="Apply")
    status = entry("kube-controller-manager", Untouchable(x=1), subresource="status")
    assert foreign_fields({"metadata": {"managedFields": [own, status]}}) == ()


def test_what_was_found_is_kept_in_the_child_when_the_record_is_dropped() -> None:
    obj = child(entry("x", in_pod({"f:hostPID": {}})), hostPID=True)
    note_foreign_fields(obj)
    assert obj[FOREIGN_FIELDS] == ["spec.template.spec.hostPID"]
    del obj["metadata"]["managedFields"]
    note_foreign_fields(obj)
    assert obj[FOREIGN_FIELDS] == ["spec.template.spec.hostPID"]


def test_a_child_to_which_nothing_was_added_is_not_taken_for_one_without_a_record() -> None:
    obj = child()
    note_foreign_fields(obj)
    del obj["metadata"]["managedFields"]
    note_foreign_fields(obj)
    assert obj[FOREIGN_FIELDS] == []


def test_only_children_are_noted() -> None:
    obj = {**child(entry("x", in_pod({"f:hostPID": {}})), hostPID=True), "kind": "TradingBot"}
    note_foreign_fields(obj)
    assert FOREIGN_FIELDS not in obj


def test_the_message_names_each_child_and_is_cut_between_paths() -> None:
    deployment = {"kind": "Deployment", FOREIGN_FIELDS: ["spec.a", "spec.b"]}
    service = {"kind": "Service", FOREIGN_FIELDS: ["spec.c"]}
    assert foreign_message([None, {"kind": "ConfigMap"}]) == ""
    assert foreign_message([deployment, service]) == "Deployment: spec.a, spec.b; Service: spec.c"
    deployment[FOREIGN_FIELDS] = [f"{number:02}" + "x" * 198 for number in range(20)]
    message = foreign_message([deployment, service])
    assert message.endswith("x, ...")
    assert message.count("x, ") == 4
    assert len(message) <= MAX_MESSAGE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from(["x", "y"]), inner, max_size=3)
    ),
    max_leaves=12,
)
record_keys = (
    st.sampled_from([".", "f:x", "f:y", "f:metadata", 'k:{"x":1}', "k:[", 'v:"y"', "v:{}", "i:0"])
    | st.text(max_size=3)
    | json_values.map(lambda value: f"k:{json.dumps(value)}")
)
records = st.recursive(
    st.just({}) | json_values,
    lambda inner: st.dictionaries(record_keys, inner, max_size=4),
    max_leaves=20,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "manager": st.sampled_from(["tradingbot-operator", "kubectl"]) | json_values,
        "operation": st.sampled_from(["Apply", "Update"]) | json_values,
        "subresource": st.sampled_from(["", "status"]) | json_values,
        "fieldsV1": records,
    },
)


@settings(deadline=None, max_examples=100)
@given(json_values, st.lists(entries, max_size=4) | json_values, st.booleans())
def test_no_record_whatever_is_an_error(obj: Any, managed: Any, own: bool) -> None:
    if isinstance(obj, dict):
        if own and isinstance(managed, list):
            fields = {"f:x": {"f:y": {}, 'k:{"x":1}': {"f:x": {}}}}
            managed = [*managed, entry("tradingbot-operator", fields, operation="Apply")]
        obj["metadata"] = {"managedFields": managed}
    found = foreign_fields(obj)
    assert len(found) <= MAX_PATHS
    assert all(len(path) <= MAX_PATH for path in found)
    assert list(found) == sorted(found)
    if isinstance(obj, dict):
        note_foreign_fields(obj)
