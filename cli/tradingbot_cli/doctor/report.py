"""Findings for people and for programs. Pure."""

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
}
_CHECK = "CHECK"
_STATUS_WIDTH = max(map(len, Status))


def text(findings: Sequence[Finding], *, color: bool) -> str:
    """A table, with what to do under each line that asks for it, and a summary.

    One fault often shows in several places: the same steps are written once.
    """
    paint = Paint(color)
    width = max(len(_CHECK), *(len(one.check) for one in findings))
    lines = [paint(f"{'STATUS':{_STATUS_WIDTH}}  {_CHECK:{width}}  FOUND", BOLD)]
    shown: dict[tuple[str, ...], str] = {}
    for one in findings:
        status = paint(f"{one.status:{_STATUS_WIDTH}}", BOLD, _HUES[one.status])
        lines.append(f"{status}  {one_line(one.check):{width}}  {one_line(one.message)}")
        margin = " " * (_STATUS_WIDTH + width + 4)
        same = shown.setdefault(one.todo, one.check)
        steps = one.todo if same == one.check else (f"as for {same}",)
        lines += [f"{margin}-> {one_line(step)}" for step in steps if one.todo]
    return "\n".join([*lines, "", _summary(findings, paint)]) + "\n"


def as_json(findings: Sequence[Finding]) -> str:
    """One object: the version that was compared with, how many of each status, and the findings."""
    numbers = Counter(one.status for one in findings)
    document = {
        "version": version("tradingbot-operator"),
        "summary": {status.value: numbers[status] for status in Status},
        "findings": [
            {
                "check": one.check,
                "status": one.status.value,
                "reason": one.reason,
                "message": one.message,
                "todo": list(one.todo),
            }
            for one in findings
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _summary(findings: Sequence[Finding], paint: Paint) -> str:
    numbers = Counter(one.status for one in findings)
    parts = [
        paint(f"{numbers[status]} {status}", BOLD, _HUES[status])
        for status in Status
        if numbers[status]
    ]
    return f"{count(len(findings), 'check')}: {', '.join(parts)}"
