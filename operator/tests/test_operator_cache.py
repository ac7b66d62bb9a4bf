"""The cache keeps the newest version of an object, and brings no deleted object back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster import cache as store_module
from tradingbot_operator.cluster.cache import Store


def thing(version: int, *, uid: str = "u1", name: str = "a", **parts: Any) -> JsonObject:
    meta = {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version)}
    return {"kind": "Thing", "metadata": meta, **parts}


def version(store: Store, name: str = "a") -> int | None:
    found = store.get("Thing", "n", name)
    return None if found is None else int(found["metadata"]["resourceVersion"])


def test_the_newest_version_stays_in_whatever_order_they_come() -> None:
    store = Store()
    for number in (2, 10, 9):
        store.put(thing(number))
    assert version(store) == 10


def test_a_late_answer_does_not_bring_back_what_is_gone() -> None:
    store = Store()
    store.put(thing(5))
    store.remove(thing(7))
    store.put(thing(6))
    assert version(store) is None


def test_a_deletion_that_comes_first_is_remembered() -> None:
    store = Store()
    store.remove(thing(7))
    store.put(thing(6))
    assert version(store) is None


def test_one_that_had_only_left_the_watch_is_taken_up_again() -> None:
    store = Store()
    store.put(thing(5))
    # A watch by label says DELETED of an object that has lost its label, at the version of that.
    store.remove(thing(7))
    store.put(thing(8))
    assert version(store) == 8
    store.remove(thing(9))
    assert version(store) is None


def test_a_late_deletion_leaves_the_successor_of_the_same_name() -> None:
    store = Store()
    store.put(thing(5))
    store.put(thing(9, uid="u2"))
    store.remove(thing(7))
    assert version(store) == 9


def test_the_successor_of_the_same_name_is_kept_after_a_deletion() -> None:
    store = Store()
    store.put(thing(5))
    store.remove(thing(6))
    store.put(thing(8, uid="u2"))
    assert version(store) == 8


def test_the_caller_s_object_is_not_changed_and_bookkeeping_is_not_kept() -> None:
    store, given_object = Store(), thing(1)
    given_object["metadata"]["managedFields"] = [{"manager": "someone"}]
    store.put(given_object)
    assert "managedFields" in given_object["metadata"]
    found = store.get("Thing", "n", "a")
    assert found is not None
    assert "managedFields" not in found["metadata"]


def test_objects_are_listed_by_kind_and_the_list_survives_a_change() -> None:
    store = Store()
    store.put(thing(1))
    store.put(thing(2, name="b", uid="u2"))
    store.put({**thing(3, uid="u3"), "kind": "Other"})
    for key in store.keys("Thing"):
        store.remove(thing(4, name=key[1], uid="u1" if key[1] == "a" else "u2"))
    assert list(store.objects("Thing")) == []
    assert list(store.keys("Other")) == [("n", "a")]


def test_deletions_are_not_remembered_for_ever(monkeypatch: Any) -> None:
    monkeypatch.setattr(store_module, "DELETED_MEMORY", 3)
    store = Store()
    for number in range(10):
        store.remove(thing(number, uid=f"u{number}"))
    assert len(store._deleted) == 3
    store.put(thing(5, uid="u9"))
    assert version(store) is None


@settings(deadline=None)
@given(st.permutations(range(1, 8)))
def test_any_order_of_the_events_of_an_object_ends_in_its_last_state(order: list[int]) -> None:
    store = Store()
    for number in order:
        if number == 7:
            store.remove(thing(7))
        else:
            store.put(thing(number))
    assert version(store) is None


def test_only_what_was_not_known_is_news() -> None:
    store = Store()
    assert [store.put(thing(number)) for number in (2, 2, 3, 1)] == [True, False, True, False]
    store.remove(thing(4))
    assert not store.put(thing(3))


def test_objects_are_counted_by_phase() -> None:
    store = Store()
    for number, phase in enumerate(("Running", "Running", "Paused"), start=1):
        store.put(thing(number, name=f"n{number}", status={"phase": phase}))
    store.put(thing(9, name="new"))
    assert store.phases("Thing") == {"Running": 2, "Paused": 1, "": 1}


def test_a_write_of_the_status_declares_nothing_and_an_annotation_does() -> None:
    store = Store()
    store.put(thing(1))
    before = store.declared("Thing", "n", "a")
    store.put(thing(2, status={"phase": "Running"}))
    assert store.declared("Thing", "n", "a") == before
    for number, change in enumerate(
        (
            {"generation": 2},
            {"annotations": {"trading.io/rollout": "b"}},
            {"deletionTimestamp": "x"},
        ),
        start=3,
    ):
        known, changed = store.declared("Thing", "n", "a"), thing(number)
        changed["metadata"] |= change
        store.put(changed)
        assert store.declared("Thing", "n", "a") != known
    assert store.declared("Thing", "n", "b") is None


def test_what_is_got_is_the_caller_s_own() -> None:
    store = Store()
    store.put(thing(1, spec={"a": [1]}))
    found = store.get("Thing", "n", "a")
    assert found is not None
    found["spec"]["a"].append(2)
    assert store.get("Thing", "n", "a") == thing(1, spec={"a": [1]})


def pod(version: int, name: str, *, bot: str | None = "a", **parts: Any) -> JsonObject:
    meta = {"name": name, "namespace": "n", "uid": f"u-{name}", "resourceVersion": str(version)}
    labels = {} if bot is None else {"trading.io/bot": bot}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "labels": labels}, **parts}


def test_the_pods_of_a_bot_are_those_that_carry_its_label_now() -> None:
    store = Store()
    for number, (name, bot) in enumerate((("p1", "a"), ("p2", "a"), ("p3", "b"), ("p4", None))):
        store.put(pod(number + 1, name, bot=bot))
    assert names(store) == ["p1", "p2"]
    store.put(pod(10, "p2", bot="b"))
    store.put(pod(11, "p4"))
    assert names(store) == ["p1", "p4"]
    store.remove(pod(12, "p1"))
    assert names(store) == ["p4"]
    store.remove(pod(13, "p4"))
    assert (names(store), store.pods("other", "a")) == ([], [])


def names(store: Store) -> list[str]:
    return [pod["metadata"]["name"] for pod in store.pods("n", "a")]


def test_of_a_pod_only_what_tells_its_state_is_kept() -> None:
    store = Store()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "x" * 999, "more": 1}}
    ended = {"terminated": {"reason": "Error", "exitCode": 1, "message": "what the image says"}}
    container = {"name": "bot", "ready": False, "restartCount": 2, "image": "i", "state": waiting}
    condition = {"type": "PodScheduled", "status": "False", "reason": "R", "message": "m" * 999}
    store.put(
        pod(
            1,
            "p",
            spec={"nodeName": "node", "containers": [{"env": [{"value": "a" * 9999}]}]},
            status={
                "phase": "Pending",
                "podIP": "10.0.0.1",
                "hostIP": "10.0.0.2",
                "conditions": [{**condition, "lastProbeTime": None}, "no condition"],
                "containerStatuses": [container],
                "initContainerStatuses": [{"name": "init", "state": ended}],
            },
        )
    )
    (found,) = store.pods("n", "a")
    assert found["spec"] == {"nodeName": "node"}
    status = found["status"]
    assert (status["phase"], status["podIP"], "hostIP" in status) == ("Pending", "10.0.0.1", False)
    assert status["conditions"] == [{**condition, "message": "m" * 300}]
    (kept,) = status["containerStatuses"]
    assert kept["state"] == {"waiting": {"reason": "ImagePullBackOff", "message": "x" * 300}}
    assert (kept["restartCount"], "image" in kept) == (2, False)
    assert status["initContainerStatuses"] == [
        {"name": "init", "state": {"terminated": {"reason": "Error", "exitCode": 1}}}
    ]


def child(version: int, bot: str, *, size: int = 0, kind: str = "ConfigMap") -> JsonObject:
    name = f"{bot}-config" if kind == "ConfigMap" else bot
    meta = {
        "name": name,
        "namespace": "n",
        "uid": f"u-{name}",
        "resourceVersion": str(version),
        "labels": {"trading.io/bot": bot},
    }
    return {"kind": kind, "metadata": meta, "data": {"bot.json": "x" * size}}


def test_of_a_large_child_of_no_known_bot_only_the_version_is_kept() -> None:
    store = Store()
    for kind in ("ConfigMap", "Deployment", "Service"):
        assert store.put(child(1, "a", size=900_000, kind=kind))
        assert not store.put(child(1, "a", size=900_000, kind=kind))
        name = "a-config" if kind == "ConfigMap" else "a"
        assert (store.get(kind, "n", name), store.version(kind, "n", name)) == (None, 1)
        assert list(store.objects(kind)) == []
        assert all(not kept.text for kept in store._objects[kind].values())


def test_a_large_child_is_listed_again_when_its_bot_is_known_and_kept_then() -> None:
    store = Store()
    store.put(child(1, "a", size=900_000))
    store.put({**thing(2, name="a"), "kind": "TradingBot"})
    assert store.version("ConfigMap", "n", "a-config") is None
    store.put(child(1, "a", size=900_000))
    assert store.get("ConfigMap", "n", "a-config") is not None


def test_a_small_child_is_kept_before_its_bot_is_known() -> None:
    store = Store()
    store.put(child(1, "a", size=1000))
    assert store.get("ConfigMap", "n", "a-config") is not None


def test_a_child_without_a_bot_is_not_kept_and_forgotten_when_it_is_gone() -> None:
    store = Store()
    orphan = child(1, "a")
    orphan["metadata"]["labels"] = {}
    store.put(orphan)
    assert (store.get("ConfigMap", "n", "a-config"), store.versions("ConfigMap")) == (
        None,
        {("n", "a-config"): 1},
    )
    store.remove(child(2, "a"))
    assert store.versions("ConfigMap") == {}
    store.put(child(3, "b", size=900_000))
    store.forget("ConfigMap", "n", "b-config")
    assert store.versions("ConfigMap") == {}


def test_an_object_that_can_not_be_read_is_known_until_it_can_be() -> None:
    store = Store()
    store.put({**thing(1), "unreadable": "nested too deeply"})
    assert store.unreadable() == {("Thing", "n", "a"): "nested too deeply"}
    found = store.get("Thing", "n", "a")
    assert found is not None
    assert found["unreadable"] == "nested too deeply"
    store.put(thing(2))
    assert store.unreadable() == {}


def test_notes_of_others_are_not_kept() -> None:
    store, noted = Store(), thing(1)
    noted["metadata"]["annotations"] = {"trading.io/rollout": "h", "example.com/a": "x" * 99_999}
    store.put(noted)
    found = store.get("Thing", "n", "a")
    assert found is not None
    assert found["metadata"]["annotations"] == {"trading.io/rollout": "h"}


def test_of_what_a_tenant_may_write_on_a_pod_little_is_kept() -> None:
    store = Store()
    large = pod(1, "p")
    owners = [{"kind": "Other", "uid": str(number)} for number in range(5000)]
    large["metadata"] |= {
        "annotations": {
            "trading.io/note": "x" * 250_000,
            **{f"trading.io/{number}": "x" for number in range(5000)},
            "trading.io/restart-hash": "0123",
        },
        "finalizers": [f"example.com/{number}" for number in range(5000)],
        "ownerReferences": [*owners, {"kind": "ReplicaSet", "uid": "r", "controller": True}],
    }
    large["metadata"]["labels"] |= {
        **{f"app.kubernetes.io/{number}": "x" for number in range(5000)},
        "pod-template-hash": "abc",
    }
    store.put(large)
    (found,) = store.pods("n", "a")
    assert len(to_json(found)) < 8 * 1024
    meta = found["metadata"]
    assert meta["annotations"]["trading.io/restart-hash"] == "0123"
    assert meta["labels"]["pod-template-hash"] == "abc"
    assert [owner["uid"] for owner in meta["ownerReferences"] if owner.get("controller")] == ["r"]


@pytest.mark.parametrize("kind", ["Deployment", "Service", "AssetRegistry"])
def test_of_what_is_very_large_only_the_version_is_kept(kind: str) -> None:
    store = Store()
    store.put({"kind": "TradingBot", "metadata": {"name": "a", "namespace": "n", "uid": "b"}})
    meta = {"name": "a", "namespace": "n", "uid": "u", "labels": {"trading.io/bot": "a"}}
    for version, length, kept in ((1, 1000, True), (2, 1_000_000, False), (3, 1000, True)):
        parts = {"spec": {"x": "y" * length}, "data": {"bot.json": "y" * length}}
        assert store.put(
            {"kind": kind, "metadata": {**meta, "resourceVersion": str(version)}, **parts}
        )
        assert (store.get(kind, "n", "a") is not None) is kept
        assert store.version(kind, "n", "a") == version
    store.remove({"kind": kind, "metadata": {**meta, "resourceVersion": "4"}})
    assert store.version(kind, "n", "a") is None
