"""Verdicts as text, JSON and SARIF. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from tradingbot_api.errors import ErrorReason

from tradingbot_cli.terminal import BLUE, BOLD, GREEN, RED, YELLOW, Paint, count, one_line
from tradingbot_cli.verdicts import UNREADABLE, Checked, Finding

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_WARNED = "Warning"
_RULES = {
    ErrorReason.REQUIRED: "A required field is missing",
    ErrorReason.INVALID: "A value breaks a rule",
    ErrorReason.TYPE_INVALID: "A value is of the wrong type",
    ErrorReason.NOT_SUPPORTED: "A value is not supported",
    ErrorReason.FORBIDDEN: "A field or key is not allowed",
    ErrorReason.DUPLICATE: "A value is duplicated",
    ErrorReason.TOO_LONG: "A value is too long",
    ErrorReason.TOO_MANY: "A list or map has too many items",
    UNREADABLE: "A file or document can't be read",
    _WARNED: "Admitted, but probably not intended",
}


def text(checked: Sequence[Checked], passed_over: int, *, color: bool) -> str:
    """Format as a compiler does: file:line:column, message and excerpt; then a summary."""
    paint = Paint(color)
    blocks = [block for result in checked for block in _blocks(result, paint)]
    return "\n".join([*blocks, *([""] if blocks else []), _summary(checked, passed_over, paint)])


def as_json(checked: Sequence[Checked]) -> str:
    """Return a list with one entry per object, in the order of the input."""

    def findings(found: Sequence[Finding], *, reason: bool) -> list[dict[str, Any]]:
        return [
            {"field": result.field}
            | ({"reason": result.reason} if reason else {})
            | {"message": result.message}
            for result in found
        ]

    entries = [
        {
            "file": result.file,
            "line": result.line,
            "document": result.document,
            "kind": result.kind,
            "namespace": result.namespace,
            "name": result.name,
            "allowed": result.allowed,
            "errors": findings(result.errors, reason=True),
            "warnings": findings(result.warnings, reason=False),
            "effective": result.effective,
        }
        for result in checked
    ]
    return json.dumps(entries, indent=2) + "\n"


def sarif(checked: Sequence[Checked]) -> str:
    """Return SARIF 2.1.0, for code scanning."""
    found = [
        (result, finding, level)
        for result in checked
        for level, findings in (("error", result.errors), ("warning", result.warnings))
        for finding in findings
    ]
    rules = sorted({finding.reason or _WARNED for _, finding, _ in found})
    results = [
        {
            "ruleId": finding.reason or _WARNED,
            "level": level,
            "message": {"text": finding.text},
            "locations": [_sarif_location(result, finding)],
        }
        for result, finding, level in found
    ]
    driver = {
        "name": "tradingbot validate",
        "version": version("tradingbot-operator"),
        "rules": [{"id": rule, "shortDescription": {"text": _RULES[rule]}} for rule in rules],
    }
    log = {
        "$schema": _SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }
    return json.dumps(log, indent=2) + "\n"


def _sarif_location(one: Checked, finding: Finding) -> dict[str, Any]:
    file = one.file.encode("utf-8", "surrogateescape")  # a name may be any bytes
    location: dict[str, Any] = {"artifactLocation": {"uri": quote(file)}}
    if finding.at.line:
        location["region"] = {
            "startLine": finding.at.line,
            "startColumn": max(finding.at.column, 1),
        }
    return {"physicalLocation": location}


def _blocks(one: Checked, paint: Paint) -> Iterator[str]:
    if one.kind and (one.errors or one.warnings):
        verdict = "is valid, with warnings" if one.allowed else "is invalid"
        yield f"{one_line(one.file)}: {paint(_called(one), BOLD)} {verdict}:"
    for findings, word, hue in (
        (one.errors, "error", RED),
        (one.warnings, "warning", YELLOW),
    ):
        for finding in findings:
            place = paint(f"{one_line(one.file)}{_position(finding)}:", BOLD)
            yield f"{place} {paint(f'{word}:', BOLD, hue)} {one_line(finding.text)}"
            yield from _excerpt(finding, paint, hue)


def _position(finding: Finding) -> str:
    at = finding.at
    return f":{at.line}:{at.column}" if at.column else f":{at.line}" if at.line else ""


def _excerpt(finding: Finding, paint: Paint, hue: int) -> Iterator[str]:
    """Show key and value that a finding is about, and no other part of their line."""
    excerpt = finding.excerpt
    if excerpt is None:
        return
    indent = " " * (excerpt.column - 1)
    pointer = " " * (finding.at.column - 1) + "^" * max(excerpt.width, 1)
    yield f"{paint(f'{finding.at.line:>5} | ', BLUE)}{indent}{excerpt.text}"
    yield f"{paint('      | ', BLUE)}{paint(pointer, BOLD, hue)}"


def _called(one: Checked) -> str:
    name = f"{one.namespace}/{one.name}" if one.namespace else one.name or "(no name)"
    return one_line(f"{one.kind} {name}")


def _summary(checked: Sequence[Checked], passed_over: int, paint: Paint) -> str:
    objects = [result for result in checked if result.kind]
    denied = sum(not result.allowed for result in objects)
    unreadable = sum(result.unreadable for result in checked)
    errors = sum(len(result.errors) for result in objects)
    warnings = sum(len(result.warnings) for result in objects)
    parts = [f"{count(len(objects), 'object')} checked"]
    if objects:
        parts.append(f"{len(objects) - denied} admitted")
    if denied:
        parts.append(paint(f"{denied} denied with {count(errors, 'error')}", BOLD, RED))
    if warnings:
        parts.append(paint(count(warnings, "warning"), YELLOW))
    if unreadable:
        parts.append(paint(f"{count(unreadable, 'input')} unreadable", BOLD, RED))
    if passed_over:
        parts.append(f"{passed_over} of other kinds skipped")
    good = objects and not (denied or unreadable or warnings)
    line = ", ".join(parts)
    return (paint(line, GREEN) if good else line) + "\n"
