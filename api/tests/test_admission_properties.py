"""What holds for every object, drawn at random: valid ones, broken ones, and JSON of any kind."""

import math
from typing import Any

import pytest
from admission_cases import NOW
from hypothesis import given
from hypothesis import strategies as st
from objects import Object, json_objects, json_values, mutations, valid_objects
from tradingbot_api.admission.review import KINDS, defaulted, is_well_formed, review
from tradingbot_api.errors import Verdict

any_objects = json_objects | st.builds(
    lambda obj, spec: {**obj, "spec": spec}, json_objects, json_values
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """Every value below `value` that holds no other, by where it is."""
    if isinstance(value, dict) and value:
        inner: Any = value.items()
    elif isinstance(value, list) and value:
        inner = enumerate(value)
    else:
        return {path: value}
    return {
        found: leaf
        for key, inner_value in inner
        for found, leaf in leaves(inner_value, (*path, key)).items()
    }


def same_json(left: object, other: object) -> bool:
    """Equality that takes NaN for NaN, which JSON as Python reads it may hold."""
    return repr(left) == repr(other)


def well_formed(verdict: Verdict) -> bool:
    """Every finding can be printed, and says something about a place."""
    findings = [*verdict.errors, *verdict.warnings]
    return all(str(finding).encode() and finding.message for finding in findings)


@pytest.mark.parametrize("kind", KINDS)
@given(obj=any_objects)
def test_defaulting_never_fails_and_twice_is_once(kind: str, obj: Object) -> None:
    once = defaulted(kind, obj)

    assert same_json(defaulted(kind, once), once)


@pytest.mark.parametrize("kind", KINDS)
@given(new=any_objects, old=st.none() | any_objects)
def test_a_verdict_on_any_json_is_a_verdict(kind: str, new: Object, old: Object | None) -> None:
    assert well_formed(review(kind, defaulted(kind, new), old, now=NOW))
    assert well_formed(review(kind, new, old, now=NOW))


@given(mutations())
def test_a_mutated_object_gets_a_verdict_and_defaulting_stays_idempotent(obj: Object) -> None:
    once = defaulted(obj["kind"], obj)

    assert same_json(defaulted(obj["kind"], once), once)
    assert well_formed(review(obj["kind"], once, now=NOW))
    assert well_formed(review(obj["kind"], obj, now=NOW))


@given(mutations(), mutations())
def test_an_update_between_mutated_objects_gets_a_verdict(new: Object, old: Object) -> None:
    for obj, other in ((new, old), (old, new)):
        assert well_formed(review(obj["kind"], defaulted(obj["kind"], obj), other, now=NOW))


@given(valid_objects)
def test_a_valid_object_is_allowed_and_stays_so_when_it_is_defaulted_again(obj: Object) -> None:
    once = defaulted(obj["kind"], obj)

    verdict = review(obj["kind"], once, now=NOW)

    assert verdict.errors == ()
    assert review(obj["kind"], defaulted(obj["kind"], once), now=NOW) == verdict


@given(valid_objects)
def test_defaulting_only_adds_and_turns_numbers_into_text(obj: Object) -> None:
    """Never does it change a string: a GitOps tool would see drift, and set it back for ever."""
    before, after = leaves(obj), leaves(defaulted(obj["kind"], obj))

    for path, value in before.items():
        if isinstance(value, str):
            assert after[path] == value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            assert math.isclose(float(after[path]), value)
        elif value not in ({}, []):
            assert after[path] == value


@given(mutations())
def test_defaulting_never_changes_a_string_not_even_of_a_broken_object(obj: Object) -> None:
    before, after = leaves(obj), leaves(defaulted(obj["kind"], obj))

    for path, value in before.items():
        if isinstance(value, str):
            assert after[path] == value


@given(mutations())
def test_nothing_that_is_stored_stands_in_the_way_of_an_edit_of_metadata(obj: Object) -> None:
    edited = {**obj, "metadata": {"annotations": {"a": "b"}}}

    assert review(obj["kind"], defaulted(obj["kind"], edited), obj, now=NOW).allowed


@given(mutations() | valid_objects)
def test_the_quick_look_and_the_verdict_agree_on_what_the_schema_refuses(obj: Object) -> None:
    once = defaulted(obj["kind"], obj)

    assert is_well_formed(obj["kind"], once) != review(obj["kind"], once, now=NOW).malformed


@given(mutations(), valid_objects)
def test_a_verdict_that_is_no_denial_has_no_error(new: Object, old: Object) -> None:
    verdict = review(new["kind"], defaulted(new["kind"], new), old, now=NOW)

    assert verdict.allowed == (not verdict.errors)
    assert not (verdict.malformed and verdict.allowed)
