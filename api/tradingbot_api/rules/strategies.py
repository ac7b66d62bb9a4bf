"""What is wrong with the parameters of a built-in strategy.

Unlike the other rules, this one reads the annotations of an object beside its spec, and a setting:
`tradingbot_api.strategies.checked` says whose parameters are checked.
"""

from collections.abc import Iterator
from typing import Any

from tradingbot_api.credentials import detect
from tradingbot_api.errors import FieldError, MapKey, Path
from tradingbot_api.rules.tradingbot import PARAMETERS
from tradingbot_api.strategies.checked import (
    ANNOTATION_PATH,
    DECIDED_BY,
    annotation_error,
    checked_by,
)
from tradingbot_api.strategies.parse import mistakes
from tradingbot_api.tradingbot import PARAMETER_KEY, Strategy, TradingBotSpec


def parameter_errors(
    spec: TradingBotSpec,
    annotations: Any,
    images: frozenset[str],
    before: tuple[TradingBotSpec, Any] | None = None,
) -> Iterator[tuple[FieldError, tuple[Path, ...]]]:
    """Yield each mistake in the parameters, and the paths of what it is about.

    `before` is the stored spec of an update, with the annotations of that object. A mistake is
    about the parameters that its rule reads: an update that changes none of them has not made it.
    If the parameters were not checked before, or against another strategy, it is also about the
    fields that decide this: an update to the image of a built-in strategy has made every mistake.

    `spec` is typed as far as it is valid. A parameter that is refused for another reason, as a
    credential for example, is left out: one mistake is not reported twice.
    """
    wrong_version = annotation_error(spec.strategy, annotations)
    if wrong_version is not None:
        yield wrong_version, (ANNOTATION_PATH, DECIDED_BY[0])
    strategy_type = checked_by(spec.strategy, annotations, images)
    if strategy_type is None or not isinstance(spec.strategy.parameters, dict):
        return
    texts = _texts(spec.strategy)
    if not mistakes(strategy_type, texts):
        return
    checked_before = before is not None and strategy_type == checked_by(
        before[0].strategy, before[1], images
    )
    for mistake in mistakes(strategy_type, texts, known=_refused(spec.strategy)):
        about = tuple((*PARAMETERS, MapKey(name)) for name in mistake.reads)
        yield mistake.error, about if checked_before else (*about, *DECIDED_BY)


def _texts(strategy: Strategy) -> dict[str, str]:
    """Return the parameters whose values are strings."""
    return {name: text for name, text in strategy.parameters.items() if isinstance(text, str)}


def _refused(strategy: Strategy) -> set[str]:
    """Return the parameters that the schema, or the rule for every parameter, refuses."""
    return {name for name, text in strategy.parameters.items() if _is_refused(name, text)}


def _is_refused(name: str, text: str | None) -> bool:
    if text is None or not PARAMETER_KEY.fullmatch(name):
        return True
    suspect = detect(name, text)
    return suspect is not None and suspect.certain
