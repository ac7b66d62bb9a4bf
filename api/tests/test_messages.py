"""The words of an error: as the API server has them, short, and printable whatever they quote."""

import pytest
from admission_cases import BOT, NOW, REGISTRY, changed
from tradingbot_api.admission.fields import every_field, order
from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_api.errors import ErrorReason, FieldError, FieldWarning, MapKey, dotted, shown


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (FieldError.required(("a",)), "FieldValueRequired", "a: Required value"),
        (FieldError.required(("a",), "so"), "FieldValueRequired", "a: Required value: so"),
        (
            FieldError.invalid(("a", 0, "b"), "x", "must be y"),
            "FieldValueInvalid",
            'a[0].b: Invalid value: "x": must be y',
        ),
        (
            FieldError.not_supported(("a",), "x", ["y", "z"]),
            "FieldValueNotSupported",
            'a: Unsupported value: "x": supported values: "y", "z"',
        ),
        (FieldError.forbidden(("a",), "not so"), "FieldValueForbidden", "a: Forbidden: not so"),
        (FieldError.duplicate(("a",), "x"), "FieldValueDuplicate", 'a: Duplicate value: "x"'),
        (
            FieldError.too_long(("a",), 5),
            "FieldValueTooLong",
            "a: Too long: may not be more than 5 characters",
        ),
        (
            FieldError.too_many(("a",), 6, 5),
            "FieldValueTooMany",
            "a: Too many: 6: must have at most 5 items",
        ),
        (
            FieldError.type_invalid(("a",), 5, "a string", sensitive=False),
            "FieldValueTypeInvalid",
            "a: Invalid value: 5: must be a string",
        ),
    ],
)
def test_an_error_has_the_reason_and_the_words_of_the_api_server(
    error: FieldError, reason: str, words: str
) -> None:
    assert error.reason == ErrorReason(reason)
    assert str(error) == words
    assert error.field == words.split(":", maxsplit=1)[0]


def test_a_warning_names_its_field() -> None:
    assert str(FieldWarning(("spec", MapKey("a.b")), "mind this")) == "spec[a.b]: mind this"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (2.5, "2.5"),
        ("x", '"x"'),
        ('say "x"\n', '"say \\"x\\"\\n"'),
        ("x" * 64, '"' + "x" * 64 + '"'),
        ("x" * 65, '"' + "x" * 64 + '..."'),
        ("\u00fc", '"\u00fc"'),
        ("\ud800", '"\\ud800"'),
        (10**5000, "(a huge number)"),
        (-(10**5000), "(a huge number)"),
        ({"a": 1}, '"object"'),
        ([1], '"array"'),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_a_value_is_quoted_as_json_and_cut_when_it_is_long(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_path_with_half_a_character_in_it_can_be_printed() -> None:
    assert dotted(("spec", MapKey("\ud800"))).encode() == b"spec[\\ud800]"


def test_a_key_of_any_length_is_cut_in_a_path() -> None:
    assert dotted(("spec", "k" * 129, MapKey("k" * 128))) == f"spec.{'k' * 128}...[{'k' * 128}]"


def test_text_that_is_not_unicode_is_refused_like_any_other_mistake() -> None:
    """JSON can escape half a surrogate pair; nothing can store it."""
    changes = {
        "spec.strategy.image": "\ud800",
        "spec.strategy.parameters": {"a": "\udfff"},
        "spec.schedule.timeZone": "\ud800",
    }
    verdict = review("TradingBot", defaulted("TradingBot", changed(BOT, changes)), now=NOW)

    assert [error.field for error in verdict.errors] == [
        "spec.strategy.image",
        "spec.strategy.parameters[a]",
        "spec.schedule.timeZone",
    ]
    for error in verdict.errors:
        assert str(error).encode()


@pytest.mark.parametrize("path", ["\ud800", "spec.\ud800", "spec.strategy.\ud800"])
def test_a_key_that_is_not_unicode_is_refused_too(path: str) -> None:
    verdict = review("TradingBot", defaulted("TradingBot", changed(BOT, {path: 1})), now=NOW)

    (error,) = verdict.errors
    assert str(error).encode()


def test_keys_that_are_no_strings_are_refused_like_any_other_mistake() -> None:
    """YAML has them, and JSON does not."""
    bot = changed(BOT, {"spec.strategy.parameters": {1: "x"}})
    bot["spec"][2] = "y"

    verdict = review("TradingBot", defaulted("TradingBot", bot), now=NOW)

    assert [str(error) for error in verdict.errors] == [
        "spec.strategy.parameters[1]: Invalid value: 1: must be a string",
        "spec[2]: Invalid value: 2: must be an object whose keys are strings",
    ]


def test_json_of_any_depth_is_reviewed_without_recursion() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": [deep]}
    old = {**REGISTRY, "spec": {"assets": [{"name": "a", "type": "Other", "config": deep}]}}
    new = {**old, "spec": {**old["spec"], "deletionPolicy": "Retain", "x": deep}}

    created = review("AssetRegistry", defaulted("AssetRegistry", old), now=NOW)
    updated = review("AssetRegistry", defaulted("AssetRegistry", new), old, now=NOW)

    assert [str(error) for error in created.errors] == [
        'spec.assets[0].config: Invalid value: "object": must nest at most 100 levels deep'
    ]
    assert [error.field for error in updated.errors] == ["spec.x"]
    assert [warning.field for warning in updated.warnings] == ["spec.assets[0].config"]


def test_as_many_cycles_as_there_can_be_are_told_in_a_few_words() -> None:
    """500 assets that all need one another have 124,750 edges that close a cycle."""
    names = [f"a{n}" for n in range(500)]
    assets = [
        {"name": name, "type": "Other", "dependsOn": [other for other in names if other != name]}
        for name in names
    ]
    asset_registry = defaulted("AssetRegistry", changed(REGISTRY, {"spec.assets": assets}))

    verdict = review("AssetRegistry", asset_registry, now=NOW)

    too_large, first, *_ = map(str, verdict.errors)
    assert too_large.startswith("spec.assets: Too long")
    assert first.endswith("closes the cycle a0 -> a1 -> a0")
    assert sum(len(error.message) for error in verdict.errors) < 100_000


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_errors_is_the_order_of_the_schema(kind: str) -> None:
    model = KINDS[kind].model
    paths = [path for path, _ in every_field(model)]

    ranks = [order(model, path) for path in paths]

    assert ranks == sorted(ranks)
    assert order(model, ("metadata", "name")) < min(ranks)
    assert order(model, ("unknown",)) > max(ranks)


def test_items_of_lists_come_in_the_order_of_their_index() -> None:
    windows = [{"start": "09:00", "end": "late"} for _ in range(12)]
    bot = changed(BOT, {"spec.schedule.windows": windows, "spec.schedule.dayStart": "early"})

    verdict = review("TradingBot", defaulted("TradingBot", bot), now=NOW)

    assert [error.field for error in verdict.errors] == [
        "spec.schedule.dayStart",
        *(f"spec.schedule.windows[{n}].end" for n in range(12)),
    ]
