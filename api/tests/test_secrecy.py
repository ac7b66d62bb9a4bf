"""What may be a credential is never repeated: not in an error, not in a warning."""

from typing import Any

import pytest
from admission_cases import BOT, NOW, REGISTRY, changed
from tradingbot_api.admission.review import defaulted, review

SECRET = "hUnter2+S3cr3t"
URL = f"https://user:{SECRET}@example.com"
DEEP: dict[str, Any] = {"levels": [{"api_key": SECRET, "url": URL, "Password": {"is": SECRET}}]}


@pytest.mark.parametrize(
    ("base", "path", "value"),
    [
        (BOT, "spec.exchange.apiKeySecret", SECRET),
        (BOT, "spec.exchange.apiKeySecret", {"value": SECRET}),
        (BOT, "spec.exchange.apiKeyPath", SECRET),
        (BOT, "spec.exchange.apiSecretPath", [SECRET]),
        (BOT, "spec.exchange.passphrasePath", SECRET),
        (BOT, "spec.exchange.passphrase", SECRET),
        (BOT, "spec.exchange.apiKey", SECRET),
        (BOT, "spec.exchange.baseURL", URL),
        (BOT, "spec.exchange.baseURL", f"https://example.com/?signature={SECRET}"),
        (BOT, "spec.exchange.baseURL", f"wss://{SECRET}"),
        (BOT, "spec.exchange.baseURL", {"url": URL}),
        (BOT, "spec.exchange", SECRET),
        (BOT, "spec.strategy.parameters", {"apiKey": SECRET}),
        (BOT, "spec.strategy.parameters", {"my.access_token": SECRET}),
        (BOT, "spec.strategy.parameters", {"passphrase": SECRET * 1000}),
        (BOT, "spec.strategy.parameters", {"passphrase": [SECRET]}),
        (BOT, "spec.strategy.parameters", {"telegram_token": SECRET, "mnemonic": SECRET}),
        (BOT, "spec.strategy.parameters", {"note": f"Bearer {SECRET}", "dsn": URL}),
        (BOT, "spec.strategy.parameters", {"odbc": f"Server=db;Password={SECRET}"}),
        (BOT, "spec.strategy.parameters", {"json": f'{{"token": "{SECRET}"}}'}),
        (BOT, "spec.strategy.image", URL),
        (BOT, "spec.schedule.timeZone", f"Bearer {SECRET}"),
        (BOT, "spec.strategy.parameters", SECRET),
        (BOT, "spec.strategy.parameters", [SECRET]),
        (REGISTRY, "spec.assets.0.config", DEEP),
        (REGISTRY, "spec.assets.0.config", {"password": SECRET}),
        (REGISTRY, "spec.assets.0.config", {"dsn": f"jdbc:postgresql://user:{SECRET}@db/x"}),
        (REGISTRY, "spec.assets.0.config", {"headers": {"Authorization": f"Bearer {SECRET}"}}),
        (REGISTRY, "spec.assets.0.config", {"url": f"https://x/?apikey={SECRET}"}),
        (REGISTRY, "spec.assets.0.config", {"token": {"value": SECRET}, "secrets": [SECRET]}),
        (REGISTRY, "spec.assets.0.config", {"filler": SECRET * 5000}),
        (REGISTRY, "spec.assets.0.config", URL),
        (REGISTRY, "spec.assets.0.config", [SECRET]),
        (REGISTRY, "spec.assets.0.secretRef", SECRET),
        (REGISTRY, "spec.assets.0.secretRef", {"name": SECRET, "key": SECRET}),
        (REGISTRY, "spec.assets.0.secretRef", {"name": "a", "key": "b", "value": SECRET}),
        (REGISTRY, "spec.assets.0.password", SECRET),
        (REGISTRY, "spec.assets", SECRET),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_without_being_repeated(
    base: dict[str, Any], path: str, value: object
) -> None:
    kind = base["kind"]
    obj = defaulted(kind, changed(base, {path: value}))
    unrelated = {
        "TradingBot": {"spec.mode": "Live"},
        "AssetRegistry": {"spec.deletionPolicy": "Retain"},
    }

    created = review(kind, obj, now=NOW)
    updated = review(kind, changed(obj, unrelated[kind]), obj, now=NOW)

    assert created.errors
    assert updated.warnings
    for finding in (*created.errors, *created.warnings, *updated.errors, *updated.warnings):
        assert SECRET[:8] not in str(finding)


@pytest.mark.parametrize("value", [731964, 731964.5, True])
def test_a_credential_that_is_a_number_is_not_repeated_either(value: object) -> None:
    bot = changed(BOT, {"spec.strategy.parameters": {"accessKey": value}})

    (error,) = review("TradingBot", defaulted("TradingBot", bot), now=NOW).errors

    assert str(error) == (
        "spec.strategy.parameters[accessKey]: Invalid value: (not shown): must be a string"
    )
