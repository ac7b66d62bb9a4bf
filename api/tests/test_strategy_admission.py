"""Whose parameters admission checks, and what an update may leave as it is."""

from typing import Any

import pytest
from admission_cases import BOT, NOW, STRATEGY_BOT, changed
from hypothesis import given
from hypothesis import strategies as st
from objects import json_values
from pydantic import TypeAdapter, ValidationError
from tradingbot_api.admission.review import defaulted, review
from tradingbot_api.admission.typed_review import TypedBot
from tradingbot_api.errors import Verdict
from tradingbot_api.strategies import PARAMETERS_OF
from tradingbot_api.strategies.checked import (
    ANNOTATION,
    DEFAULT_STRATEGY_IMAGES,
    StrategyImages,
    repositories,
)

OURS = STRATEGY_BOT["spec"]["strategy"]["image"]
FOREIGN = "ghcr.io/example/bot:1.0.0"
GRID: dict[str, str] = STRATEGY_BOT["spec"]["strategy"]["parameters"]
MISSPELT = {**GRID, "level": "5"}
PARAMETERS, IMAGE, TYPE = (f"spec.strategy.{name}" for name in ("parameters", "image", "type"))
ANNOTATED = {"metadata.annotations": {ANNOTATION: "v1"}}


def created(changes: dict[str, Any], **options: Any) -> Verdict:
    obj = changed(STRATEGY_BOT, changes)
    return review("TradingBot", defaulted("TradingBot", obj), now=NOW, **options)


def updated(before: dict[str, Any], after: dict[str, Any], **options: Any) -> Verdict:
    old = changed(STRATEGY_BOT, before)
    new = changed(old, after)
    return review("TradingBot", defaulted("TradingBot", new), old, now=NOW, **options)


def keys(verdict: Verdict) -> tuple[list[str], list[str]]:
    """The parameters that have an error, and those that have a warning."""
    return [str(error.path[-1]) for error in verdict.errors], [
        str(warning.path[-1]) for warning in verdict.warnings
    ]


# ---- the setting


@pytest.mark.parametrize(
    ("image", "is_checked"),
    [
        ("registry.example.com/team/strategies", True),
        ("registry.example.com/team/strategies:1.2", True),
        ("registry.example.com/team/strategies:1.2@sha256:" + "0" * 64, True),
        ("registry.example.com:443/team/strategies:1.2", False),
        ("registry.example.com/team/strategies/more:1.2", False),
        ("other.example.com/team/strategies:1.2", False),
        ("team/strategies:1.2", False),
        ("strategies:1.2", True),
        ("docker.io/library/strategies:1.2", True),
        ("index.docker.io/library/strategies:1.2", True),
        ("docker.io/strategies", True),
        ("docker.io/team/strategies:1.2", False),
        (OURS, False),
    ],
)
def test_an_image_is_compared_by_its_repository_alone(image: str, is_checked: bool) -> None:
    images = repositories(["registry.example.com/team/strategies,strategies"])

    verdict = created({IMAGE: image, PARAMETERS: MISSPELT}, strategy_images=images)

    assert keys(verdict)[0] == (["level"] if is_checked else [])


def test_by_default_only_the_image_that_is_built_here_is_checked() -> None:
    assert {"tradingbot-strategies"} == DEFAULT_STRATEGY_IMAGES
    assert keys(created({PARAMETERS: MISSPELT}))[0] == ["level"]


def test_with_no_image_in_the_setting_the_annotation_still_asks_for_the_check() -> None:
    none: frozenset[str] = frozenset()

    assert created({PARAMETERS: MISSPELT}, strategy_images=none).allowed
    assert not created({**ANNOTATED, PARAMETERS: MISSPELT}, strategy_images=none).allowed


def test_where_no_bot_is_to_be_checked_none_is() -> None:
    assert created({**ANNOTATED, PARAMETERS: MISSPELT}, strategy_images=None) == Verdict()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", set()),
        (" , ", set()),
        ("a", {"a"}),
        ("a, b.example/c ,", {"a", "b.example/c"}),
        ("docker.io/library/a", {"a"}),
        ("localhost:5000/a", {"localhost:5000/a"}),
    ],
)
def test_a_setting_is_a_list_with_commas(text: str, read: set[str]) -> None:
    assert repositories([text]) == read
    assert TypeAdapter(StrategyImages).validate_python(text) == read
    assert TypeAdapter(StrategyImages).validate_python([text, "z"]) == {*read, "z"}


@pytest.mark.parametrize("text", ["a:1", "a@sha256:" + "0" * 64, "A", "a b", "https://x/a"])
def test_a_setting_that_could_equal_no_repository_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is not the repository of an image"):
        TypeAdapter(StrategyImages).validate_python(f"ok,{text}")


# ---- the annotation


@pytest.mark.parametrize("annotations", [None, {}, [], "v1", {ANNOTATION: None}, {"other": "v1"}])
def test_without_the_annotation_another_image_is_not_checked(annotations: Any) -> None:
    verdict = created({"metadata.annotations": annotations, IMAGE: FOREIGN, PARAMETERS: MISSPELT})

    assert verdict == Verdict()


def test_an_unknown_version_and_the_parameters_of_our_image_are_reported_together() -> None:
    verdict = created({"metadata.annotations": {ANNOTATION: "v9"}, PARAMETERS: MISSPELT})

    assert keys(verdict)[0] == [ANNOTATION, "level"]


@given(json_values, st.sampled_from([*PARAMETERS_OF, "Custom"]), json_values)
def test_no_annotation_and_no_parameters_break_the_review(
    annotation: Any, strategy_type: str, parameters: Any
) -> None:
    strategy = {"type": strategy_type, "image": OURS, "parameters": parameters}
    verdict = created({"metadata.annotations": {ANNOTATION: annotation}, "spec.strategy": strategy})

    assert all(str(finding) for finding in (*verdict.errors, *verdict.warnings))


@pytest.mark.parametrize(
    "changes", [{}, {PARAMETERS: MISSPELT}, {**ANNOTATED, IMAGE: FOREIGN, PARAMETERS: MISSPELT}]
)
def test_an_object_that_the_parser_reads_into_its_type_has_the_same_verdict(
    changes: dict[str, Any],
) -> None:
    obj = defaulted("TradingBot", changed(STRATEGY_BOT, changes))
    typed = TypedBot.model_validate_json(TypeAdapter(Any).dump_json(obj))

    assert review("TradingBot", typed, now=NOW) == review("TradingBot", obj, now=NOW)


# ---- what is reported once


def test_parameters_of_a_wrong_type_are_left_to_the_schema() -> None:
    verdict = created({PARAMETERS: {**GRID, "lowerPrice": 50000, "level": "5"}})

    assert keys(verdict)[0] == ["lowerPrice", "level"]


@pytest.mark.parametrize("broken", [{TYPE: "Grind"}, {IMAGE: "Not An Image"}, {PARAMETERS: "x"}])
def test_nothing_is_said_where_a_field_that_decides_is_malformed(broken: dict[str, Any]) -> None:
    (path,) = broken
    verdict = created({PARAMETERS: MISSPELT, **broken})

    assert [error.field for error in verdict.errors] == [path]


def test_a_list_of_mistakes_ends_at_its_bound() -> None:
    verdict = created({PARAMETERS: {f"p{n}": "" for n in range(64)}})
    too_many = created({PARAMETERS: {f"p{n}": "" for n in range(200)}})

    assert len(verdict.errors) == 64 + 3
    assert len(too_many.errors) == 1


# ---- updates


@pytest.mark.parametrize(
    "edit",
    [
        {"spec.riskManagement.maxPositionSize": "500"},
        {IMAGE: "tradingbot-strategies:0.2.0"},
        {PARAMETERS: {**MISSPELT, "orderSize": "50"}},
        {**ANNOTATED, "spec.mode": "Live"},
    ],
    ids=str,
)
def test_a_stored_mistake_is_a_warning_on_an_update_elsewhere(edit: dict[str, Any]) -> None:
    verdict = updated({PARAMETERS: MISSPELT}, edit)

    assert verdict.allowed
    assert "level" in keys(verdict)[1]


@pytest.mark.parametrize(
    ("edit", "refused"),
    [
        ({PARAMETERS: {**MISSPELT, "level": "6"}}, ["level"]),
        ({PARAMETERS: {**MISSPELT, "levels": "x"}}, ["levels"]),
        ({PARAMETERS: {**MISSPELT, "spcing": "x"}}, ["spcing"]),
        ({PARAMETERS: {"symbol": "BTC-USDT", "lowerPrice": "1", "level": "5"}}, ["upperPrice"]),
        ({PARAMETERS: {**MISSPELT, "upperPrice": "1"}}, ["upperPrice"]),
        ({PARAMETERS: {**MISSPELT, "lowerPrice": "80000"}}, ["upperPrice"]),
    ],
    ids=str,
)
def test_an_update_is_refused_for_the_mistakes_that_it_makes(
    edit: dict[str, Any], refused: list[str]
) -> None:
    assert keys(updated({PARAMETERS: MISSPELT}, edit))[0] == refused


@pytest.mark.parametrize(
    ("before", "edit"),
    [
        ({IMAGE: FOREIGN}, {IMAGE: OURS}),
        ({TYPE: "Custom"}, {TYPE: "Grid"}),
        ({IMAGE: FOREIGN}, {**ANNOTATED, "spec.mode": "Live"}),
    ],
    ids=str,
)
def test_an_update_that_begins_the_check_is_checked_in_full(
    before: dict[str, Any], edit: dict[str, Any]
) -> None:
    assert keys(updated({PARAMETERS: MISSPELT, **before}, edit))[0] == ["level"]


def test_an_update_to_another_strategy_is_checked_against_that_one() -> None:
    assert keys(updated({}, {TYPE: "DCA"}))[0] == ["lowerPrice", "upperPrice"]


def test_an_update_that_ends_the_check_is_not_checked() -> None:
    assert updated({PARAMETERS: MISSPELT}, {IMAGE: FOREIGN}) == Verdict()


@pytest.mark.parametrize(
    "edit", [{"spec.paused": True}, {"metadata.annotations": {ANNOTATION: "v9"}}], ids=str
)
def test_a_stop_and_a_change_of_metadata_are_never_refused(edit: dict[str, Any]) -> None:
    assert updated({PARAMETERS: MISSPELT}, edit) == Verdict()


def test_a_stop_may_bring_any_parameters_along() -> None:
    assert updated({}, {"spec.paused": True, PARAMETERS: {"nonsense": "x"}}) == Verdict()


def test_a_bot_that_is_started_again_is_checked_in_full() -> None:
    verdict = updated({PARAMETERS: MISSPELT, "spec.paused": True}, {"spec.paused": False})

    assert keys(verdict)[0] == ["level"]


def test_a_stored_version_that_is_unknown_blocks_no_other_edit() -> None:
    unknown = {"metadata.annotations": {ANNOTATION: "v9"}}

    assert keys(updated(unknown, {"spec.mode": "Live"})) == ([], [ANNOTATION])
    assert keys(updated({}, {**unknown, "spec.mode": "Live"}))[0] == [ANNOTATION]


@given(st.dictionaries(st.sampled_from([*GRID, "levels", "level", "x"]), st.sampled_from("0 5 a")))
def test_whatever_is_stored_an_edit_of_another_field_is_admitted(stored: dict[str, str]) -> None:
    assert updated({PARAMETERS: stored}, {"spec.updatePolicy": "Manual"}).allowed


def test_other_bots_are_not_touched_by_any_of_this() -> None:
    bot = changed(BOT, {PARAMETERS: {"anything": "goes"}})

    assert review("TradingBot", defaulted("TradingBot", bot), now=NOW) == Verdict()
