"""What the doctor says: one finding for each thing that was looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

ALL_WELL, FAILED, COULD_NOT_LOOK = 0, 1, 2
"""Exit codes."""

API_SERVER, YOUR_RIGHTS = "api-server", "your-rights"
"""The two checks that are about whoever looks, and not about the installation."""


class Status(StrEnum):
    """How it is. What could not be looked at is `unknown`, and never `ok` or `failed`."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `check` and `reason` are stable, for programs; the rest is for people.

    `reason` is empty where all is well. Each of `todo` is one step, with its command if it has one.
    """

    check: str
    status: Status
    message: str
    reason: str = ""
    todo: tuple[str, ...] = ()


def ok(check: str, message: str) -> Finding:
    return Finding(check, Status.OK, message)


def warning(check: str, reason: str, message: str, *todo: str) -> Finding:
    return Finding(check, Status.WARNING, message, reason, todo)


def failed(check: str, reason: str, message: str, *todo: str) -> Finding:
    return Finding(check, Status.FAILED, message, reason, todo)


def unknown(check: str, message: str, *todo: str) -> Finding:
    return Finding(check, Status.UNKNOWN, message, "Unknown", todo)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 if nothing failed, 1 if something did, 2 if nothing of the installation could be seen."""
    statuses = {one.status for one in findings if one.check not in {API_SERVER, YOUR_RIGHTS}}
    if Status.FAILED in statuses:
        return FAILED
    return COULD_NOT_LOOK if statuses <= {Status.UNKNOWN} else ALL_WELL


def listed(words: Iterable[str], *, most: int = 4) -> str:
    """Some of them with commas, and how many more there are."""
    every = list(words)
    shown = ", ".join(every[:most])
    return f"{shown} and {len(every) - most} more" if len(every) > most else shown
