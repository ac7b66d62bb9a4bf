"""The store keeps the newest version of an object, and brings nothing back that is gone."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_api.model import JsonObject
from tradingbot_operator import store as store_module
from tradingbot_operator.store import Store


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
        ({"generation": 2}, {"annotations": {"a": "b"}}, {"deletionTimestamp": "now"}), start=3
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
