"""Limits for the figures of a benchmark."""

from collections.abc import Callable
from dataclasses import dataclass


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
