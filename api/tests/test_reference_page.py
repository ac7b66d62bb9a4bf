"""The reference page: complete, linked, and true."""

import html
import re

import pytest
import yaml
from admission_cases import NOW
from codegen import generate
from tradingbot_api.admission.fields import Field, every_field
from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_api.reference import reference

PAGE = reference({"TradingBot": "kind: TradingBot", "AssetRegistry": "kind: AssetRegistry"})
FIELDS = [
    (kind, "".join("[]" if step == 0 else f".{step}" for step in path), field)
    for kind, definition in KINDS.items()
    for path, field in every_field(definition.model)
    if path not in {("spec",), ("status",)}
]


def row(kind: str, path: str) -> list[str]:
    """The cells of the row of a field, in the section of the object that holds it."""
    holder, _, name = path.rpartition(".")
    section = PAGE.split(f"### {kind}{holder}\n", 1)[1].split("\n### ", 1)[0]
    (line,) = (line for line in section.splitlines() if line.startswith(f"| `{name}` |"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize(("kind", "path", "field"), FIELDS, ids=[k + p for k, p, _ in FIELDS])
def test_every_field_stands_in_the_section_of_its_object(
    kind: str, path: str, field: Field
) -> None:
    cells = row(kind, path)

    assert cells[1]
    assert html.unescape(cells[-1]) == field.info.description
    if path.startswith(".spec"):
        assert ("**required**" in cells[2]) == field.info.is_required()


@pytest.mark.parametrize(
    ("kind", "path", "kind_of_value", "default", "bounds"),
    [
        ("TradingBot", ".spec.mode", "string", '`"Paper"`', "`Paper`, `Live`"),
        ("TradingBot", ".spec.paused", "boolean", "`false`", ""),
        (
            "TradingBot",
            ".spec.riskManagement.stopLossPercentage",
            "decimal",
            '`"2"`',
            "greater than 0 and less than 100",
        ),
        (
            "TradingBot",
            ".spec.riskManagement.takeProfitPercentage",
            "decimal",
            "computed",
            "greater than 0 and at most 1000",
        ),
        ("TradingBot", ".spec.riskManagement.maxOpenPositions", "integer", "`1`", "1 to 1000"),
        ("TradingBot", ".spec.resources.limits.cpu", "quantity", '`"500m"`', "above 0"),
        (
            "TradingBot",
            ".spec.strategy.parameters",
            "map of strings",
            "`{}`",
            "at most 64 items",
        ),
        (
            "TradingBot",
            ".spec.schedule.windows",
            "list of [object](#tradingbotspecschedulewindows)",
            "`[]`",
            "at most 50 items",
        ),
        (
            "AssetRegistry",
            ".spec.assets[].description",
            "string",
            '`""`',
            "at most 1024 characters",
        ),
        ("AssetRegistry", ".spec.assets[].config", "object", "`{}`", ""),
    ],
)
def test_a_row_tells_type_default_and_bounds(
    kind: str, path: str, kind_of_value: str, default: str, bounds: str
) -> None:
    assert row(kind, path)[1:4] == [kind_of_value, default, bounds]


def test_every_link_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}

    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))

    assert links
    assert links <= anchors
    assert len(anchors) == len(headings)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_begins_each_kind_with_an_example_that_is_valid(kind: str) -> None:
    page = next(text for path, text in generate.generated().items() if path.name == "reference.md")
    section = page.split(f"\n## {kind}\n", 1)[1]
    example = yaml.safe_load(section.split("```yaml\n", 1)[1].split("```", 1)[0])

    assert example["kind"] == kind
    assert review(kind, defaulted(kind, example), now=NOW).allowed


def test_what_kubectl_lists_is_explained() -> None:
    assert '| READY | `status.conditions[?(@.type=="Ready")].status` |' in PAGE
    assert "| IMAGE | `spec.strategy.image` | with `-o wide` |" in PAGE
    assert "`kubectl get tradingbots` or `kubectl get tbot`" in PAGE
