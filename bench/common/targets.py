"""Limits for the figures of a benchmark."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A limit for a figure."""

    text: str
    holds: Callable[[float], bool]


def at_most(limit: float) -> Target:
    """Return a target that includes `limit`."""
    return Target(f"at most {limit:g}", lambda value: value <= limit)


def at_least(limit: float) -> Target:
    """Return a target that includes `limit`."""
    return Target(f"at least {limit:g}", lambda value: value >= limit)


def under(limit: float) -> Target:
    """Return a target that excludes `limit`."""
    return Target(f"under {limit:g}", lambda value: value < limit)


def judged(
    title: str, figures: Mapping[str, float], record: Mapping[str, Any], *, width: int, target: int
) -> list[str]:
    """Return the last table of a report: each figure, its target, and whether the target is met.

    `record` has `targets` and `met`; `width` and `target` are those of the first two columns.
    """
    lines = [f"{title:{width}}{'target':>{target}}{'measured':>12}  met"]
    for key, value in figures.items():
        met = {True: "yes", False: "NO", None: ""}[record["met"].get(key)]
        wanted = record["targets"].get(key, "")
        lines.append(f"{key:{width}}{wanted:>{target}}{value:>12g}  {met}".rstrip())
    return lines
