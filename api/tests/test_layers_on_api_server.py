"""The layers nest: what the CRD refuses, `review` refuses; what `review` allows, the CRD admits.

Against a real API server, which alone knows how it reads a structural schema and CEL.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from admission_cases import BOT, BOUNDS, CASES, NOW, REGISTRY, Case, changed
from crd_layer import PLURALS, CrdLayer
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from objects import mutations, valid_objects
from tradingbot_api import API_VERSION, GROUP
from tradingbot_api.admission.review import defaulted, review
from tradingbot_api.crds import crds
from tradingbot_api.credentials.cel import (
    MAX_VALUE,
    NAME_PATTERN,
    PEM_PATTERN,
    VALUE_PATTERN,
    refused_by_schema,
)
from tradingbot_api.tradingbot import MAX_PARAMETER_LENGTH, MAX_PARAMETERS
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until


@pytest.mark.parametrize("case", [*CASES, *BOUNDS], ids=lambda case: case.name)
def test_each_manifest_is_refused_by_the_layer_that_the_corpus_names(
    crd_layer: CrdLayer, case: Case
) -> None:
    obj = defaulted(case.kind, case.manifest)
    verdict = review(case.kind, obj, now=NOW)

    answer = crd_layer.create(obj)

    assert answer.admitted == (case.refused_by != "schema"), answer.message
    assert answer.admitted or not verdict.allowed, f"only the CRD refuses: {answer.message}"


@settings(max_examples=150)
@given(mutations() | valid_objects)
def test_what_the_crd_refuses_of_objects_drawn_at_random_review_refuses_too(
    crd_layer: CrdLayer, obj: dict[str, Any]
) -> None:
    """Mutations of the spec: `metadata` beside the name is the API server's own affair."""
    obj = defaulted(obj["kind"], {**obj, "apiVersion": API_VERSION, "metadata": {"name": "drawn"}})
    try:
        json.dumps(obj, allow_nan=False)
    except ValueError:
        reject()  # no JSON, so nothing that could be sent

    answer = crd_layer.create(obj)

    verdict = review(obj["kind"], obj, now=NOW)
    assert answer.admitted or not verdict.allowed, f"only the CRD refuses: {answer.message}"


@pytest.mark.parametrize("crd", crds(), ids=lambda crd: crd["spec"]["names"]["kind"])
def test_the_api_server_keeps_the_crd_as_it_is_generated_and_has_nothing_to_say_against_it(
    crd_layer: CrdLayer, crd: dict[str, Any]
) -> None:
    """It prunes what it does not know, and refuses rules that don't compile or cost too much."""
    stored = crd_layer.crd(f"{crd['spec']['names']['plural']}.{GROUP}")

    conditions = {
        condition["type"]: condition["status"] for condition in stored["status"]["conditions"]
    }
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions
    assert stored["spec"]["versions"] == crd["spec"]["versions"]


@pytest.mark.parametrize("base", [BOT, REGISTRY], ids=lambda base: base["kind"])
def test_the_api_server_fills_in_the_structural_defaults_that_we_do(
    crd_layer: CrdLayer, base: dict[str, Any]
) -> None:
    """So an object that was stored with the webhooks down is the same object."""
    ours = defaulted(base["kind"], base)["spec"]

    theirs = crd_layer.create(base).body["spec"]

    assert theirs == ours


@pytest.mark.parametrize("base", [BOT, REGISTRY], ids=lambda base: base["kind"])
def test_the_api_server_changes_nothing_in_what_is_defaulted(
    crd_layer: CrdLayer, base: dict[str, Any]
) -> None:
    obj = defaulted(base["kind"], base)

    assert crd_layer.create(obj).body["spec"] == obj["spec"]


def test_the_exchange_of_a_bot_is_kept_even_when_it_is_being_paused(crd_layer: CrdLayer) -> None:
    bot = changed(BOT, {"metadata.name": "keeps-its-exchange"})
    stored = crd_layer.create(bot, dry_run=False)
    assert stored.admitted, stored.message

    answer = crd_layer.replace(
        changed(stored.body, {"spec.exchange.name": "Coinbase", "spec.paused": True})
    )

    assert answer.status == 422
    assert answer.body["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "field": "spec.exchange.name",
            "message": 'Invalid value: "Coinbase": is immutable: open positions and credentials'
            " belong to one exchange; create another bot instead",
        }
    ]
    crd_layer.delete("TradingBot", "keeps-its-exchange")


def test_users_can_not_write_the_status_with_the_object(crd_layer: CrdLayer) -> None:
    answer = crd_layer.create(changed(BOT, {"status": {"phase": "Running"}}))

    assert answer.admitted, answer.message
    assert "phase" not in answer.body["status"]


@pytest.mark.parametrize("base", [BOT, REGISTRY], ids=lambda base: base["kind"])
def test_an_object_is_not_ready_before_an_operator_has_observed_it(
    crd_layer: CrdLayer, base: dict[str, Any]
) -> None:
    """Nor after a write of a part of the status, such as a halt."""
    kind = base["kind"]
    created = crd_layer.create(changed(base, {"metadata.name": "unobserved"}), dry_run=False)
    partly = {"risk": {"haltReason": "x"}} if kind == "TradingBot" else {"counts": {"total": 1}}
    read = crd_layer.stored(kind, "unobserved")
    reported = crd_layer.report(read, partly)
    assert reported.admitted, reported.message
    crd_layer.delete(kind, "unobserved")

    for obj in (created.body, read, reported.body):
        assert obj["status"]["observedGeneration"] == -1
        (ready,) = obj["status"]["conditions"]
        assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "Unknown", "Pending")


def test_both_kinds_are_listed_with_the_category_and_their_short_names(
    crd_layer: CrdLayer,
) -> None:
    for crd in crds():
        accepted = crd_layer.crd(crd["metadata"]["name"])["status"]["acceptedNames"]

        assert accepted["categories"] == ["trading"]
        assert accepted["shortNames"] == crd["spec"]["names"]["shortNames"]
    assert PLURALS == {"TradingBot": "tradingbots", "AssetRegistry": "assetregistries"}


# ---- parameters that are named like a credential

OLD_CONTENT = "with-old-content"


@pytest.fixture(scope="module")
def old_content(crd_layer: CrdLayer) -> Iterator[dict[str, Any]]:
    """A bot that the operator runs, stored when the schema had no rule against its parameters."""
    definitions = crds()
    schema = definitions[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    strategy = schema["properties"]["spec"]["properties"]["strategy"]
    del schema["x-kubernetes-validations"]
    del strategy["properties"]["parameters"]["x-kubernetes-validations"]
    parameters = {
        "password": "x",
        "levels": "5",
        "token": "${TOKEN}",
        "dsn": "postgres://app:hunter2@db",
    }
    bot = changed(BOT, {"metadata.name": OLD_CONTENT, "spec.strategy.parameters": parameters})
    try:
        crd_layer.install(definitions)
        wait_until(
            lambda: crd_layer.create(bot, dry_run=False).admitted,
            what="a schema without the rule",
            seconds=STUCK_SECONDS,
        )
    finally:
        crd_layer.install()
    fresh = changed(bot, {"metadata.name": "fresh"})
    wait_until(lambda: not crd_layer.create(fresh).admitted, what="the rule", seconds=STUCK_SECONDS)
    stored = crd_layer.stored("TradingBot", OLD_CONTENT)
    reported = crd_layer.report(stored, {"phase": "Running"})
    assert reported.admitted, reported.message
    yield reported.body
    crd_layer.delete("TradingBot", OLD_CONTENT)


@pytest.mark.parametrize(
    ("parameters", "admitted"),
    [
        ({"password": "x", "levels": "5"}, True),
        ({"password": "x", "levels": "6", "more": "1"}, True),
        ({"password": "y"}, True),
        ({}, True),
        ({"password": "x", "api-key": "y"}, False),
        ({"exchangeAPIKey": "y"}, False),
        ({"exchangeAPIKey": "${KEY}"}, True),
        ({"reference": "vault:a#b", "token": "y"}, False),
        ({"levels": "-----BEGIN PRIVATE KEY-----"}, False),
        ({"dsn": "postgres://app:hunter2@db"}, True),
        ({"dsn": "postgres://app:hunter3@db"}, False),
    ],
    ids=str,
)
def test_old_content_does_not_refuse_a_stop_and_new_credentials_do(
    crd_layer: CrdLayer,
    old_content: dict[str, Any],
    parameters: dict[str, str],
    admitted: bool,
) -> None:
    """Also where the parameters change, which Kubernetes's own ratcheting does not cover."""
    change = {"spec.paused": True, "spec.strategy.parameters": parameters}

    answer = crd_layer.replace(changed(old_content, change))

    assert answer.admitted is admitted, answer.message
    assert admitted or "looks like a credential" in answer.message


@given(
    key=st.text(max_size=30) | st.from_regex(NAME_PATTERN),
    value=st.sampled_from(["x", "hunter2", "USDC", "${TOKEN}", "vault:a#b"]) | st.text(max_size=30),
)
@settings(max_examples=150)
def test_no_name_that_the_crd_refuses_is_admitted_by_review(
    crd_layer: CrdLayer, key: str, value: str
) -> None:
    """Python and RE2 need not fold the same letters."""
    obj = defaulted("TradingBot", changed(BOT, {"spec.strategy.parameters": {key: value}}))
    try:
        json.dumps(obj, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        reject()

    answer = crd_layer.create(obj)

    assert answer.admitted or not review("TradingBot", obj, now=NOW).allowed, answer.message
    assert not (answer.admitted and value == "hunter2" and refused_by_schema(key)), key


@given(value=st.from_regex(re.compile(f"{VALUE_PATTERN}|{PEM_PATTERN}", re.ASCII)))
@settings(max_examples=50)
def test_the_crd_refuses_values_that_are_a_credential_beyond_doubt(
    crd_layer: CrdLayer, value: str
) -> None:
    obj = defaulted("TradingBot", changed(BOT, {"spec.strategy.parameters": {"note": value}}))

    answer = crd_layer.create(obj)

    assert not answer.admitted
    assert "a value looks like a credential" in answer.message
    assert not review("TradingBot", obj, now=NOW).allowed


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a" * MAX_VALUE, "a{:062}"),
        ("a" * MAX_PARAMETER_LENGTH, "a{:062}"),
        (f"ENC[{'a' * 1000}]", "password{:055}"),
    ],
    ids=["searched", "longest", "references"],
)
def test_the_rules_may_cost_what_the_largest_parameters_cost(
    crd_layer: CrdLayer, value: str, name: str
) -> None:
    """The API server ends a rule that costs too much, and then refuses the object."""
    parameters = {name.format(number): value for number in range(MAX_PARAMETERS)}
    obj = defaulted("TradingBot", changed(BOT, {"spec.strategy.parameters": parameters}))

    answer = crd_layer.create(obj)

    assert answer.admitted, answer.message
