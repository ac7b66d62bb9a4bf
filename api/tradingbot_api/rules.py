"""The form of a rule that looks at more than one field."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradingbot_api.errors import FieldError, FieldWarning, Path

Finding = FieldError | FieldWarning


@dataclass(frozen=True)
class Rule:
    """A check over a typed spec at a given time.

    It is asked only when every value under `needs` is of the right shape, so that one mistake is
    not reported twice, and an update that changes nothing under `needs` can't have broken it.
    """

    needs: tuple[Path, ...]
    check: Callable[[Any, datetime], Iterable[Finding]]
    per_item: bool = False
    """A finding concerns one item of a list or map and nothing beside it."""
    item_needs: tuple[str, ...] = ()
    """What of the item makes the finding, where it is not all of it."""


def paths(*names: str) -> tuple[Path, ...]:
    """Paths below `spec` from their dotted form: `paths("exchange.name")`."""
    return tuple(("spec", *name.split(".")) for name in names)


def touches(path: Path, other: Path) -> bool:
    """Whether one of the paths is, or holds, the other."""
    shorter = min(len(path), len(other))
    return path[:shorter] == other[:shorter]
