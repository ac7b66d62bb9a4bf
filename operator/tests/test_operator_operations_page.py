"""docs/operations.md has every phase, condition, event and setting of the operator, and no other.

What there is, is read from the source: where a condition or an event is made, its words stand.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tradingbot_operator
from tradingbot_operator.bot_assets import STATUS_OF_PHASE
from tradingbot_operator.reasons import Reason
from tradingbot_operator.settings import OperatorSettings
from tradingbot_operator.status import PHASE_OF_STOP, TERMINATING

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
SOURCE = Path(tradingbot_operator.__file__).parent
MODULES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.glob("*.py")}
CATALOGUE = "catalogue"

Words = tuple[str, ...]


def text(node: ast.expr) -> str | None:
    """A string, or the value of `Reason.X`; None for what is only known when it runs."""
    match node:
        case ast.Constant(value=str() as value):
            return value
        case ast.Attribute(value=ast.Name(id="Reason"), attr=name):
            return Reason[name].value
        case _:
            return None


def calls(module: str, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def spelled_out(module: str, *names: str) -> Iterator[Words]:
    """The first arguments of calls that stand there as strings: type, status, reason."""
    for call in calls(module, *names):
        words = tuple(word for one in call.args[:3] if (word := text(one)) is not None)
        if len(words) == 3:
            yield words


def conditions_of_bots() -> set[Words]:
    found = set(spelled_out("status", "Finding"))
    # What these functions get from the plan, from the Secret and from the registry.
    found |= {("Ready", "False", reason.value) for reason in PHASE_OF_STOP}
    for call in calls("reconcile", "Credentials"):
        for argument in call.keywords:
            if argument.arg == "problem" and (reason := text(argument.value)):
                found.add(("CredentialsReady", "False", reason))
    for call in calls("plan", "Waiting"):
        reason = text(call.args[0])
        assert reason is not None
        found.add(("RolloutPending", "True", reason))
    for call in calls("bot_assets", "RegistryState"):
        status, reason = text(call.args[0]), text(call.args[1])
        if status is not None and reason is not None:
            found.add(("RegistrySynced", status, reason))
    return found


def conditions_of_catalogues() -> set[Words]:
    found = set(spelled_out(CATALOGUE, "Finding"))
    found.add(("Synced", "True", "Synced"))
    for reason in reasons_of_outcomes() - {"Synced"}:
        found |= {("Synced", "False", reason), ("Ready", "False", reason)}
    return found


def reasons_of_outcomes() -> set[str]:
    """The third argument of an Outcome, and its default."""
    reasons = {"Synced"}
    for call in calls(CATALOGUE, "Outcome"):
        for node in ast.walk(call.args[2]) if len(call.args) > 2 else ():
            if isinstance(node, ast.Constant):
                reasons.add(str(node.value))
    return reasons


def events() -> set[Words]:
    """Type and reason of each event that is made anywhere."""
    found: set[Words] = set()
    for module in MODULES.values():
        for node in ast.walk(module):
            match node:
                case ast.Tuple(elts=[ast.Name(id="NORMAL" | "WARNING" as kind), reason, *_]):
                    if (word := text(reason)) is not None:
                        found.add((kind.capitalize(), word))
                case ast.AnnAssign(target=ast.Name(id="_LEFT"), value=ast.Dict(values=values)) | (
                    ast.Assign(targets=[ast.Name(id="_LEFT")], value=ast.Dict(values=values))
                ):
                    found |= {("Normal", word) for one in values if (word := text(one))}
    # A bot that fails says so with the reason of its condition.
    return found | {
        ("Warning", reason.value) for reason, phase in PHASE_OF_STOP.items() if phase == "Failed"
    }


def section(heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def rows(table: str) -> list[list[str]]:
    """The cells of each row, without the heading."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0].startswith("`")]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def documented(table: str) -> set[Words]:
    """Type, status and reason of each row; several reasons may share one."""
    return {
        (type_, status, reason)
        for row in rows(table)
        for type_ in codes(row[0])
        for status in codes(row[1])
        for reason in codes(row[2])
    }


BOTS, CATALOGUES = section("Conditions").split("An `AssetRegistry` has two:")


def test_every_condition_of_a_bot_is_there_and_no_other() -> None:
    assert documented(BOTS) == conditions_of_bots()


def test_every_reason_is_there() -> None:
    assert {reason for _, _, reason in documented(BOTS)} == {reason.value for reason in Reason}


def test_every_condition_of_a_catalogue_is_there_and_no_other() -> None:
    assert documented(CATALOGUES) == conditions_of_catalogues()


def test_every_event_is_there_and_no_other() -> None:
    listed = {(codes(row[0])[0], codes(row[1])[0]) for row in rows(section("Events"))}
    assert listed == events()


def test_the_phases_are_these_in_order_of_precedence_with_what_the_registry_is_told() -> None:
    table = [(codes(row[0])[0], codes(row[2])) for row in rows(section("Phases"))]
    stopped = list(dict.fromkeys(PHASE_OF_STOP.values()))
    assert [phase for phase, _ in table] == [
        TERMINATING,
        *stopped,
        "Pending",
        "Degraded",
        "Running",
    ]
    # One that is being deleted is not told of any more.
    assert {phase: told for phase, told in table if phase != TERMINATING} == {
        phase: [STATUS_OF_PHASE.get(phase, "Inactive")]
        for phase, _ in table
        if phase != TERMINATING
    }


def test_every_setting_is_there_with_its_default() -> None:
    listed = {}
    for row in rows(section("Settings")):
        defaults = [cell.strip("`") for cell in re.split(r", ?|; ", row[1])]
        for flag, default in zip(codes(row[0]), defaults, strict=False):
            listed[flag] = {"empty": "", "off": "False"}.get(default, default)
    assert listed == {
        f"--{name.replace('_', '-')}": f"{field.default:g}"
        if isinstance(field.default, float)
        else str(field.default)
        for name, field in OperatorSettings.model_fields.items()
    }


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one).lower().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", PAGE))))
def test_every_link_leads_to_a_section_that_is_there(link: str) -> None:
    path, _, anchor = link.partition("#")
    target = DOCS / path if path else DOCS / "operations.md"
    assert target.exists()
    assert not anchor or anchor in anchors(target.read_text(encoding="utf-8"))
