"""The quick way, for what is well-formed, says what the long way says, or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NoReturn

import jsonpatch
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from objects import mutations, valid_objects
from tradingbot_api.admission.kinds import Kind
from tradingbot_api.admission.meaning import has_whole_decimals
from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_api.rules.findings import ItemRule
from tradingbot_webhooks import wire
from tradingbot_webhooks.admission import Outcome, mutate, validate
from webhook_process import BOT, bot
from webhook_process import review as review_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DRAWN = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def body_of(obj: dict[str, Any], **request: Any) -> bytes:
    kind = {"group": "trading.io", "version": "v1", "kind": obj["kind"]}
    asked = review_of({**obj, "apiVersion": "trading.io/v1"}, kind=kind, **request)
    try:
        return json.dumps(asked, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        reject()


def both_ways(
    body: bytes,
) -> tuple[wire.TypedCreation | wire.AdmissionRequest, wire.AdmissionRequest]:
    return wire.parse(body), wire.parse_plain(body)


def mutate_typed(request: wire.TypedCreation) -> Outcome | None:
    """The outcome from the typed object alone; None if its plain JSON is needed."""

    class PlainError(Exception):
        pass

    def plain() -> NoReturn:
        raise PlainError

    try:
        return mutate(request, plain=plain, now=NOW)
    except PlainError:
        return None


@DRAWN
@given(obj=mutations() | valid_objects, complete=st.booleans())
def test_both_ways_say_the_same(obj: dict[str, Any], complete: bool) -> None:
    quick, plain = both_ways(body_of(defaulted(obj["kind"], obj) if complete else obj))
    assert validate(quick, now=NOW) == validate(plain, now=NOW)
    if isinstance(quick, wire.TypedCreation):
        outcome, wanted = mutate_typed(quick), mutate(plain, plain=lambda: plain, now=NOW)
        assert plain.object is not None
        if outcome is not None:
            assert wanted.allowed
            assert jsonpatch.apply_patch(plain.object, list(outcome.patch)) == (
                jsonpatch.apply_patch(plain.object, list(wanted.patch))
            )


@DRAWN
@given(obj=valid_objects)
def test_a_valid_object_that_is_complete_goes_the_quick_way(obj: dict[str, Any]) -> None:
    """Except one with a whole number for a decimal: /mutate has to answer with a patch."""
    quick, _ = both_ways(body_of(defaulted(obj["kind"], obj)))
    if has_whole_decimals(KINDS[obj["kind"]].spec_model, obj["spec"]):
        assert isinstance(quick, wire.AdmissionRequest)
        return
    assert isinstance(quick, wire.TypedCreation)
    outcome = mutate_typed(quick)
    assert outcome is not None
    assert outcome.patch == ()


@DRAWN
@given(obj=mutations() | valid_objects)
def test_what_is_said_to_be_clean_has_nothing_that_would_be_found(obj: dict[str, Any]) -> None:
    quick, _ = both_ways(body_of(defaulted(obj["kind"], obj)))
    if not isinstance(quick, wire.TypedCreation):
        return
    definition: Kind = KINDS[obj["kind"]]
    rules = (
        rule for part in definition.parts if part.is_in(quick.object.spec) for rule in part.rules
    )
    for rule in rules:
        if isinstance(rule, ItemRule) and rule.clean is not None and rule.clean(quick.object.spec):
            holder: Any = quick.object.model_dump(by_alias=True)
            for name in rule.items:
                holder = holder[name]
            alone = review(obj["kind"], quick.object.model_dump(by_alias=True), now=NOW)
            below = [e for e in alone.errors if e.path[: len(rule.items)] == rule.items]
            assert [e for e in below if _is_found_by(rule, e)] == []


def _is_found_by(rule: ItemRule, error: Any) -> bool:
    fields = set(error.path[len(rule.items) + 1 :])
    return not rule.needs or bool(fields & set(rule.needs))


@pytest.mark.parametrize(
    "parameters",
    [{"a\nb": "x"}, {"a": "x", "b\n": "y"}, {"": "x"}, {"api": "x", "key": "y"}, {"api_key": "x1"}],
)
def test_keys_are_told_apart_though_they_are_looked_at_together(parameters: Any) -> None:
    quick, plain = both_ways(
        body_of(defaulted("TradingBot", bot(strategy={"parameters": parameters})))
    )
    assert isinstance(quick, wire.TypedCreation)
    assert validate(quick, now=NOW) == validate(plain, now=NOW)
    assert validate(quick, now=NOW).allowed == (set(parameters) == {"api", "key"})


@pytest.mark.parametrize(
    "config",
    [
        {"url": "https://x", "deep": {"db_PASSWORD": "x"}},
        {"url": "jdbc:postgresql://u:p@host/db"},
        {"url": "https://x", "list": [{"nested": ["https://me@host"]}]},
        {"url": "https://x", "note": "mail me@example.com about the key"},
        {"url": ""},
        {"url": "https://x", "pad": "x" * 17_000},
        {"url": "https://x", "pad": "x" * 9_000},
        {"url": "https://x", "pad": "[" * 200},
    ],
)
def test_configs_are_judged_alike_both_ways(config: dict[str, Any]) -> None:
    asset = {"name": "a", "type": "ApiEndpoint", "config": config}
    obj = {"kind": "AssetRegistry", "metadata": {"name": "c"}, "spec": {"assets": [asset]}}
    quick, plain = both_ways(body_of(defaulted("AssetRegistry", obj)))
    assert isinstance(quick, wire.TypedCreation)
    assert validate(quick, now=NOW) == validate(plain, now=NOW)


@pytest.mark.parametrize(
    ("twice", "with_"),
    [(b'"mode":"Paper"', b'"mode":"Live"'), (b'"mode":"Paper"', b'"mode":"Nonsense"')],
)
def test_of_a_field_that_stands_twice_the_last_holds_both_ways(twice: bytes, with_: bytes) -> None:
    body = body_of(defaulted("TradingBot", BOT)).replace(twice, twice + b"," + with_)
    quick, plain = both_ways(body)
    assert validate(quick, now=NOW) == validate(plain, now=NOW)
    assert validate(quick, now=NOW).allowed == (b"Live" in with_)


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "UPDATE", "oldObject": BOT},
        {"operation": "CREATE", "subResource": "status"},
        {"operation": "CREATE", "oldObject": BOT},
    ],
)
def test_only_creations_go_the_quick_way(request_: dict[str, Any]) -> None:
    quick, plain = both_ways(body_of(defaulted("TradingBot", BOT), **request_))
    assert quick == plain
