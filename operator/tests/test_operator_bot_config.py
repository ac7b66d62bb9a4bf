"""The bot.json that the operator writes follows the contract, and its bytes stay."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from objects import Object, valid_bots
from operator_harness import NOW, bot
from pydantic_core import to_json
from tradingbot_api.contract import CONFIG_SCHEMA_VERSION, BotConfig, BotExchange
from tradingbot_api.effective import effective_values
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.manifests import Config, pod_template

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "schemas" / "bot-v1.schema.json"
OF_THE_EXCHANGE = {"name", "baseURL", "dialect", "quoteCurrency", "paperBalance"}
TOMORROW = datetime(2026, 12, 1, tzinfo=UTC)
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def written(subject: Bot) -> str:
    assert subject.spec is not None, subject.invalid_fields
    return Config.declared(subject, subject.spec).text()


def stored(drawn: Object) -> Bot:
    metadata = {**drawn["metadata"], "namespace": "trading", "uid": "u", "generation": 1}
    return Bot.read({**drawn, "metadata": metadata}, now=NOW)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(valid_bots)
def test_whatever_a_bot_declares_its_bot_json_follows_the_contract(drawn: Object) -> None:
    text = written(stored(drawn))

    config = BotConfig.model_validate_json(text)

    assert json.loads(config.model_dump_json(by_alias=True, exclude_none=True)) == json.loads(text)
    VALIDATOR.validate(json.loads(text))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(valid_bots)
def test_bot_json_is_the_spec_field_by_field_and_byte_by_byte(drawn: Object) -> None:
    """A change of these bytes changes every hash, so every bot would reload when it is deployed."""
    subject = stored(drawn)
    assert subject.spec is not None
    spec = subject.spec.model_dump(by_alias=True, mode="json", exclude_none=True)
    exchange = {key: value for key, value in spec["exchange"].items() if key in OF_THE_EXCHANGE}
    risk = {key: value for key, value in spec["riskManagement"].items() if key != "enforcement"}
    content = {
        "schemaVersion": "v1",
        "namespace": subject.meta.namespace,
        "name": subject.meta.name,
        "strategy": spec["strategy"],
        "exchange": exchange,
        "mode": spec["mode"],
        "risk": risk,
        "schedule": spec["schedule"],
    }
    whole = {
        **content,
        "haltedUntil": "2026-12-01T00:00:00Z",
        "configHash": BotConfig.of(subject.spec, subject.meta).config_hash,
    }

    config = Config.declared(subject, subject.spec)

    assert config.body == content
    assert config.text(halted_until=TOMORROW) == to_json(whole, indent=2).decode() + "\n"


@pytest.mark.parametrize(
    ("sample", "config_hash", "restart_hash"),
    [
        ("tradingbot.yaml", "10e6face351764dc", "96bf3cb1f7eb88c0"),
        ("tradingbot-full.yaml", "a08b315beb20e142", "b542cc0d5a04c4f1"),
    ],
)
def test_the_hashes_of_the_samples_stay(sample: str, config_hash: str, restart_hash: str) -> None:
    """Another configHash makes running bots reload, another restart hash restarts them."""
    manifest = yaml.safe_load((ROOT / "config" / "samples" / sample).read_text(encoding="utf-8"))
    manifest["spec"]["riskManagement"]["enforcement"] = "Bot"  # a gateway is another pod
    subject = stored(manifest)
    assert subject.spec is not None

    assert Config.declared(subject, subject.spec).hash == config_hash
    assert pod_template(subject, subject.spec, "1")[1] == restart_hash


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(valid_bots)
def test_a_bot_that_an_earlier_version_stored_with_its_defaults_runs_on_as_it_is(
    drawn: Object,
) -> None:
    """They are in its spec, which nobody changes: the same bot.json, and the same pod, byte by
    byte."""
    subject = stored(drawn)
    assert subject.spec is not None
    values = effective_values(subject.spec).model_dump(by_alias=True, exclude_none=True)
    spec = {**drawn["spec"], "resources": {**drawn["spec"].get("resources", {})}}
    spec["resources"] |= values["resources"]
    spec["riskManagement"] = {**spec["riskManagement"], **values["riskManagement"]}
    earlier = stored({**drawn, "spec": spec})
    assert earlier.spec is not None, earlier.invalid_fields

    assert written(earlier) == written(subject)
    assert pod_template(earlier, earlier.spec, "1") == pod_template(subject, subject.spec, "1")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(valid_bots)
def test_a_number_and_its_text_are_the_same_bot(drawn: Object) -> None:
    """So another spelling neither restarts a bot nor makes it reload."""
    limits = drawn["spec"]["riskManagement"]
    texts = {
        name: str(value) if name != "maxOpenPositions" else value for name, value in limits.items()
    }
    number, text = (
        stored(drawn),
        stored({**drawn, "spec": {**drawn["spec"], "riskManagement": texts}}),
    )
    assert number.spec is not None
    assert number.spec == text.spec
    assert written(number) == written(text)


def test_no_credential_nor_the_name_of_one_has_a_place_in_bot_json() -> None:
    content: dict[str, Any] = json.loads(written(bot()))
    assert {field.alias for field in BotExchange.model_fields.values()} == OF_THE_EXCHANGE
    assert set(content["exchange"]) <= OF_THE_EXCHANGE


def test_limits_are_taken_over_while_a_restart_waits_and_it_still_follows_the_contract() -> None:
    running, wanted = bot(), bot({"mode": "Live", "riskManagement": {"dailyLossLimit": "50"}})
    assert running.spec is not None
    assert wanted.spec is not None
    mixed = Config.declared(wanted, wanted.spec).keeping_restart_parts_of(
        Config.declared(running, running.spec)
    )

    config = BotConfig.model_validate_json(mixed.text())

    assert (config.mode, config.risk.daily_loss_limit) == ("Paper", "50")
    assert config.config_hash == mixed.hash
    assert config.schema_version == CONFIG_SCHEMA_VERSION
