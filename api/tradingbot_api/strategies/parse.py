"""From `spec.strategy.parameters` to the typed parameters of a built-in strategy."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tradingbot_api.credentials import detect, names_credential
from tradingbot_api.errors import SHOWN_KEY, FieldError, MapKey, Path
from tradingbot_api.strategies.forms import ChoiceForm
from tradingbot_api.strategies.parameters import (
    ArbitrageParameters,
    DcaParameters,
    GridParameters,
    MarketMakingParameters,
    Parameters,
    StrategyParameters,
    TrendFollowingParameters,
    forms_of,
)
from tradingbot_api.tradingbot import StrategyType

SCHEMA_VERSION = "v1"
"""Of the parameters. Within it, parameters may be added; none is removed, renamed or changed in
meaning, and no bound is narrowed."""

PARAMETERS: Path = ("spec", "strategy", "parameters")
TYPE: Path = ("spec", "strategy", "type")

PARAMETERS_OF: Mapping[str, type[StrategyParameters]] = {
    StrategyType.ARBITRAGE: ArbitrageParameters,
    StrategyType.MARKET_MAKING: MarketMakingParameters,
    StrategyType.GRID: GridParameters,
    StrategyType.TREND_FOLLOWING: TrendFollowingParameters,
    StrategyType.DCA: DcaParameters,
}
"""The parameters of each built-in strategy, by `spec.strategy.type`."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """An error in parameters, and the parameters that the broken rule reads."""

    error: FieldError
    reads: tuple[str, ...]


def parse(
    strategy_type: str, parameters: Mapping[str, str]
) -> StrategyParameters | list[FieldError]:
    """Return the typed parameters of a built-in strategy, or every mistake in them.

    `parameters` is `spec.strategy.parameters`: names to strings. Each error has the path of its
    parameter. The errors are in the order of the parameters of the strategy, unknown names last.
    A type that is not built in, such as `Custom`, is an error of `spec.strategy.type`.
    """
    model = PARAMETERS_OF.get(strategy_type)
    if model is None:
        return [FieldError.not_supported(TYPE, strategy_type, PARAMETERS_OF)]
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as failure:
        found = _mistakes(strategy_type, model, parameters, failure, ())
    return [mistake.error for mistake in found]


def mistakes(
    strategy_type: str, parameters: Mapping[str, str], *, known: Collection[str] = ()
) -> list[Mistake]:
    """Return the mistakes in the parameters of a built-in strategy, in the order of `parse`.

    A mistake in a `known` parameter has been reported already: nothing more is said of that
    parameter, and no rule that reads it is asked. Its value may be missing from `parameters`.
    """
    model = PARAMETERS_OF[strategy_type]
    try:
        model.model_validate(dict(parameters))
    except ValidationError as failure:
        return _mistakes(strategy_type, model, parameters, failure, known)
    return []


def defaults_of(model: type[Parameters]) -> Mapping[str, str | None]:
    """Return the default of each parameter as text: None if it is required, or unset."""
    return {
        name: None if info.is_required() or info.default is None else form.write(info.default)
        for (name, form), info in zip(
            forms_of(model).items(), model.model_fields.values(), strict=True
        )
    }


def _mistakes(
    strategy_type: str,
    model: type[StrategyParameters],
    parameters: Mapping[str, str],
    failure: ValidationError,
    known: Collection[str],
) -> list[Mistake]:
    details = {str(error["loc"][0]): error for error in failure.errors() if error["loc"]}
    found = [
        Mistake(_error(strategy_type, model, name, detail), (name,))
        for name, detail in details.items()
        if name not in known
    ]
    found += _conflicts(model, parameters, {*details, *known})
    names = [*forms_of(model)]
    return sorted(found, key=lambda mistake: _rank(names, str(mistake.error.path[-1])))


def _error(
    strategy_type: str, model: type[StrategyParameters], name: str, detail: ErrorDetails
) -> FieldError:
    where = (*PARAMETERS, MapKey(name))
    if detail["type"] == "missing":
        return FieldError.required(where, f"{strategy_type} needs this parameter")
    if detail["type"] == "extra_forbidden":
        return _unknown(strategy_type, name, forms_of(model))
    form, hidden = forms_of(model)[name], detect(name, str(detail["input"])) is not None
    if isinstance(form, ChoiceForm) and not hidden:
        return FieldError.not_supported(where, detail["input"], form.choices)
    return FieldError.invalid(where, detail["input"], detail["ctx"]["detail"], sensitive=hidden)


def _conflicts(
    model: type[StrategyParameters], parameters: Mapping[str, str], broken: set[str]
) -> Iterator[Mistake]:
    """Yield the cross-field rules that do not hold, among those that read no broken parameter."""
    typed = _valid_part(model, parameters, broken)
    for rule in model.cross_rules:
        problem = rule.problem(typed) if broken.isdisjoint(rule.reads) else None
        if problem is None:
            continue
        value = parameters.get(rule.parameter)
        if value is None:
            value = defaults_of(model)[rule.parameter]
            problem += f"; {value} is the default"
        where = (*PARAMETERS, MapKey(rule.parameter))
        yield Mistake(FieldError.invalid(where, value, problem), rule.reads)


def _valid_part(
    model: type[StrategyParameters], parameters: Mapping[str, str], broken: set[str]
) -> Parameters:
    """Return an instance with the valid parameters and the defaults; the broken ones are absent."""
    values = {}
    for (name, form), attribute in zip(forms_of(model).items(), model.model_fields, strict=True):
        if name in parameters and name not in broken:
            values[attribute] = form.read(parameters[name])
    return model.model_construct(**values)


def _unknown(strategy_type: str, name: str, supported: Iterable[str]) -> FieldError:
    names = [*supported]
    listed = ", ".join(f'"{known}"' for known in sorted(names))
    close = _close_name(name, names)
    hint = f'; did you mean "{close}"?' if close and not names_credential(name) else ";"
    return FieldError.forbidden(
        (*PARAMETERS, MapKey(name)),
        f"unknown parameter of {strategy_type}{hint} supported parameters: {listed}",
    )


def _close_name(name: str, known: list[str]) -> str | None:
    """Return the known name that was probably meant, such as for `min_profit_treshold`."""

    def plain(text: str) -> str:
        return "".join(filter(str.isalnum, text[:SHOWN_KEY])).lower()

    by_plain = {plain(each): each for each in known}
    close = difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


def _rank(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)
