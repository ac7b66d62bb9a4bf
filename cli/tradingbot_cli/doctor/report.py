"""Findings as text and JSON. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from tradingbot_cli.doctor.findings import Finding, Status
from tradingbot_cli.terminal import BLUE, BOLD, GREEN, RED, YELLOW, Paint, count, one_line

_HUES = {
    Status.OK: GREEN,
    Status.WARNING: YELLOW,
    Status.FAILED: RED,
    Status.UNKNOWN: BLUE,
    Status.NOT_APPLICABLE: BLUE,
}
_CHECK = "CHECK"
_STATUS_WIDTH = max(map(len, Status))


def text(findings: Sequence[Finding], *, color: bool) -> str:
    """Return a table with the remedies below each line, and a summary.

    One fault often fails several checks: the same remedies are printed once.
    """
    paint = Paint(color)
    width = max(len(_CHECK), *(len(finding.check) for finding in findings))
    lines = [paint(f"{'STATUS':{_STATUS_WIDTH}}  {_CHECK:{width}}  FOUND", BOLD)]
    shown: dict[tuple[str, ...], str] = {}
    for finding in findings:
        status = paint(f"{finding.status:{_STATUS_WIDTH}}", BOLD, _HUES[finding.status])
        lines.append(f"{status}  {one_line(finding.check):{width}}  {one_line(finding.message)}")
        margin = " " * (_STATUS_WIDTH + width + 4)
        same = shown.setdefault(finding.todo, finding.check)
        steps = finding.todo if same == finding.check else (f"as for {same}",)
        lines += [f"{margin}-> {one_line(step)}" for step in steps if finding.todo]
    return "\n".join([*lines, "", _summary(findings, paint)]) + "\n"


def as_json(findings: Sequence[Finding]) -> str:
    """Return one object: the doctor's version, the number of findings by status, the findings."""
    numbers = Counter(finding.status for finding in findings)
    document = {
        "version": version("tradingbot-operator"),
        "summary": {status.value: numbers[status] for status in Status},
        "findings": [
            {
                "check": finding.check,
                "status": finding.status.value,
                "reason": finding.reason,
                "message": finding.message,
                "todo": list(finding.todo),
            }
            for finding in findings
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _summary(findings: Sequence[Finding], paint: Paint) -> str:
    numbers = Counter(finding.status for finding in findings)
    parts = [
        paint(f"{numbers[status]} {status}", BOLD, _HUES[status])
        for status in Status
        if numbers[status]
    ]
    return f"{count(len(findings), 'check')}: {', '.join(parts)}"
