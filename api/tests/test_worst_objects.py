"""Objects whose mistakes are hundreds of times as long as they are: few words, and soon."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from admission_cases import BOT, NOW, REGISTRY, changed
from tradingbot_api.admission.review import MAX_COUNTED, defaulted, review
from tradingbot_api.errors import MAX_LISTED

SECONDS = 5.0
"""Of the processor, for what takes one at most on an idle machine; without bounds, these took 19
and more. The API server waits for five."""

Object = dict[str, Any]


def asset_registry(count: int, **fields: Any) -> Object:
    """That many assets, all with the same fields."""
    assets = [{"name": f"a{n}", "type": "Other", **fields} for n in range(count)]
    return changed(REGISTRY, {"spec.assets": assets})


def many(key: str, count: int) -> dict[str, Any]:
    return {f"{key}{n}": 0 for n in range(count)}


def ring(count: int) -> Object:
    """One cycle of assets with names as long as can be."""
    names = [f"a{n}".ljust(63, "x") for n in range(count)]
    assets = [
        {"name": name, "type": "Other", "dependsOn": [names[n - 1]]} for n, name in enumerate(names)
    ]
    return changed(REGISTRY, {"spec.assets": assets})


WORST: dict[str, Callable[[], Object]] = {
    "unknown dependencies": lambda: asset_registry(500, dependsOn=[f"n{n}" for n in range(499)]),
    "malformed dependencies": lambda: asset_registry(500, dependsOn=["_"] * 500),
    "as many malformed as are counted": lambda: asset_registry(40, dependsOn=["_"] * 500),
    "tags that stand twice": lambda: asset_registry(500, tags=["a"] * 32),
    "unknown fields": lambda: asset_registry(1, **many("x", 250_000)),
    "some unknown fields": lambda: asset_registry(1, **many("x", MAX_COUNTED)),
    "credentials in one config": lambda: asset_registry(1, config=many("password", 150_000)),
    "credentials in each config": lambda: asset_registry(500, config=many("password", 300)),
    "a long cycle": lambda: ring(500),
    "parameters": lambda: changed(BOT, {"spec.strategy.parameters": many("a", 250_000)}),
    "credentials": lambda: changed(
        BOT, {"spec.strategy.parameters": dict.fromkeys(many("apiKey", 150_000), "x")}
    ),
    "fields beside spec": lambda: {**BOT, **many("x", 250_000)},
    "empty assets": lambda: changed(REGISTRY, {"spec.assets": [{}] * 960_000}),
    "empty windows": lambda: changed(BOT, {"spec.schedule.windows": [{}] * 960_000}),
    "a config of objects": lambda: asset_registry(1, config={"a": [{}] * 960_000}),
    "a config of numbers": lambda: asset_registry(1, config={"a": [0] * 1_400_000}),
    "unknown fields in each asset": lambda: asset_registry(500, **many("x", 190)),
    "a field with a long name": lambda: changed(BOT, {f"spec.{'k' * 2_900_000}": 1}),
    "a dependency with a long name": lambda: asset_registry(1, dependsOn=["k" * 2_900_000]),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_objects_are_denied_in_few_words_and_soon(name: str) -> None:
    worst = WORST[name]()
    kind = worst["kind"]
    edit = {"spec.mode": "Live"} if kind == "TradingBot" else {"spec.deletionPolicy": "Retain"}
    edited = changed(worst, edit)

    for new, old in ((worst, None), (edited, worst)):
        begin = time.process_time()
        verdict = review(kind, defaulted(kind, new), old, now=NOW)
        assert time.process_time() - begin < SECONDS

        findings = [*verdict.errors, *verdict.warnings]
        assert 0 < len(findings) <= MAX_LISTED + 1
        assert sum(len(str(finding)) for finding in findings) < 600_000


def test_the_first_hundred_mistakes_are_listed_in_order_and_a_line_says_that_there_are_more() -> (
    None
):
    verdict = review("AssetRegistry", asset_registry(500, tags=["a", "a"]), now=NOW)

    assert [error.field for error in verdict.errors] == [
        *(f"spec.assets[{n}].tags[1]" for n in range(100)),
        "spec",
    ]
    assert str(verdict.errors[-1]) == (
        "spec: Too many: more than 100 mistakes; these are the first"
    )
    assert len(review("AssetRegistry", asset_registry(100, tags=["a", "a"]), now=NOW).errors) == 100


def test_warnings_are_listed_up_to_a_hundred_as_well() -> None:
    old = asset_registry(500, tags=["a", "a"])
    new = changed(old, {"spec.deletionPolicy": "Retain"})

    verdict = review("AssetRegistry", defaulted("AssetRegistry", new), old, now=NOW)

    assert verdict.allowed
    assert len(verdict.warnings) == 101
    assert str(verdict.warnings[-1]) == "spec: more than 100 warnings; these are the first"


@pytest.mark.parametrize("place", [0, 250, 499])
def test_one_new_mistake_among_many_old_ones_is_refused(place: int) -> None:
    """Cutting the list short must not let anything in."""
    old = asset_registry(500, config={"password": "x"}, dependsOn=["nowhere"], tags=["a", "a"])
    new = changed(old, {f"spec.assets.{place}.config": {"passphrase": "y"}})

    verdict = review("AssetRegistry", defaulted("AssetRegistry", new), old, now=NOW)

    assert f"spec.assets[{place}].config.passphrase" in [error.field for error in verdict.errors]


def test_values_of_a_wrong_form_beyond_counting_are_one_mistake() -> None:
    verdict = review("AssetRegistry", asset_registry(500, dependsOn=["_"] * 500), now=NOW)

    assert [str(error) for error in verdict.errors] == [
        "spec: Too many: 250000 values of a wrong form"
    ]


def test_the_middle_of_a_long_cycle_is_left_out() -> None:
    (error,) = review("AssetRegistry", ring(500), now=NOW).errors

    steps = error.message.split("closes the cycle ")[1].split(" -> ")
    assert steps[0] == steps[-1]
    assert len(steps) == 41
    assert steps[20] == "(461 more)"
    assert "more)" not in str(review("AssetRegistry", ring(39), now=NOW).errors)


# ---- one mistake does not hide another


def test_a_malformed_asset_hides_no_mistake_of_the_others() -> None:
    assets = [
        {"name": "a", "type": "Nonsense", "config": {"password": "x"}, "tags": ["t", "t"]},
        {"name": "b", "type": "ApiEndpoint", "status": "Wrong", "dependsOn": ["c", "nowhere"]},
        "no asset at all",
        {"name": "c", "type": "Other", "config": {"api_key": "x"}, "tags": ["Upper", "t", "t"]},
    ]
    whole = changed(REGISTRY, {"spec.assets": [*assets[:2], assets[3]]})

    def fields(obj: Object) -> list[str]:
        return [
            error.field
            for error in review("AssetRegistry", defaulted("AssetRegistry", obj), now=NOW).errors
        ]

    assert fields(changed(REGISTRY, {"spec.assets": assets})) == [
        "spec.assets[0].type",
        "spec.assets[0].tags[1]",
        "spec.assets[1].status",
        "spec.assets[1].config.url",
        "spec.assets[2]",
        "spec.assets[3].tags[0]",
        "spec.assets[3].config.api_key",
    ]
    assert "spec.assets[1].dependsOn[1]" in fields(whole), "names and edges are all in order"


def test_a_malformed_parameter_hides_no_credential_beside_it() -> None:
    parameters = {"levels": 5, "apiKey": "x", "1st": "x", "password": 7}

    verdict = review("TradingBot", changed(BOT, {"spec.strategy.parameters": parameters}), now=NOW)

    assert {error.field: error.message.split(":")[0] for error in verdict.errors} == {
        "spec.strategy.parameters[levels]": "Invalid value",
        "spec.strategy.parameters[apiKey]": "Forbidden",
        "spec.strategy.parameters[1st]": "Invalid value",
        "spec.strategy.parameters[password]": "Invalid value",
    }


def test_a_malformed_window_or_blackout_hides_no_mistake_of_the_others() -> None:
    windows = [{"start": "late", "end": "10:00"}, {"start": "09:00", "end": "09:00"}]
    blackouts = [{"from": "x"}, {"from": "2030-01-02T00:00:00Z", "to": "2030-01-01T00:00:00Z"}]
    bot = changed(BOT, {"spec.schedule.windows": windows, "spec.schedule.blackouts": blackouts})

    verdict = review("TradingBot", defaulted("TradingBot", bot), now=NOW)

    assert [error.field for error in verdict.errors] == [
        "spec.schedule.windows[0].start",
        "spec.schedule.windows[1].end",
        "spec.schedule.blackouts[0].from",
        "spec.schedule.blackouts[0].to",
        "spec.schedule.blackouts[1].to",
    ]


def test_an_unknown_field_hides_no_mistake_beside_it() -> None:
    bot = changed(
        BOT, {"spec.resources": {"limit": {}, "limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}
    )

    verdict = review("TradingBot", defaulted("TradingBot", bot), now=NOW)

    assert [error.field for error in verdict.errors] == [
        "spec.resources.requests.cpu",
        "spec.resources.limit",
    ]


def test_a_malformed_asset_hides_no_forbidden_step_of_another() -> None:
    old = changed(
        REGISTRY,
        {"spec.assets": [{"name": n, "type": "Other", "status": "Active"} for n in ("a", "b")]},
    )
    new = changed(old, {"spec.assets.0.type": "Nonsense", "spec.assets.1.status": "Draft"})

    verdict = review("AssetRegistry", defaulted("AssetRegistry", new), old, now=NOW)

    assert [error.field for error in verdict.errors] == [
        "spec.assets[0].type",
        "spec.assets[1].status",
    ]
