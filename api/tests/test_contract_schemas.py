"""The published schemas: sound, documented, and of no use for anything but their purpose."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from tradingbot_api.contract import BotConfig, RiskReport

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"
SCHEMAS = {
    path.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")
}
CONFIG = SCHEMAS["bot-v1.schema.json"]
REPORT = SCHEMAS["risk-v1.schema.json"]


def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every schema of an object in it."""
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            yield part


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_of_its_dialect_and_its_example_follows_it(name: str) -> None:
    schema = SCHEMAS[name]

    Draft202012Validator.check_schema(schema)
    (example,) = schema["examples"]
    Draft202012Validator(schema).validate(example)
    assert schema["$id"] == f"urn:tradingbot:schema:{name.removesuffix('.schema.json')}"


def test_the_examples_are_what_the_operator_writes_and_reads() -> None:
    BotConfig.model_validate_json(json.dumps(CONFIG["examples"][0]))
    RiskReport.model_validate_json(json.dumps(REPORT["examples"][0]))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_explained_and_none_is_kubernetes_or_pydantics_own(name: str) -> None:
    for schema in objects(SCHEMAS[name]):
        for field, part in schema["properties"].items():
            assert part.get("description"), field
    text = json.dumps(SCHEMAS[name])
    assert "x-kubernetes" not in text
    assert "SecretName" not in text


def test_every_value_of_bot_json_is_promised_but_those_without_a_default_of_their_own() -> None:
    optional = [
        field
        for schema in objects(CONFIG)
        for field in schema["properties"]
        if field not in schema["required"]
    ]

    assert optional == [
        "haltedUntil",
        *("baseURL", "dialect", "quoteCurrency", "paperBalance"),
        "allowedSymbols",
    ]


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_field_of_a_later_version_is_no_mistake(name: str) -> None:
    example = {**SCHEMAS[name]["examples"][0], "later": {"x": 1}}

    Draft202012Validator(SCHEMAS[name]).validate(example)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schemaVersion",), "v2"),
        (("mode",), "live"),
        (("risk", "dailyLossLimit"), 200),
        (("risk", "maxOpenPositions"), 0),
        (("schedule", "dayStart"), "24:00"),
        (("configHash",), ""),
    ],
)
def test_a_wrong_value_in_bot_json_is_a_mistake(path: tuple[str, ...], value: object) -> None:
    config = json.loads(json.dumps(CONFIG["examples"][0]))
    *holders, field = path
    holder = config
    for step in holders:
        holder = holder[step]
    holder[field] = value

    with pytest.raises(ValidationError):
        Draft202012Validator(CONFIG).validate(config)
    with pytest.raises(ValueError, match=field):
        BotConfig.model_validate_json(json.dumps(config))
