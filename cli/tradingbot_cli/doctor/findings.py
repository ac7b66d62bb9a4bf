"""Findings: one for each check. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

ALL_WELL, FAILED, COULD_NOT_LOOK = 0, 1, 2
"""Exit codes."""

API_SERVER, YOUR_RIGHTS = "api-server", "your-rights"
"""The two checks of the caller's access. All others check the installation."""

OPERATOR_LEASE, REGISTRY = "operator/lease", "registry"


class Status(StrEnum):
    """The result of a check. What could not be checked is `unknown`, never `ok` or `failed`."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `check` and `reason` are stable, for programs; the text may change.

    `reason` is empty if the status is ok. Each item of `todo` is one step, with its command if any.
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


def not_applicable(check: str, message: str) -> Finding:
    return Finding(check, Status.NOT_APPLICABLE, message, "NotApplicable")


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if nothing failed, 1 if a check failed, 2 if nothing could be checked."""
    statuses = {
        finding.status for finding in findings if finding.check not in {API_SERVER, YOUR_RIGHTS}
    }
    if Status.FAILED in statuses:
        return FAILED
    return COULD_NOT_LOOK if statuses <= {Status.UNKNOWN, Status.NOT_APPLICABLE} else ALL_WELL


def listed(words: Iterable[str], *, most: int = 4) -> str:
    """Join the first words with commas, and say how many more there are."""
    every = list(words)
    shown = ", ".join(every[:most])
    return f"{shown} and {len(every) - most} more" if len(every) > most else shown
