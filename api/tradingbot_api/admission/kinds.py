"""The kinds of the group, each with its model and its rules."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from tradingbot_api import assetregistry
from tradingbot_api.assetregistry import AssetRegistry, AssetRegistrySpec
from tradingbot_api.errors import FieldError, Path
from tradingbot_api.exchange import EXCHANGE_IS_IMMUTABLE
from tradingbot_api.model import DNS_LABEL, Model
from tradingbot_api.rules import assetregistry as assetregistry_rules
from tradingbot_api.rules import gateway as gateway_rules
from tradingbot_api.rules import pod as pod_rules
from tradingbot_api.rules import strategies as strategy_rules
from tradingbot_api.rules import tradingbot as tradingbot_rules
from tradingbot_api.rules.findings import Part
from tradingbot_api.tradingbot import (
    NAME_LENGTH,
    NAME_PATTERN,
    TradingBot,
    TradingBotSpec,
)

NAME: Path = ("metadata", "name")
EXCHANGE_NAME: Path = ("spec", "exchange", "name")
GENERATE_NAME: Path = ("metadata", "generateName")
GENERATED_SUFFIX = "x" * 5
"""The API server adds five random characters to the first 58 of `generateName`."""


@dataclass(frozen=True)
class NameForm:
    """The form of `metadata.name`, which the CRD states as a CEL rule."""

    pattern: str
    length: int
    detail: str

    def errors(self, name: Any, prefix: Any) -> Iterable[FieldError]:
        """Return what is wrong with the name of an object, or with the prefix that its name is
        generated from. Either may be anything that JSON can hold."""
        if isinstance(name, str) and name and self._holds(name):
            return ()
        return self._errors(name, prefix)

    def _errors(self, name: Any, prefix: Any) -> Iterator[FieldError]:
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


@dataclass(frozen=True)
class Kind:
    """Everything that admission needs to know about one kind."""

    model: type[Model]
    spec_model: type[Model]
    parts: tuple[Part, ...]
    name: NameForm
    update_errors: Callable[[Any, Any], Iterable[FieldError]]
    """Mistakes of a step from one spec to another; parts that are malformed are None."""
    immutable: tuple[Path, ...]
    """What the schema lets nobody change."""
    ruled_by_schema: tuple[Path, ...]
    """Whatever a rule has against a value there, the schema has too."""
    spec_parser: TypeAdapter[Any]
    list_keys: Mapping[Path, str]
    """Lists whose items are known by the value of a key and not by their place, and that key."""
    parameter_errors: (
        Callable[
            [Any, Any, frozenset[str], tuple[Any, Any] | None],
            Iterator[tuple[FieldError, tuple[Path, ...]]],
        ]
        | None
    ) = None
    """Mistakes in the parameters of a built-in strategy, each with the paths that it is about.
    Takes the spec, the annotations, the repositories of images that run these strategies, and on an
    update the spec and the annotations of the stored object."""

    def breaks_schema(self, spec: Any) -> bool:
        """Return whether the schema refuses the creation of a spec whose every field has the right
        form."""
        return any(part.is_in(spec) and part.breaks_schema(spec) for part in self.parts)


def bot_update_errors(old: TradingBotSpec, new: TradingBotSpec) -> Iterable[FieldError]:
    """Report changes of what a bot keeps for its life."""
    before = old.exchange.name if old.exchange else None
    after = new.exchange.name if new.exchange else None
    if before is not None and after is not None and before != after:
        yield FieldError.invalid(EXCHANGE_NAME, after.value, EXCHANGE_IS_IMMUTABLE)
    yield from pod_rules.storage_update_errors(old.pod, new.pod)


def has_pod(spec: TradingBotSpec) -> bool:
    """Whether a spec, typed as far as it is valid, has what the rules of pods are about."""
    return spec.pod is not None


KINDS: Mapping[str, Kind] = {
    "TradingBot": Kind(
        model=TradingBot,
        spec_model=TradingBotSpec,
        parts=(
            *tradingbot_rules.PARTS,
            Part(
                gateway_rules.RULES,
                is_in=gateway_rules.concern,
                breaks_schema=gateway_rules.breaks_schema,
            ),
            Part(
                (*pod_rules.RULES, *gateway_rules.POD_RULES),
                is_in=has_pod,
                breaks_schema=lambda spec: pod_rules.has_doubles(spec.pod),
            ),
        ),
        name=NameForm(
            NAME_PATTERN,
            NAME_LENGTH,
            f"must be a DNS-1035 label of at most {NAME_LENGTH} characters: lower-case letters,"
            " digits and '-', beginning with a letter and ending with a letter or digit",
        ),
        update_errors=bot_update_errors,
        parameter_errors=strategy_rules.parameter_errors,
        immutable=(EXCHANGE_NAME, pod_rules.STORAGE_SIZE, pod_rules.STORAGE_CLASS),
        ruled_by_schema=(gateway_rules.DIALECT, gateway_rules.ENFORCEMENT),
        spec_parser=TypeAdapter(TradingBotSpec),
        list_keys={},
    ),
    "AssetRegistry": Kind(
        model=AssetRegistry,
        spec_model=AssetRegistrySpec,
        parts=(assetregistry_rules.WHOLE,),
        name=NameForm(
            DNS_LABEL,
            assetregistry.NAME_LENGTH,
            f"must be a DNS-1123 label of at most {assetregistry.NAME_LENGTH} characters:"
            " lower-case letters, digits and '-', beginning and ending with a letter or digit",
        ),
        update_errors=assetregistry_rules.forbidden_transitions,
        immutable=(),
        ruled_by_schema=(),
        spec_parser=TypeAdapter(AssetRegistrySpec),
        list_keys={assetregistry_rules.ASSETS: "name"},
    ),
}
