"""What a check finds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_LISTED = 20
"""Findings of one kind that are listed; the others are counted."""

_NAMES = {
    "asset": ("asset", "assets"),
    "dependency": ("dependency", "dependencies"),
    "pending_dependency": ("pending dependency", "pending dependencies"),
    "tag": ("tag", "tags"),
    "change": ("change", "changes"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, or a remark, which is not a fault. `check` names what was checked."""

    check: str
    message: str
    fault: bool = True


@dataclass(slots=True)
class Findings:
    """Collects findings, of each check only as many as are listed."""

    items: list[Finding] = field(default_factory=list)
    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def add(self, check: str, message: str, *, fault: bool = True) -> None:
        """Add one."""
        self.counts[check, fault] += 1
        if self.counts[check, fault] <= MAX_LISTED:
            self.items.append(Finding(check, message, fault))


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check."""

    version: int
    counts: Mapping[str, int]
    """Number of rows by table."""
    findings: tuple[Finding, ...]
    unlisted: Mapping[tuple[str, bool], int]
    """How many more there are, by check and whether they are faults."""

    @property
    def faults(self) -> int:
        """Number of faults."""
        listed = sum(finding.fault for finding in self.findings)
        return listed + sum(more for (_, fault), more in self.unlisted.items() if fault)

    def summary(self) -> str:
        """Return the numbers of rows in words."""
        return ", ".join(
            f"{count} {_NAMES[table][count != 1]}" for table, count in self.counts.items()
        )

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "schemaVersion": self.version,
            "rows": dict(self.counts),
            "faults": self.faults,
            "findings": [
                {"check": each.check, "fault": each.fault, "message": each.message}
                for each in self.findings
            ],
            "unlisted": [
                {"check": check, "fault": fault, "count": more}
                for (check, fault), more in self.unlisted.items()
            ],
        }

    def lines(self) -> list[str]:
        """Return a line for each finding, and for what is not listed."""
        lines = [
            f"{'fault' if each.fault else 'note'}: {each.check}: {each.message}"
            for each in self.findings
        ]
        for (check, fault), more in self.unlisted.items():
            lines.append(f"{'fault' if fault else 'note'}: {check}: {more} more")
        return lines


def report_of(version: int, counts: Mapping[str, int], found: Findings) -> Report:
    """Return the report."""
    unlisted = {key: n - MAX_LISTED for key, n in found.counts.items() if n > MAX_LISTED}
    return Report(version, counts, tuple(found.items), unlisted)
