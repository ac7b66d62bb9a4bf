"""The layers nest: what the CRD refuses, `review` refuses; what `review` allows, the CRD admits.

Against a real API server, which alone knows how it reads a structural schema and CEL.
"""

import json
from typing import Any

import pytest
from admission_cases import BOT, BOUNDS, CASES, NOW, REGISTRY, Case, changed
from crd_layer import PLURALS, CrdLayer
from hypothesis import given, reject, settings
from objects import mutations, valid_objects
from tradingbot_api import API_VERSION, GROUP
from tradingbot_api.admission import defaulted, review
from tradingbot_api.crds import crds


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

    conditions = {one["type"]: one["status"] for one in stored["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions
    assert stored["spec"]["versions"] == crd["spec"]["versions"]


@pytest.mark.parametrize("base", [BOT, REGISTRY], ids=lambda base: base["kind"])
def test_the_api_server_fills_in_the_structural_defaults_that_we_do(
    crd_layer: CrdLayer, base: dict[str, Any]
) -> None:
    """So an object that was stored with the webhooks down differs only in computed defaults."""
    ours = defaulted(base["kind"], base)["spec"]

    theirs = crd_layer.create(base).body["spec"]

    for path in (("riskManagement", "takeProfitPercentage"), ("resources", "requests")):
        ours, theirs = _without(ours, path), _without(theirs, path)
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
    assert "status" not in answer.body


def test_both_kinds_are_listed_with_the_category_and_their_short_names(
    crd_layer: CrdLayer,
) -> None:
    for crd in crds():
        accepted = crd_layer.crd(crd["metadata"]["name"])["status"]["acceptedNames"]

        assert accepted["categories"] == ["trading"]
        assert accepted["shortNames"] == crd["spec"]["names"]["shortNames"]
    assert PLURALS == {"TradingBot": "tradingbots", "AssetRegistry": "assetregistries"}


def _without(obj: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    name, *rest = path
    if name not in obj:
        return obj
    if rest:
        return {**obj, name: _without(obj[name], tuple(rest))}
    return {key: value for key, value in obj.items() if key != name}
