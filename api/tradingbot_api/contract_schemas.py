"""The contract's JSON schemas (draft 2020-12), from its models.

They are for authors of images, in any language. So they are laxer than the models where a later
version may say more (unknown fields are allowed), and stricter where the operator keeps a promise:
every value of bot.json is there, so none has a default.
"""

from typing import Any

from pydantic import BaseModel

from tradingbot_api.constraints import DECIMAL_PATTERN
from tradingbot_api.contract import BotConfig, RiskReport
from tradingbot_api.model import JsonObject

DIALECT = "https://json-schema.org/draft/2020-12/schema"
CONFIG_SCHEMA = "bot-v1.schema.json"
REPORT_SCHEMA = "risk-v1.schema.json"
_READ_FIRST = ("description", "type")


def contract_schemas(*, note: str, config_example: JsonObject) -> dict[str, JsonObject]:
    """Return the schemas by file name.

    `note` says that they are generated, `config_example` is a bot.json of the operator.
    """
    report_example = {
        field.alias or name: (field.examples or [None])[0]
        for name, field in RiskReport.model_fields.items()
    }
    return {
        CONFIG_SCHEMA: _published(
            BotConfig, name="bot-v1", title="bot.json", note=note, example=config_example
        ),
        REPORT_SCHEMA: _published(
            RiskReport, name="risk-v1", title="GET /risk", note=note, example=report_example
        ),
    }


def _published(
    model: type[BaseModel], *, name: str, title: str, note: str, example: JsonObject
) -> JsonObject:
    body = _plain(model.model_json_schema(by_alias=True, mode="validation"))
    definitions = {"$defs": body.pop("$defs")} if "$defs" in body else {}
    return {
        "$schema": DIALECT,
        "$id": f"urn:tradingbot:schema:{name}",
        "$comment": note,
        "title": title,
        **body,
        "examples": [example],
        **definitions,
    }


def _plain(schema: JsonObject) -> JsonObject:
    """Without what is pydantic's or Kubernetes's own, and nothing that forbids a new field."""
    kept = {
        key: value
        for key, value in schema.items()
        if key not in {"title", "default"} and not key.startswith("x-kubernetes-")
    }
    if kept.get("additionalProperties") is False:
        del kept["additionalProperties"]
    if "description" in kept:
        kept["description"] = " ".join([*kept["description"].split(), *_bounds(schema)])
    for holder in ("properties", "$defs"):
        if holder in kept:
            kept[holder] = {name: _plain(inner) for name, inner in kept[holder].items()}
    for holder in ("items", "additionalProperties"):
        if isinstance(kept.get(holder), dict):
            kept[holder] = _plain(kept[holder])
    if "properties" in kept:
        kept["required"] = _always_there(schema["properties"])
    first = {key: kept[key] for key in _READ_FIRST if key in kept}
    return {**first, **kept}


def _always_there(properties: dict[str, Any]) -> list[str]:
    return [name for name, schema in properties.items() if schema.get("default", ...) is not None]


def _bounds(schema: JsonObject) -> list[str]:
    """In words what a pattern can't say: a decimal's bounds."""
    if schema.get("pattern") != DECIMAL_PATTERN:
        return []
    messages = (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
    return [
        f"It {message}."
        for message in messages
        if message.removeprefix("must be ") not in schema["description"]
    ]
