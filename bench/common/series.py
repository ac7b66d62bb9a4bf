"""Values that a benchmark measures several times."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

Say = Callable[[str], None]
"""Prints what is measured now."""


@dataclass
class Series:
    """Values of one quantity, one for each round.

    `whole` is the value over all rounds, for a quantile of which one round has too few samples.
    """

    values: list[float] = field(default_factory=list)
    whole: float | None = None

    @property
    def median(self) -> float:
        return self.whole if self.whole is not None else median(self.values)

    def as_json(self) -> dict[str, float]:
        """Return median, minimum and maximum."""
        return {
            "median": round(self.median, 3),
            "min": round(min(self.values), 3),
            "max": round(max(self.values), 3),
        }


Measured = dict[str, Series]


def quantile(values: list[float], percent: int) -> float:
    """Return the value that `percent` of the values do not exceed."""
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]


def spread(values: Mapping[str, float], digits: int) -> str:
    """Return what `Series.as_json` holds as a cell of a table: the median, and the range."""
    return f"{values['median']:.{digits}f} ({values['min']:.{digits}f}-{values['max']:.{digits}f})"
