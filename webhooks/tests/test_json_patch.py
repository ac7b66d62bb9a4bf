"""The patch turns exactly what was sent into exactly what is wanted."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_webhooks.json_patch import diff

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, 2.5])
    | st.text(max_size=3)
)
KEYS = st.text(alphabet="ab~/01 é", max_size=4)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, JSON, max_size=5)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: Python takes True for 1 and 1 for 1.0, a schema does not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def applied(patch: Any, document: Any) -> Any:
    return jsonpatch.apply_patch(copy.deepcopy(document), patch)


@settings(max_examples=500, deadline=None)
@given(before=OBJECTS, after=OBJECTS)
def test_applying_the_difference_gives_the_other_document(before: Any, after: Any) -> None:
    kept = copy.deepcopy(before), copy.deepcopy(after)
    assert same(applied(diff(before, after), before), after)
    assert same((before, after), kept) or (before, after) == kept


@settings(max_examples=200, deadline=None)
@given(document=OBJECTS)
def test_equal_documents_have_no_difference(document: Any) -> None:
    assert diff(document, copy.deepcopy(document)) == []


@settings(max_examples=200, deadline=None)
@given(document=OBJECTS, key=KEYS, value=JSON)
def test_one_added_member_is_one_operation(document: Any, key: str, value: Any) -> None:
    document.pop(key, None)
    operations = diff(document, {**document, key: value})
    assert [o["op"] for o in operations] == ["add"]


def test_a_missing_parent_is_added_whole() -> None:
    assert diff({"spec": {}}, {"spec": {"limits": {"cpu": "1"}}}) == [
        {"op": "add", "path": "/spec/limits", "value": {"cpu": "1"}}
    ]


def test_a_number_that_became_a_string_is_replaced_where_it_stands() -> None:
    before = {"spec": {"windows": [{"n": 1}, {"n": 2}]}}
    after = {"spec": {"windows": [{"n": 1}, {"n": "2"}]}}
    assert diff(before, after) == [{"op": "replace", "path": "/spec/windows/1/n", "value": "2"}]


@pytest.mark.parametrize(
    ("key", "path"), [("a/b", "/a~1b"), ("a~b", "/a~0b"), ("~1", "/~01"), ("", "/"), ("/", "/~1")]
)
def test_keys_are_escaped(key: str, path: str) -> None:
    assert diff({}, {key: 1}) == [{"op": "add", "path": path, "value": 1}]


@pytest.mark.parametrize(("before", "after"), [(True, 1), (0, False), (None, False), (1, 1.0)])
def test_values_that_python_takes_for_equal_are_told_apart(before: Any, after: Any) -> None:
    assert diff({"a": before}, {"a": after}) == [{"op": "replace", "path": "/a", "value": after}]


def test_elements_are_removed_from_the_end() -> None:
    assert diff({"a": [1, 2, 3]}, {"a": [1]}) == [
        {"op": "remove", "path": "/a/2"},
        {"op": "remove", "path": "/a/1"},
    ]
