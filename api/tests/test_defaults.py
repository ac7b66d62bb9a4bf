"""Defaults: every one of the contract, and what they leave alone."""

from typing import Any

import pytest
from admission_cases import BOT, NOW, REGISTRY, changed
from tradingbot_api.admission.fields import value_at
from tradingbot_api.admission.review import defaulted, review


def at(obj: dict[str, Any], path: str) -> Any:
    return value_at(obj, tuple(int(s) if s.isdecimal() else s for s in path.split(".")))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.strategy.parameters", {}),
        ("spec.exchange.apiKeyPath", "api-key"),
        ("spec.exchange.apiSecretPath", "api-secret"),
        ("spec.mode", "Paper"),
        ("spec.resources.limits.cpu", "500m"),
        ("spec.resources.limits.memory", "256Mi"),
        ("spec.riskManagement.stopLossPercentage", "2"),
        ("spec.riskManagement.maxOpenPositions", 1),
        ("spec.riskManagement.priceCollarPercentage", "5"),
        ("spec.riskManagement.maxOrdersPerMinute", 60),
        ("spec.schedule.timeZone", "UTC"),
        ("spec.schedule.dayStart", "00:00"),
        ("spec.schedule.windows", []),
        ("spec.schedule.blackouts", []),
        ("spec.updatePolicy", "WhenFlat"),
        ("spec.paused", False),
    ],
)
def test_a_bot_that_leaves_a_field_out_gets_its_default(path: str, value: object) -> None:
    assert at(defaulted("TradingBot", BOT), path) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.deletionPolicy", "Delete"),
        ("spec.assets.0.status", "Draft"),
        ("spec.assets.0.description", ""),
        ("spec.assets.0.tags", []),
        ("spec.assets.0.config", {}),
        ("spec.assets.0.dependsOn", []),
    ],
)
def test_a_catalogue_that_leaves_a_field_out_gets_its_default(path: str, value: object) -> None:
    assert at(defaulted("AssetRegistry", REGISTRY), path) == value


def test_what_has_no_default_stays_unset() -> None:
    bot, asset_registry = defaulted("TradingBot", BOT), defaulted("AssetRegistry", REGISTRY)

    assert "baseURL" not in bot["spec"]["exchange"]
    assert bot["spec"]["resources"] == {"limits": {"cpu": "500m", "memory": "256Mi"}}
    for name in ("takeProfitPercentage", "enforcement", "allowedSymbols"):
        assert name not in bot["spec"]["riskManagement"]
    for name in ("dialect", "quoteCurrency", "paperBalance"):
        assert name not in bot["spec"]["exchange"]
    assert "secretRef" not in asset_registry["spec"]["assets"][0]


def test_a_window_is_of_all_seven_days_unless_it_says_which() -> None:
    windows = [{"start": "09:00", "end": "10:00"}, {"days": ["Sun"], "start": "11:00"}]
    bot = defaulted("TradingBot", changed(BOT, {"spec.schedule.windows": windows}))

    first, second = bot["spec"]["schedule"]["windows"]
    assert first["days"] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert second == windows[1]


def test_what_the_user_wrote_as_a_valid_value_is_never_rewritten() -> None:
    written = {
        "spec.riskManagement.dailyLossLimit": 200,
        "spec.riskManagement.maxPositionSize": "1000.00",
        "spec.riskManagement.stopLossPercentage": "02.50",
        "spec.riskManagement.takeProfitPercentage": "5.0",
        "spec.resources.limits.cpu": "0.500",
        "spec.resources.requests.memory": "65536Ki",
    }

    bot = defaulted("TradingBot", changed(BOT, written))

    assert {path: at(bot, path) for path in written} == written


def test_the_given_object_is_left_as_it_is() -> None:
    bot = changed(BOT, {"spec.schedule.windows": [{"start": "09:00", "end": "10:00"}]})
    before = changed(bot)

    changed_copy = defaulted("TradingBot", bot)
    changed_copy["spec"]["schedule"]["windows"][0]["days"].clear()

    assert bot == before
    assert defaulted("TradingBot", bot)["spec"]["schedule"]["windows"][0]["days"]


def test_two_objects_never_share_a_default() -> None:
    one, other = (defaulted("AssetRegistry", REGISTRY)["spec"]["assets"][0] for _ in range(2))

    for name in ("config", "tags", "dependsOn"):
        assert one[name] is not other[name]


@pytest.mark.parametrize("spec", [None, [], "spec", 5, {}, {"strategy": [], "resources": 1}])
@pytest.mark.parametrize("kind", ["TradingBot", "AssetRegistry"])
def test_what_is_malformed_stays_as_it_is_and_is_refused(kind: str, spec: object) -> None:
    obj = defaulted(kind, {"kind": kind, "metadata": {"name": "x"}, "spec": spec})

    if isinstance(spec, dict):
        assert {name: obj["spec"][name] for name in spec} == spec
    else:
        assert obj["spec"] == spec
    assert not review(kind, obj, now=NOW).allowed
