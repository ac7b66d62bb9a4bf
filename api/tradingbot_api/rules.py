"""The two forms of a rule that looks at more than one field."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradingbot_api.errors import FieldError, FieldWarning, Path

Finding = FieldError | FieldWarning

EACH = "*"
"""In what a rule needs: every item of the list that the path has led to."""


@dataclass(frozen=True)
class Rule:
    """A check over a typed spec at a given time.

    It is asked only when every value under `needs` is of the right shape, so that one mistake is
    not reported twice, and an update that changes nothing under `needs` can't have broken it.
    """

    needs: tuple[Path, ...]
    check: Callable[[Any, datetime], Iterator[Finding]]


@dataclass(frozen=True)
class ItemRule:
    """A check over each item of the list or map at `items`, which concerns nothing beside it.

    It is asked of every item whose own values under `needs` are of the right shape (all of it, if
    there are none), whatever is wrong with the others; an update that changes nothing of these
    can't have broken it.
    """

    items: Path
    check: Callable[[Path, Any, datetime], Iterator[Finding]]
    """Takes the place of the item, the item, and the time."""
    needs: tuple[str, ...] = ()
    clean: Callable[[Any], bool] | None = None
    """Whether a spec without a mistake of shape has plainly nothing in this list or map that would
    be found. It is asked first, being faster than to ask of each item."""


def paths(*names: str) -> tuple[Path, ...]:
    """Paths below `spec` from their dotted form: `paths("exchange.name", "assets.*.tags")`."""
    return tuple(("spec", *name.split(".")) for name in names)


def touches(path: Path, need: Path) -> bool:
    """Whether one of the paths is, or holds, the other."""
    return all(
        step == other or (other == EACH and isinstance(step, int))
        for step, other in zip(path, need, strict=False)
    )
