"""Admission as people meet it: through kubectl."""

import json

import pytest
from person import Object, Person, condition, eventually, sample, sample_bot
from tradingbot_dev.product.system import WEBHOOKS, System

BOT = "arb-bot-binance"


def risk(**changes: object) -> Object:
    limits = {**sample_bot()["spec"]["riskManagement"], **changes}
    return sample_bot(riskManagement={key: one for key, one in limits.items() if one is not None})


BROKEN = {
    "a negative position size": (
        risk(maxPositionSize="-5"),
        "spec.riskManagement.maxPositionSize",
    ),
    "no daily limit": (risk(dailyLossLimit=None), "spec.riskManagement.dailyLossLimit"),
    "a stop of 150 %": (risk(stopLossPercentage="150"), "spec.riskManagement.stopLossPercentage"),
    "no Secret": (sample_bot(exchange={"name": "Binance"}), "spec.exchange.apiKeySecret"),
    "an unknown time zone": (
        sample_bot(schedule={"timeZone": "Mars/Olympus"}),
        "spec.schedule.timeZone",
    ),
    "overlapping windows": (
        sample_bot(
            schedule={
                "windows": [
                    {"days": ["Sun"], "start": "22:00", "end": "06:00"},
                    {"days": ["Mon"], "start": "05:00", "end": "08:00"},
                ]
            }
        ),
        "spec.schedule.windows[1]",
    ),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_manifest_is_denied_with_its_field_named(person: Person, mistake: str) -> None:
    manifest, field = BROKEN[mistake]
    done = person.apply(manifest)
    assert done.returncode != 0
    assert f'The TradingBot "{BOT}" is invalid' in done.stderr
    assert f"{field}: " in done.stderr
    assert person.get("tradingbot", BOT) is None


def test_every_mistake_is_explained_at_once_in_the_order_of_the_fields(person: Person) -> None:
    manifest = risk(maxPositionSize=0, dailyLossLimit=None, stopLossPercentage="150")
    manifest["spec"]["schedule"] = {"timeZone": "Mars/Olympus"}
    manifest["spec"]["strategy"]["parameters"] = {"apiKey": "abcdef"}
    lines = person.apply(manifest).stderr.splitlines()
    assert lines[0] == f'The TradingBot "{BOT}" is invalid: '
    assert [line.split(": ")[0] for line in lines[1:]] == [
        "* spec.strategy.parameters[apiKey]",
        "* spec.riskManagement.maxPositionSize",
        "* spec.riskManagement.dailyLossLimit",
        "* spec.riskManagement.stopLossPercentage",
        "* spec.schedule.timeZone",
    ]
    assert "abcdef" not in "\n".join(lines)


def test_unquoted_fractions_become_strings_and_whole_numbers_stay_as_written(
    person: Person,
) -> None:
    person.applied(risk(maxPositionSize=1000, stopLossPercentage=2.5))
    bot = person.get("tradingbot", BOT)
    assert bot is not None
    assert bot["spec"]["riskManagement"]["maxPositionSize"] == 1000
    assert bot["spec"]["riskManagement"]["stopLossPercentage"] == "2.5"
    person.applied(risk(maxPositionSize=1000, stopLossPercentage=2.5))
    again = person.get("tradingbot", BOT)
    assert again is not None
    assert again["metadata"]["generation"] == bot["metadata"]["generation"]


def test_server_side_apply_is_checked_as_well(person: Person) -> None:
    done = person.apply(risk(stopLossPercentage="100"), options=("--server-side",))
    assert "spec.riskManagement.stopLossPercentage: Invalid value" in done.stderr
    done = person.apply(sample_bot(), options=("--server-side",))
    assert "serverside-applied" in done.stdout, done.stderr


def test_a_server_dry_run_shows_the_defaults_and_stores_nothing(person: Person) -> None:
    done = person.apply(sample_bot(), options=("--dry-run=server", "-o", "yaml"))
    assert "apiKeyPath: api-key" in done.stdout, done.stderr
    assert "takeProfitPercentage" not in done.stdout
    assert person.get("tradingbot", BOT) is None


def test_the_exchange_of_a_bot_can_not_be_changed(person: Person) -> None:
    person.applied(sample_bot())
    exchange = {**sample_bot()["spec"]["exchange"], "name": "Coinbase"}
    done = person.apply(sample_bot(exchange=exchange))
    assert "spec.exchange.name: Invalid value" in done.stderr
    assert "is immutable" in done.stderr


def test_a_cycle_of_assets_is_denied_with_its_path(person: Person) -> None:
    catalogue = sample("assetregistry.yaml")
    catalogue["spec"]["assets"][0]["dependsOn"] = ["price-history"]
    done = person.apply(catalogue)
    assert "binance-rest -> price-history -> binance-rest" in done.stderr


def test_kubectl_explain_teaches_the_risk_fields(person: Person) -> None:
    told = person.kubectl("explain", "tradingbot.spec.riskManagement").stdout
    for field in ("maxPositionSize", "dailyLossLimit", "stopLossPercentage", "maxOpenPositions"):
        assert field in told
    assert "loss in one trading day at which the bot is halted" in " ".join(told.split())


def test_the_samples_that_are_meant_to_be_wrong_are_all_denied(person: Person) -> None:
    done = person.kubectl("apply", "-f", "config/samples/invalid.yaml")
    assert done.returncode != 0
    assert done.stderr.count("is invalid") == 3


def test_without_webhooks_nothing_is_admitted_and_a_running_bot_can_be_stopped(
    person: Person, system: System
) -> None:
    person.running_bot()
    system.stop_one(WEBHOOKS)
    try:
        other = sample_bot()
        other["metadata"]["name"] = "other"
        refused = person.apply(other)
        assert refused.returncode != 0
        assert "failed calling webhook" in refused.stderr
        changed = person.apply(risk(dailyLossLimit="100"))
        assert changed.returncode != 0
        paused = person.kubectl(
            "patch", "tbot", BOT, "--type=merge", "-p", '{"spec":{"paused":true}}'
        )
        assert paused.returncode == 0, paused.stderr
        bot = person.await_phase(BOT, "Paused")
        assert condition(bot, "Ready")["reason"] == "Paused"
        eventually(lambda: person.items("pod", bot=BOT) == [])
        deleted = person.kubectl("delete", "tbot", BOT, "--timeout=120s")
        assert deleted.returncode == 0, deleted.stderr
    finally:
        system.start_one(WEBHOOKS)
    eventually(lambda: person.apply(sample_bot()).returncode == 0)


def test_a_stop_from_a_file_with_unquoted_numbers_is_not_refused(person: Person) -> None:
    person.running_bot()
    manifest = risk(maxPositionSize=1000, dailyLossLimit=180.5)
    manifest["spec"]["paused"] = True
    person.applied(manifest)
    bot = person.await_phase(BOT, "Paused")
    assert bot["spec"]["riskManagement"]["dailyLossLimit"] == "180.5"


def test_unpausing_is_checked_in_full(person: Person) -> None:
    person.running_bot()
    stop = '{"spec":{"paused":true,"schedule":{"timeZone":"Mars/Olympus"}}}'
    person.kubectl("patch", "tbot", BOT, "--type=merge", "-p", stop)
    done = person.kubectl("patch", "tbot", BOT, "--type=merge", "-p", '{"spec":{"paused":false}}')
    assert "spec.schedule.timeZone: Invalid value" in done.stderr


def test_a_paused_update_stores_no_credential_in_the_parameters(person: Person) -> None:
    """No webhook is asked: it is the schema that refuses."""
    person.running_bot()
    for leak in (
        {"exchange-api-key": "hunter2"},
        {"token": "hunter2"},
        {"telegram_token": "hunter2"},
        {"note": "-----BEGIN PRIVATE KEY-----"},
        {"note": "postgres://app:hunter2@db/orders"},
    ):
        change = json.dumps({"spec": {"paused": True, "strategy": {"parameters": leak}}})
        done = person.kubectl("patch", "tbot", BOT, "--type=merge", "-p", change)
        assert "spec.strategy.parameters" in done.stderr
        assert "looks like a credential" in done.stderr
    references = {"token": "${TOKEN}", "passwordPolicy": "strong", "base": "vault:bot#token"}
    change = json.dumps({"spec": {"paused": True, "strategy": {"parameters": references}}})
    stop = person.kubectl("patch", "tbot", BOT, "--type=merge", "-p", change)
    assert stop.returncode == 0, stop.stderr


def test_an_object_that_holds_too_much_is_denied_with_what_to_do(person: Person) -> None:
    asset = {"name": "a", "type": "Other", "config": {"a": [{}] * 400_000}}
    catalogue = sample("assetregistry.yaml")
    catalogue["spec"]["assets"] = [asset]
    done = person.kubectl("create", "-f", "-", stdin=json.dumps(catalogue, separators=(",", ":")))
    assert "denied the request: too much to check" in done.stderr
    assert "Split an AssetRegistry into several" in done.stderr
    person.applied(sample("assetregistry.yaml"))
