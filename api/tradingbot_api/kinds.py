"""The kinds of the group, each with its model, its rules and what is computed for it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any

from pydantic import TypeAdapter

from tradingbot_api import assetregistry, rules_assetregistry, rules_tradingbot
from tradingbot_api.assetregistry import AssetRegistry, AssetRegistrySpec
from tradingbot_api.constraints import DECIMAL_PATTERN
from tradingbot_api.errors import FieldError, Path
from tradingbot_api.fields import value_at
from tradingbot_api.model import DNS_LABEL, JsonObject, Model
from tradingbot_api.quantity import parse_quantity, quantity_text
from tradingbot_api.rules import ItemRule, Rule
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
EXCHANGE_NAME: Path = ("spec", "exchange", "name")
REQUEST_CPU = ("spec", "resources", "requests", "cpu")
REQUEST_MEMORY = ("spec", "resources", "requests", "memory")
TAKE_PROFIT = ("spec", "riskManagement", "takeProfitPercentage")
GENERATE_NAME: Path = ("metadata", "generateName")
GENERATED_SUFFIX = "x" * 5
"""The API server adds five random characters to the first 58 of `generateName`."""

_DECIMAL = re.compile(DECIMAL_PATTERN.removesuffix("$"), re.ASCII)


@dataclass(frozen=True)
class Kind:
    """All that admission knows of one kind."""

    model: type[Model]
    spec_model: type[Model]
    rules: tuple[Rule | ItemRule, ...]
    computed_defaults: Callable[[JsonObject], JsonObject]
    """Defaults that depend on other fields, on a spec whose structural ones are filled in."""
    additions: Callable[[Any], Iterable[tuple[tuple[str, ...], str]]]
    """What these would add to a typed spec that is complete but for them."""
    name: "NameForm"
    update_errors: Callable[[Any, Any], Iterable[FieldError]]
    """Mistakes of a step from one spec to another; parts that are malformed are None."""
    immutable: tuple[Path, ...]
    """What the schema lets nobody change."""
    has_doubles: Callable[[Any], bool]
    """Whether something stands twice in a list of a spec that the schema takes for a set."""
    spec_parser: TypeAdapter[Any]
    list_keys: Mapping[Path, str]
    """Lists whose items are known by the value of a key and not by their place, and that key."""


def bot_defaults(spec: JsonObject) -> JsonObject:
    """Requests within the limits, and a profit target of twice the stop."""
    spec = _with_requests(spec)
    risk = spec.get("riskManagement")
    if not isinstance(risk, dict) or risk.get("takeProfitPercentage") is not None:
        return spec
    stop = risk.get("stopLossPercentage")
    if not isinstance(stop, str) or not _DECIMAL.fullmatch(stop) or not Decimal(stop):
        return spec
    return {**spec, "riskManagement": {**risk, "takeProfitPercentage": _profit_target(stop)}}


def bot_additions(spec: TradingBotSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    """The same defaults for a spec that has no mistake of shape."""
    limits, requests = spec.resources.limits, spec.resources.requests
    if requests.cpu is None:
        yield REQUEST_CPU, _smaller(DEFAULT_REQUEST_CPU, limits.cpu)
    if requests.memory is None:
        yield REQUEST_MEMORY, _smaller(DEFAULT_REQUEST_MEMORY, limits.memory)
    if spec.risk_management.take_profit_percentage is None:
        yield TAKE_PROFIT, _profit_target(spec.risk_management.stop_loss_percentage)


@lru_cache(maxsize=1024)
def _profit_target(stop: str) -> str:
    """Twice the stop, as plain decimal text."""
    profit = f"{min(2 * Decimal(stop), MAX_TAKE_PROFIT):f}"
    return profit.rstrip("0").rstrip(".") if "." in profit else profit


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
    text = quantity_text(limit)
    number, least = parse_quantity(text or ""), parse_quantity(usual)
    if text is None or number is None or least is None:
        return usual
    return text if 0 < number < least else usual


@dataclass(frozen=True)
class NameForm:
    """The form of `metadata.name`, which the CRD states as a CEL rule."""

    pattern: str
    length: int
    detail: str

    def errors(self, name: Any, prefix: Any) -> Iterable[FieldError]:
        """What is wrong with the name of an object, or with the prefix that one is generated from.
        Either may be anything that JSON can hold."""
        if isinstance(name, str) and name and self._holds(name):
            return
        if name in (None, "") and prefix in (None, ""):
            yield FieldError.required(NAME)
        elif name in (None, ""):
            if not isinstance(prefix, str) or not self._holds(prefix[:58] + GENERATED_SUFFIX):
                detail = f"with {len(GENERATED_SUFFIX)} characters added, {self.detail}"
                yield FieldError.invalid(GENERATE_NAME, prefix, detail)
        else:
            yield FieldError.invalid(NAME, name, self.detail)

    @cached_property
    def _form(self) -> re.Pattern[str]:
        return re.compile(self.pattern.removesuffix("$"), re.ASCII)

    def _holds(self, name: str) -> bool:
        return len(name) <= self.length and self._form.fullmatch(name) is not None


def bot_update_errors(old: TradingBotSpec, new: TradingBotSpec) -> Iterable[FieldError]:
    """What a bot was created with and keeps."""
    before = old.exchange.name if old.exchange else None
    after = new.exchange.name if new.exchange else None
    if before is not None and after is not None and before != after:
        yield FieldError.invalid(EXCHANGE_NAME, after.value, EXCHANGE_IS_IMMUTABLE)


def _unchanged(spec: JsonObject) -> JsonObject:
    return spec


def _nothing(_spec: AssetRegistrySpec) -> tuple[()]:
    return ()


KINDS: Mapping[str, Kind] = {
    "TradingBot": Kind(
        model=TradingBot,
        spec_model=TradingBotSpec,
        rules=rules_tradingbot.RULES,
        computed_defaults=bot_defaults,
        additions=bot_additions,
        name=NameForm(
            NAME_PATTERN,
            NAME_LENGTH,
            f"must be a DNS-1035 label of at most {NAME_LENGTH} characters: lower-case letters,"
            " digits and '-', beginning with a letter and ending with a letter or digit",
        ),
        update_errors=bot_update_errors,
        immutable=(EXCHANGE_NAME,),
        has_doubles=rules_tradingbot.has_doubles,
        spec_parser=TypeAdapter(TradingBotSpec),
        list_keys={},
    ),
    "AssetRegistry": Kind(
        model=AssetRegistry,
        spec_model=AssetRegistrySpec,
        rules=rules_assetregistry.RULES,
        computed_defaults=_unchanged,
        additions=_nothing,
        name=NameForm(
            DNS_LABEL,
            assetregistry.NAME_LENGTH,
            f"must be a DNS-1123 label of at most {assetregistry.NAME_LENGTH} characters:"
            " lower-case letters, digits and '-', beginning and ending with a letter or digit",
        ),
        update_errors=rules_assetregistry.forbidden_transitions,
        immutable=(),
        has_doubles=rules_assetregistry.has_doubles,
        spec_parser=TypeAdapter(AssetRegistrySpec),
        list_keys={rules_assetregistry.ASSETS: "name"},
    ),
}
