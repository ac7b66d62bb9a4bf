"""bot.json as the operator writes it is bot.json as the contract has it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from objects import Object, valid_bots
from operator_harness import NOW, bot
from tradingbot_api.contract import BotConfig, BotExchange
from tradingbot_operator.bot import Bot
from tradingbot_operator.desired import CONFIG_SCHEMA_VERSION, Config

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "bot-v1.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def written(subject: Bot) -> str:
    assert subject.spec is not None, subject.invalid_fields
    return Config.declared(subject, subject.spec).text()


def stored(drawn: Object) -> Bot:
    metadata = {**drawn["metadata"], "namespace": "desk", "uid": "u", "generation": 1}
    return Bot.read({**drawn, "metadata": metadata}, now=NOW)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(valid_bots)
def test_whatever_a_bot_declares_its_bot_json_follows_the_contract(drawn: Object) -> None:
    text = written(stored(drawn))

    config = BotConfig.model_validate_json(text)

    assert json.loads(config.model_dump_json(by_alias=True, exclude_none=True)) == json.loads(text)
    VALIDATOR.validate(json.loads(text))


def test_no_credential_nor_the_name_of_one_has_a_place_in_bot_json() -> None:
    content: dict[str, Any] = json.loads(written(bot()))
    assert set(BotExchange.model_fields) == {"name", "base_url"}
    assert set(content["exchange"]) <= {"name", "baseURL"}


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
