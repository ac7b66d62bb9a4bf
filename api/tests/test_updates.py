"""Updates: a stop is never refused, and what was wrong before is warned of and not refused."""

from typing import Any

import pytest
from admission_cases import BOT, NOW, REGISTRY, changed
from tradingbot_api.admission.review import defaulted, review
from tradingbot_api.asset import ALLOWED_TRANSITIONS, AssetStatus, may_become
from tradingbot_api.errors import Verdict

CYCLE = [
    {"name": "a", "type": "Other", "dependsOn": ["b"]},
    {"name": "b", "type": "Other", "dependsOn": ["a"]},
]
LEAKY = {"name": "leaky", "type": "Other", "config": {"password": "x"}}


def update(
    base: dict[str, Any], before: dict[str, Any], after: dict[str, Any], *remove: str
) -> Verdict:
    """The verdict on an update of `base` with `before` set, to that with `after` set too."""
    old = changed(base, before)
    new = changed(old, after, remove)
    return review(base["kind"], defaulted(base["kind"], new), old, now=NOW)


def fields(verdict: Verdict) -> tuple[list[str], list[str]]:
    return [finding.field for finding in verdict.errors], [
        finding.field for finding in verdict.warnings
    ]


# ---- what is never refused


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"spec.riskManagement.stopLossPercentage": "150"},
        {"spec.strategy": None},
        {"spec.exchange.name": "Coinbase"},
        {"spec.unknown": 1},
        {"metadata.name": "Not A Name"},
    ],
    ids=str,
)
def test_a_stop_is_never_refused_whatever_else_the_update_holds(change: dict[str, Any]) -> None:
    verdict = update(BOT, {}, {**change, "spec.paused": True})

    assert verdict == Verdict()


def test_a_paused_bot_may_be_edited_into_anything_as_long_as_it_stays_paused() -> None:
    verdict = update(BOT, {"spec.paused": True}, {"spec.strategy.image": "Not An Image"})

    assert verdict == Verdict()


@pytest.mark.parametrize("paused", ["true", 1, "yes"])
def test_what_is_not_true_is_no_stop(paused: object) -> None:
    verdict = update(BOT, {}, {"spec.paused": paused})

    assert fields(verdict)[0] == ["spec.paused"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"metadata.labels": {"team": "a"}},
        {"metadata.annotations": {"note": "x"}},
        {"metadata.finalizers": []},
        {"metadata.ownerReferences": []},
        {"status": {"phase": "Running"}},
    ],
    ids=str,
)
def test_an_update_of_metadata_or_status_alone_is_never_refused(metadata: dict[str, Any]) -> None:
    broken = {"spec.strategy.image": "Not An Image", "spec.riskManagement": {}}

    assert update(BOT, broken, metadata) == Verdict()


def test_an_update_that_only_writes_defaults_out_is_no_change() -> None:
    broken = {"spec.strategy.image": "Not An Image"}

    assert update(BOT, broken, {"spec.mode": "Paper", "spec.paused": False}) == Verdict()


@pytest.mark.parametrize("base", [BOT, REGISTRY], ids=lambda base: base["kind"])
def test_an_object_that_is_being_deleted_is_never_refused(base: dict[str, Any]) -> None:
    verdict = update(base, {}, {"metadata.deletionTimestamp": "2026-11-24T12:00:00Z", "spec": {}})

    assert verdict == Verdict()


# ---- unpausing


@pytest.mark.parametrize("remove", [(), ("spec.paused",)], ids=["to false", "to unset"])
def test_unpausing_is_checked_in_full_also_what_did_not_change(remove: tuple[str, ...]) -> None:
    broken = {"spec.paused": True, "spec.riskManagement.stopLossPercentage": "150"}
    after = {} if remove else {"spec.paused": False}

    verdict = update(BOT, broken, after, *remove)

    assert [str(error) for error in verdict.errors] == [
        (
            'spec.riskManagement.stopLossPercentage: Invalid value: "150": must be greater than 0'
            " and less than 100"
        )
    ]


def test_unpausing_a_bot_in_order_is_allowed() -> None:
    assert update(BOT, {"spec.paused": True}, {"spec.paused": False}).allowed


# ---- ratcheting


def test_a_mistake_that_was_there_before_is_a_warning_in_the_same_words() -> None:
    broken = {"spec.strategy.image": "Not An Image"}

    verdict = update(BOT, broken, {"spec.riskManagement.maxPositionSize": "500"})

    assert verdict.errors == ()
    (warning,) = verdict.warnings
    assert str(warning).startswith('spec.strategy.image: Invalid value: "Not An Image": must be')


def test_the_same_mistake_is_an_error_when_it_is_made_anew() -> None:
    verdict = update(
        BOT, {"spec.strategy.image": "Not An Image"}, {"spec.strategy.image": "Nor This"}
    )

    assert fields(verdict)[0] == ["spec.strategy.image"]


def test_a_new_mistake_is_refused_beside_an_old_one() -> None:
    verdict = update(
        BOT, {"spec.strategy.image": "Not An Image"}, {"spec.schedule.timeZone": "Mars"}
    )

    assert fields(verdict) == (["spec.schedule.timeZone"], ["spec.strategy.image"])


def test_a_mistake_that_is_mended_is_not_spoken_of() -> None:
    verdict = update(BOT, {"spec.strategy.image": "Not An Image"}, {"spec.strategy.image": "bot:1"})

    assert verdict == Verdict()


@pytest.mark.parametrize(
    ("before", "unrelated", "related"),
    [
        (
            {"spec.exchange.name": "Custom"},
            {"spec.updatePolicy": "Manual"},
            {"spec.mode": "Live"},
        ),
        (
            {"spec.exchange.apiSecretPath": "api-key"},
            {"spec.exchange.baseURL": "https://example.com"},
            {"spec.exchange.apiKeyPath": "key", "spec.exchange.apiSecretPath": "key"},
        ),
        (
            {"spec.resources.requests.cpu": "4"},
            {"spec.paused": False, "spec.mode": "Live"},
            {"spec.resources.limits.cpu": "3"},
        ),
        (
            {"spec.schedule.windows": [{"start": "09:00", "end": "11:00"}] * 2},
            {"spec.schedule.dayStart": "22:00"},
            {"spec.schedule.windows": [{"start": "09:00", "end": "10:00"}] * 2},
        ),
    ],
    ids=["address", "key paths", "requests", "windows"],
)
def test_a_mistake_between_fields_is_new_when_one_of_them_changes(
    before: dict[str, Any], unrelated: dict[str, Any], related: dict[str, Any]
) -> None:
    assert update(BOT, before, unrelated).allowed
    assert not update(BOT, before, related).allowed


STOP, POSITION = "spec.riskManagement.stopLossPercentage", "spec.riskManagement.maxPositionSize"
CPU = "spec.resources.limits.cpu"
SPELLINGS = [
    (STOP, ["150", 150, "150.0", "0150"]),
    (POSITION, ["0", 0, "0.00", 0.0]),
    (CPU, ["0", 0, "0m", "0e3"]),
    (CPU, ["much"]),
    (POSITION, [-5]),
    (POSITION, [True]),
]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        (path, before, after)
        for path, spellings in SPELLINGS
        for before in spellings
        for after in spellings
    ],
)
def test_a_mistake_in_another_spelling_is_not_a_new_one(
    path: str, before: object, after: object
) -> None:
    assert update(BOT, {path: before}, {path: after}) == Verdict()
    beside = update(BOT, {path: before}, {path: after, "spec.updatePolicy": "Manual"})
    assert beside.allowed
    assert [warning.field for warning in beside.warnings] == [path]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [(STOP, "150", 151), (STOP, 150, "15e1"), (POSITION, 1, True), (CPU, "0", "0x")],
)
def test_another_value_is_a_new_mistake(path: str, before: object, after: object) -> None:
    assert not update(BOT, {path: before}, {path: after}).allowed


def test_a_limit_lowered_below_a_request_that_stays_is_refused() -> None:
    verdict = update(
        BOT, {"spec.resources.requests.cpu": "500m"}, {"spec.resources.limits.cpu": 0.1}
    )

    assert fields(verdict)[0] == ["spec.resources.requests.cpu"]


def test_one_bad_parameter_does_not_stand_in_the_way_of_another() -> None:
    before = {"spec.strategy.parameters": {"password": "x", "levels": "5"}}

    assert update(BOT, before, {"spec.strategy.parameters.levels": "6"}).allowed
    assert not update(BOT, before, {"spec.strategy.parameters.password": "y"}).allowed
    assert not update(BOT, before, {"spec.strategy.parameters.apiKey": "x"}).allowed


def test_what_is_missing_from_something_new_was_not_missing_before() -> None:
    """Neither object has a value there; only the new one needs it."""
    window = {"spec.schedule.windows": [{"start": "09:00"}]}
    secret = {"spec.assets.0.secretRef": {"name": "login"}}

    assert fields(update(BOT, {}, window))[0] == ["spec.schedule.windows[0].end"]
    assert fields(update(REGISTRY, {}, secret))[0] == ["spec.assets[0].secretRef.key"]
    assert update(BOT, window, {"spec.mode": "Live"}).allowed


def test_true_is_not_one_and_a_change_between_them_is_seen() -> None:
    verdict = update(BOT, {}, {"spec.riskManagement.maxOpenPositions": True})

    assert fields(verdict)[0] == ["spec.riskManagement.maxOpenPositions"]
    assert fields(update(BOT, {}, {"spec.paused": 0}))[0] == ["spec.paused"]


def test_a_new_default_never_looks_like_the_users_change() -> None:
    """The stored object predates the field: what is filled in now was not written by the user."""
    old = changed(BOT, {"spec.exchange.apiKeyPath": "api-secret"})
    new = defaulted("TradingBot", changed(old, {"spec.strategy.type": "DCA"}))

    verdict = review("TradingBot", new, old, now=NOW)

    assert fields(verdict) == ([], ["spec.exchange.apiSecretPath"])


@pytest.mark.parametrize("old_spec", [None, [], "x", {}, {"strategy": 1, "exchange": []}])
@pytest.mark.parametrize("base", [BOT, REGISTRY], ids=lambda base: base["kind"])
def test_an_old_object_of_any_shape_may_be_mended(base: dict[str, Any], old_spec: object) -> None:
    assert review(
        base["kind"], defaulted(base["kind"], base), {**base, "spec": old_spec}, now=NOW
    ).allowed


# ---- immutability


def test_the_exchange_can_not_be_changed() -> None:
    verdict = update(BOT, {}, {"spec.exchange.name": "Coinbase"})

    assert [str(error) for error in verdict.errors] == [
        (
            'spec.exchange.name: Invalid value: "Coinbase": is immutable: open positions and'
            " credentials belong to one exchange; create another bot instead"
        )
    ]


def test_an_exchange_that_was_no_exchange_may_be_mended() -> None:
    assert update(BOT, {"spec.exchange.name": "Kraken"}, {"spec.exchange.name": "Binance"}).allowed


# ---- the lifecycle of assets


@pytest.mark.parametrize("old", AssetStatus)
@pytest.mark.parametrize("new", AssetStatus)
def test_an_asset_takes_the_steps_of_the_lifecycle_and_no_other(
    old: AssetStatus, new: AssetStatus
) -> None:
    verdict = update(
        REGISTRY, {"spec.assets.0.status": old.value}, {"spec.assets.0.status": new.value}
    )

    assert verdict.allowed == may_become(old, new)
    if not verdict.allowed:
        allowed = ", ".join(sorted(ALLOWED_TRANSITIONS[old]))
        assert [str(error) for error in verdict.errors] == [
            (
                f'spec.assets[0].status: Invalid value: "{new}": the asset is {old} and may become'
                f" only {allowed}"
            )
        ]


def test_nothing_returns_to_draft_and_every_other_step_is_known() -> None:
    steps = {(old, new) for old in AssetStatus for new in AssetStatus if may_become(old, new)}

    assert {(old, new) for old, new in steps if new == AssetStatus.DRAFT and old != new} == set()
    assert len(steps) == 4 + 9


def test_an_asset_is_known_by_its_name_and_not_by_its_place() -> None:
    one, two = ({"name": name, "type": "Other", "status": "Active"} for name in ("one", "two"))
    draft = {**two, "status": "Draft"}

    moved = update(REGISTRY, {"spec.assets": [one, draft]}, {"spec.assets": [draft, one]})
    back = update(REGISTRY, {"spec.assets": [one, two]}, {"spec.assets": [draft, one]})

    assert moved.allowed
    assert fields(back)[0] == ["spec.assets[0].status"]


def test_an_asset_added_may_have_any_status() -> None:
    added = [{"name": status.lower(), "type": "Other", "status": status} for status in AssetStatus]

    assert update(REGISTRY, {}, {"spec.assets": [*REGISTRY["spec"]["assets"], *added]}).allowed


@pytest.mark.parametrize(
    "assets",
    [
        [LEAKY, {"name": "new", "type": "Other"}],
        [{"name": "new", "type": "Other"}, LEAKY],
        [{**LEAKY, "status": "Failed"}],
        [{**LEAKY, "description": "mind this one"}],
    ],
    ids=["one added behind", "one added before", "marked as failed", "described"],
)
def test_a_mistake_in_an_asset_does_not_stand_in_the_way_of_other_edits(
    assets: list[dict[str, Any]],
) -> None:
    verdict = update(REGISTRY, {"spec.assets": [LEAKY]}, {"spec.assets": assets})

    place = assets.index(next(asset for asset in assets if asset["name"] == "leaky"))
    assert fields(verdict) == ([], [f"spec.assets[{place}].config.password"])


@pytest.mark.parametrize(
    "asset",
    [
        {**LEAKY, "config": {"password": "y"}},
        {**LEAKY, "config": {"password": "x", "more": 1}},
        {**LEAKY, "name": "renamed"},
        {**LEAKY, "type": "ApiEndpoint"},
    ],
    ids=["value", "beside it", "renamed", "other type"],
)
def test_a_mistake_in_a_config_is_new_when_the_config_or_the_asset_is(
    asset: dict[str, Any],
) -> None:
    assert not update(REGISTRY, {"spec.assets": [LEAKY]}, {"spec.assets": [asset]}).allowed


def test_removing_an_asset_that_another_needs_is_refused() -> None:
    assets = [{"name": "a", "type": "Other", "dependsOn": ["b"]}, {"name": "b", "type": "Other"}]

    verdict = update(REGISTRY, {"spec.assets": assets}, {"spec.assets": assets[:1]})

    assert fields(verdict)[0] == ["spec.assets[0].dependsOn[0]"]


def test_a_cycle_that_is_stored_stays_until_edges_or_names_change() -> None:
    assert update(REGISTRY, {"spec.assets": CYCLE}, {"spec.deletionPolicy": "Retain"}).allowed
    assert update(REGISTRY, {"spec.assets": CYCLE}, {"spec.assets.0.tags": ["x"]}).allowed
    edges = {"spec.assets.0.dependsOn": ["b", "0d9b1a44-9d3c-4b0e-8c51-0d60c7b8a1f2"]}
    assert not update(REGISTRY, {"spec.assets": CYCLE}, edges).allowed
    added = [*CYCLE, {"name": "c", "type": "Other"}]
    assert not update(REGISTRY, {"spec.assets": CYCLE}, {"spec.assets": added}).allowed
