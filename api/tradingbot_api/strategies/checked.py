"""Whose parameters admission checks: those of bots that run a built-in strategy.

An image says so by its repository, which is a setting, and any object by an annotation. Nothing is
known of the parameters of other images, and nothing is said of them.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from tradingbot_api.errors import FieldError, MapKey, Path
from tradingbot_api.image import repository
from tradingbot_api.strategies.parse import PARAMETERS_OF, SCHEMA_VERSION
from tradingbot_api.tradingbot import Strategy

ANNOTATION = "trading.io/strategies"
"""Names the version of the parameters' schema: the bot's image takes these parameters, whatever its
repository is."""
ANNOTATION_PATH: Path = ("metadata", "annotations", MapKey(ANNOTATION))
DECIDED_BY: tuple[Path, ...] = (
    ("spec", "strategy", "type"),
    ("spec", "strategy", "image"),
    ANNOTATION_PATH,
)
"""The fields that decide whether parameters are checked, and against which schema."""


def repositories(texts: Iterable[str]) -> frozenset[str]:
    """Return the repositories of a setting. Each text may hold several, with commas between them.

    Raises ValueError for an image with a tag or a digest: no repository is equal to it.
    """
    names = (name.strip() for text in texts for name in text.split(","))
    return frozenset(_repository(name) for name in names if name)


def _of_setting(value: Any) -> Any:
    return repositories([value] if isinstance(value, str) else value)


StrategyImages = Annotated[frozenset[str], BeforeValidator(_of_setting)]
"""The repositories of images that run the built-in strategies."""

DEFAULT_STRATEGY_IMAGES: frozenset[str] = frozenset({"tradingbot-strategies"})
"""The repository of this project's own image, as it is built here. An image of that name in any
other registry is not it."""

SETTING = (
    "Repositories of the images that run the built-in strategies, with commas between them and"
    " without tag or digest. The parameters of bots with such an image are checked. Empty: only"
    f" those of bots with the annotation {ANNOTATION}."
)
"""The description of the setting, which several processes have."""


def checked_by(strategy: Strategy | None, annotations: Any, images: frozenset[str]) -> str | None:
    """Return the strategy whose parameters are checked, None if none are.

    `strategy` is typed as far as it is valid, `annotations` may be any JSON.
    """
    if strategy is None or strategy.type not in PARAMETERS_OF or strategy.image is None:
        return None
    if repository(strategy.image) in images or _annotation(annotations) == SCHEMA_VERSION:
        return strategy.type
    return None


def annotation_error(strategy: Strategy | None, annotations: Any) -> FieldError | None:
    """Return the error of an annotation that names an unknown version for a built-in strategy."""
    if strategy is None or strategy.type not in PARAMETERS_OF:
        return None
    version = _annotation(annotations)
    if version is None or version == SCHEMA_VERSION:
        return None
    return FieldError.not_supported(ANNOTATION_PATH, version, [SCHEMA_VERSION])


def _annotation(annotations: Any) -> Any:
    if not annotations:  # most objects have none, and this check is the quickest
        return None
    return annotations.get(ANNOTATION) if isinstance(annotations, Mapping) else None


def _repository(name: str) -> str:
    found = repository(name)
    if found is None or ":" in name.rpartition("/")[2] or "@" in name:
        raise ValueError(f"{name!r} is not the repository of an image without tag and digest")
    return found
