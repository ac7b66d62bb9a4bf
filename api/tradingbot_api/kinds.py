"""The kinds of the group, each with its model, its rules and what is computed for it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter

from tradingbot_api import rules_assetregistry, rules_tradingbot
from tradingbot_api.assetregistry import AssetRegistry, AssetRegistrySpec
from tradingbot_api.constraints import DECIMAL_PATTERN
from tradingbot_api.errors import FieldError, Path
from tradingbot_api.fields import value_at
from tradingbot_api.model import JsonObject, Model
from tradingbot_api.quantity import parse_quantity
from tradingbot_api.rules import Rule
from tradingbot_api.tradingbot import (
    DEFAULT_REQUEST_CPU,
    DEFAULT_REQUEST_MEMORY,
    EXCHANGE_IS_IMMUTABLE,
    NAME_LENGTH,
    NAME_PATTERN,
    TradingBot,
    TradingBotSpec,
)

MAX_TAKE_PROFIT = Decimal(1000)
NAME: Path = ("metadata", "name")

_NAME = re.compile(NAME_PATTERN.removesuffix("$"), re.ASCII)
_DECIMAL = re.compile(DECIMAL_PATTERN.removesuffix("$"), re.ASCII)


@dataclass(frozen=True)
class Kind:
    """All that admission knows of one kind."""

    model: type[Model]
    spec_model: type[Model]
    rules: tuple[Rule, ...]
    computed_defaults: Callable[[JsonObject], JsonObject]
    """Defaults that depend on other fields, on a spec whose structural ones are filled in."""
    name_errors: Callable[[JsonObject], Iterable[FieldError]]
    update_errors: Callable[[Any, Any], Iterable[FieldError]]
    """Mistakes of a step from one spec to another; parts that are malformed are None."""
    spec_parser: TypeAdapter[Any]


def bot_defaults(spec: JsonObject) -> JsonObject:
    """Requests within the limits, and a profit target of twice the stop."""
    spec = _with_requests(spec)
    risk = spec.get("riskManagement")
    if not isinstance(risk, dict) or risk.get("takeProfitPercentage") is not None:
        return spec
    stop = risk.get("stopLossPercentage")
    if not isinstance(stop, str) or not _DECIMAL.fullmatch(stop) or not Decimal(stop):
        return spec
    profit = f"{min(2 * Decimal(stop), MAX_TAKE_PROFIT):f}"
    if "." in profit:
        profit = profit.rstrip("0").rstrip(".")
    return {**spec, "riskManagement": {**risk, "takeProfitPercentage": profit}}


def _with_requests(spec: JsonObject) -> JsonObject:
    resources = spec.get("resources")
    requests = value_at(spec, ("resources", "requests"))
    if not isinstance(resources, dict) or not isinstance(requests, dict):
        return spec
    filled = dict(requests)
    for name, usual in (("cpu", DEFAULT_REQUEST_CPU), ("memory", DEFAULT_REQUEST_MEMORY)):
        if filled.get(name) is None:
            filled[name] = _smaller(usual, value_at(resources, ("limits", name)))
    return {**spec, "resources": {**resources, "requests": filled}}


def _smaller(usual: str, limit: object) -> str:
    """The usual request, or the limit where that is a smaller quantity."""
    text = str(limit)
    number, least = parse_quantity(text), parse_quantity(usual)
    return text if number is not None and least is not None and 0 < number < least else usual


def bot_name_errors(obj: JsonObject) -> Iterable[FieldError]:
    """The bot's name leaves room for what its children and pods add to it."""
    name = value_at(obj, NAME)
    if name is None and value_at(obj, ("metadata", "generateName")) is not None:
        return
    if name is None:
        yield FieldError.required(NAME)
    elif not isinstance(name, str) or len(name) > NAME_LENGTH or not _NAME.fullmatch(name):
        yield FieldError.invalid(
            NAME,
            name,
            f"must be a DNS-1035 label of at most {NAME_LENGTH} characters: lower-case letters,"
            " digits and '-', beginning with a letter and ending with a letter or digit",
        )


def bot_update_errors(old: TradingBotSpec, new: TradingBotSpec) -> Iterable[FieldError]:
    """What a bot was created with and keeps."""
    before = old.exchange.name if old.exchange else None
    after = new.exchange.name if new.exchange else None
    if before is not None and after is not None and before != after:
        yield FieldError.invalid(("spec", "exchange", "name"), after.value, EXCHANGE_IS_IMMUTABLE)


def _no_name_errors(_: JsonObject) -> Iterable[FieldError]:
    return ()


def _unchanged(spec: JsonObject) -> JsonObject:
    return spec


KINDS: Mapping[str, Kind] = {
    "TradingBot": Kind(
        model=TradingBot,
        spec_model=TradingBotSpec,
        rules=rules_tradingbot.RULES,
        computed_defaults=bot_defaults,
        name_errors=bot_name_errors,
        update_errors=bot_update_errors,
        spec_parser=TypeAdapter(TradingBotSpec),
    ),
    "AssetRegistry": Kind(
        model=AssetRegistry,
        spec_model=AssetRegistrySpec,
        rules=rules_assetregistry.RULES,
        computed_defaults=_unchanged,
        name_errors=_no_name_errors,
        update_errors=rules_assetregistry.forbidden_transitions,
        spec_parser=TypeAdapter(AssetRegistrySpec),
    ),
}
