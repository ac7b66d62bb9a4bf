"""What is answered to which request. Pure: no socket, and the clock is an argument."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_api.admission.review import defaulted
from tradingbot_webhooks import wire
from tradingbot_webhooks.admission import ALLOWED, Outcome, mutate, validate
from tradingbot_webhooks.errors import NotAReviewError
from webhook_process import BOT, NOW, bot, review


def parsed(body: Any) -> wire.AdmissionRequest:
    return wire.parse_plain(json.dumps(body).encode())


def mutated(obj: Any, **request: Any) -> Outcome:
    return mutate_plain(parsed(review(obj, **request)), now=NOW)


def mutate_plain(request: wire.AdmissionRequest, *, now: datetime) -> Outcome:
    return mutate(request, plain=lambda: request, now=now)


def validated(obj: Any, **request: Any) -> Outcome:
    return validate(parsed(review(obj, **request)), now=NOW)


def whole(**spec: Any) -> dict[str, Any]:
    return defaulted("TradingBot", bot(**spec))


def test_mutate_answers_the_patch_to_the_defaulted_object() -> None:
    outcome = mutated(BOT)
    assert jsonpatch.apply_patch(BOT, list(outcome.patch)) == defaulted("TradingBot", BOT)


def test_mutate_has_nothing_to_say_to_an_object_that_is_complete() -> None:
    assert mutated(whole()) == ALLOWED


def test_numbers_become_the_decimal_strings_that_the_schema_wants() -> None:
    outcome = mutated(bot(riskManagement={"stopLossPercentage": 2.5}))
    assert {
        "op": "replace",
        "path": "/spec/riskManagement/stopLossPercentage",
        "value": "2.5",
    } in outcome.patch


def test_a_whole_number_stays_and_the_api_server_is_made_to_read_it_again() -> None:
    """It may hold 5.0 as a float, which its CEL refuses; after any patch it is 5."""
    limits = {"maxPositionSize": 1000, "stopLossPercentage": 5}
    stored = whole(riskManagement=limits)
    outcome = mutated(stored)
    assert [operation["op"] for operation in outcome.patch] == ["test"]
    assert jsonpatch.apply_patch(stored, list(outcome.patch)) == stored
    added = mutated(bot(riskManagement=limits)).patch
    assert added
    assert not {operation["path"].rpartition("/")[2] for operation in added} & limits.keys()
    assert stored["spec"]["riskManagement"].items() >= limits.items()


def test_mutate_denies_a_shape_that_the_schema_would_refuse_with_every_mistake() -> None:
    outcome = mutated(
        bot(strategy={"type": "Nonsense"}, riskManagement={"maxPositionSize": "-1"}, mode="Demo")
    )
    assert {error.field for error in outcome.errors} == {
        "spec.strategy.type",
        "spec.riskManagement.maxPositionSize",
        "spec.mode",
    }
    assert outcome.patch == ()


def test_mutate_speaks_up_for_what_stands_twice_and_for_what_may_not_change() -> None:
    """The schema refuses both, after this webhook and before the other: alone, without the rest."""
    windows = [{"start": "09:00", "end": "09:00", "days": ["Mon", "Mon"]}]
    assert [error.field for error in mutated(bot(schedule={"windows": windows})).errors] == [
        "spec.schedule.windows[0].days[1]",
        "spec.schedule.windows[0].end",
    ]
    moved = bot(exchange={"name": "Coinbase", "apiKeyPath": "same", "apiSecretPath": "same"})
    assert [e.field for e in mutated(moved, operation="UPDATE", oldObject=BOT).errors] == [
        "spec.exchange.name",
        "spec.exchange.apiSecretPath",
    ]


def test_mutate_leaves_mistakes_that_the_schema_can_not_see_to_validate() -> None:
    wrong = bot(exchange={"apiKeyPath": "same", "apiSecretPath": "same"})
    assert mutated(wrong).allowed
    assert [e.field for e in validated(defaulted("TradingBot", wrong)).errors] == [
        "spec.exchange.apiSecretPath"
    ]


@pytest.mark.parametrize("decide", [mutate_plain, validate])
@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "DELETE", "object": None, "oldObject": BOT},
        {"operation": "CONNECT"},
        {"subResource": "status"},
        {"kind": {"group": "trading.io", "version": "v1", "kind": "Other"}},
        {"kind": {"group": "elsewhere.io", "version": "v1", "kind": "TradingBot"}},
        {"object": None},
    ],
)
def test_what_is_none_of_ours_is_allowed(decide: Any, request_: dict[str, Any]) -> None:
    broken = {"spec": "not even an object"}
    assert decide(parsed(review(broken) | {}), now=NOW) != ALLOWED
    assert decide(parsed(review(broken, **request_)), now=NOW) == ALLOWED


def test_an_update_of_metadata_alone_is_allowed_even_when_the_spec_is_wrong() -> None:
    old = whole(schedule={"timeZone": "Mars/Olympus"})
    new = copy.deepcopy(old)
    new["metadata"]["annotations"] = {"a": "b"}
    assert validated(new, operation="UPDATE", oldObject=old).allowed


def test_an_object_that_is_being_deleted_is_allowed() -> None:
    old = whole()
    new = whole(schedule={"timeZone": "Mars/Olympus"})
    new["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    assert validated(new, operation="UPDATE", oldObject=old).allowed


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(
    where=st.sampled_from(
        [
            "spec",
            "strategy",
            "exchange",
            "riskManagement",
            "schedule",
            "resources",
            "mode",
            "paused",
        ]
    ),
    value=JSON,
)
def test_nothing_that_is_json_makes_either_endpoint_fail(where: str, value: Any) -> None:
    obj = copy.deepcopy(BOT)
    if where == "spec":
        obj["spec"] = value
    else:
        obj["spec"][where] = value
    outcome = mutated(obj)
    if outcome.allowed:
        validated(jsonpatch.apply_patch(obj, list(outcome.patch)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body: is not JSON"),
        (b"{", "the body: is not JSON"),
        (b'{"a":"\xff"}', "the body: is not JSON"),
        (b"[]", "the body: "),
        (b"{}", "apiVersion: missing"),
        (
            json.dumps(review(BOT) | {"apiVersion": "admission.k8s.io/v1beta1"}).encode(),
            "apiVersion",
        ),
        (json.dumps(review(BOT) | {"kind": "Pod"}).encode(), "kind"),
        (json.dumps(review("sk-secret-value")).encode(), "request.object: dict_type"),
    ],
)
def test_what_is_no_review_is_refused_without_quoting_it(body: bytes, message: str) -> None:
    with pytest.raises(NotAReviewError) as caught:
        wire.parse(body)
    assert message in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_an_object_without_a_name_yet_is_called_by_its_generate_name() -> None:
    unnamed = bot() | {"metadata": {"generateName": "arb-"}}
    assert parsed(review(unnamed, name="")).object_name == "arb-"


# ---- the parameters of built-in strategies


def misspelt(image: str) -> dict[str, Any]:
    parameters = {"minProfitTreshold": "0.005"}
    return whole(strategy={"type": "Arbitrage", "image": image, "parameters": parameters})


def answered(obj: dict[str, Any], **options: Any) -> Outcome:
    """The outcome of a creation, read as the server reads it."""
    return validate(wire.parse(json.dumps(review(obj)).encode()), now=NOW, **options)


def test_the_parameters_of_a_built_in_strategy_are_validated() -> None:
    (error,) = answered(misspelt("tradingbot-strategies:0.1.0")).errors

    assert error.field == "spec.strategy.parameters[minProfitTreshold]"
    assert 'did you mean "minProfitThreshold"?' in error.message


def test_whose_parameters_are_validated_is_a_setting() -> None:
    ours, copy_of_it = misspelt("tradingbot-strategies:0.1.0"), misspelt("team/strategies:2")
    images = frozenset({"team/strategies"})

    assert answered(ours, strategy_images=images) == ALLOWED
    assert answered(copy_of_it) == ALLOWED
    assert not answered(copy_of_it, strategy_images=images).allowed


def test_an_annotation_asks_for_the_validation_of_parameters() -> None:
    obj = misspelt("team/strategies:2")
    obj["metadata"]["annotations"] = {"trading.io/strategies": "v1"}

    assert not answered(obj).allowed


def test_parameters_that_are_wrong_do_not_keep_the_object_from_being_mutated() -> None:
    """The schema does not refuse them, so the validating webhook has every mistake to tell."""
    assert mutated(misspelt("tradingbot-strategies:0.1.0")).allowed


def test_a_malformed_object_is_denied_with_its_wrong_parameters_too() -> None:
    obj = misspelt("team/strategies:2")
    obj["spec"]["mode"] = "Demo"
    request = parsed(review(obj))

    denied = mutate(
        request,
        plain=lambda: request,
        now=NOW,
        strategy_images=frozenset({"team/strategies"}),
    )

    assert [error.field for error in denied.errors] == [
        "spec.strategy.parameters[minProfitTreshold]",
        "spec.mode",
    ]


def test_a_stop_passes_with_any_parameters() -> None:
    old = misspelt("tradingbot-strategies:0.1.0")
    new = copy.deepcopy(old)
    new["spec"]["paused"] = True

    assert validated(new, operation="UPDATE", oldObject=old) == ALLOWED
