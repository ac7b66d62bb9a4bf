"""docs/operations.md has every phase, condition, event and setting of the operator, and no other.

The source is parsed for what exists: each condition and event is made from literal strings.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tradingbot_operator
from tradingbot_operator.asset_registries.status import NEEDS_ACTION as ASSETS_NEED_ACTION
from tradingbot_operator.bots.registry_sync import STATUS_OF_PHASE
from tradingbot_operator.bots.status.gateway_status import OF_NOTICE
from tradingbot_operator.bots.status.phase import PHASE_OF_STOP, STOPPING, TERMINATING
from tradingbot_operator.bots.status.readiness import NEEDS_ACTION, WANTED_STOPS
from tradingbot_operator.reasons import WITHOUT_CREDENTIALS, Reason
from tradingbot_operator.settings import OperatorSettings

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
SOURCE = Path(tradingbot_operator.__file__).parent
MODULES = {
    path.relative_to(SOURCE).with_suffix("").as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in SOURCE.rglob("*.py")
}
ASSET_REGISTRIES = ("asset_registries/reconcile", "asset_registries/status")

Words = tuple[str, ...]


def text(node: ast.expr) -> str | None:
    """A string, or the value of `Reason.X`; None for what is only known when it runs."""
    match node:
        case ast.Name(id="STOP_BLOCKED"):
            return "StopBlocked"
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
    """The first arguments of calls that are literal strings: type, status, reason."""
    for call in calls(module, *names):
        words = tuple(word for argument in call.args[:3] if (word := text(argument)) is not None)
        if len(words) == 3:
            yield words


def conditions_of_bots() -> set[Words]:
    found = {
        words
        for module in (
            "status/conditions",
            "status/gateway_status",
            "status/readiness",
            "status/stop_status",
            "stops/cleanup",
            "stops/emergency",
        )
        for words in spelled_out(f"bots/{module}", "ConditionState")
    }
    # What these functions get from the plan, from the Secret and from the registry.
    found |= {("Ready", str(reason in WANTED_STOPS), reason.value) for reason in PHASE_OF_STOP}
    found |= {("Ready", "False", reason) for reason in ("ReportStale", "NoReport")}
    for _, _, reason in [words for words in found if words[:2] == ("Ready", "False")]:
        found.add(("Stalled" if reason in NEEDS_ACTION else "Reconciling", "True", reason))
    found |= {
        ("Stalled", "True", reason)
        for type_, status, reason in found
        if (type_, status) == ("StopBlocked", "True")
    }
    found |= {("CredentialsReady", "False", reason.value) for reason in WITHOUT_CREDENTIALS}
    found |= {
        ("GatewayReady", str(reason is Reason.KEY_MAY_WITHDRAW), reason.value)
        for reason in OF_NOTICE.values()
    }
    for call in calls("bots/plan", "Waiting"):
        reason = text(call.args[0])
        assert reason is not None
        found.add(("RolloutPending", "True", reason))
    for call in calls("bots/registry_sync", "RegistryState"):
        status, reason = text(call.args[0]), text(call.args[1])
        if status is not None and reason is not None:
            found.add(("RegistrySynced", status, reason))
    return found


def conditions_of_asset_registries() -> set[Words]:
    found = {
        words for module in ASSET_REGISTRIES for words in spelled_out(module, "ConditionState")
    }
    found.add(("Synced", "True", "Synced"))
    for reason in reasons_of_syncs() - {"Synced"}:
        found |= {("Synced", "False", reason), ("Ready", "False", reason)}
    for _, _, reason in [words for words in found if words[:2] == ("Ready", "False")]:
        found.add(("Stalled" if reason in ASSETS_NEED_ACTION else "Reconciling", "True", reason))
    return found


def reasons_of_syncs() -> set[str]:
    """The third argument of a SyncResult, and its default."""
    reasons = {"Synced"}
    for call in calls(ASSET_REGISTRIES[0], "SyncResult"):
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
                    found |= {("Normal", word) for value in values if (word := text(value))}
    # A bot that fails says so with the reason of its condition.
    of_conditions = ("ChildRefused", "EnforcementKept", "ForeignPods", "LimitExceeded")
    found |= {("Warning", reason) for reason in of_conditions}
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


BOTS, REGISTRIES = section("Conditions").split("An `AssetRegistry` has `Synced`")


def test_every_condition_of_a_bot_is_there_and_no_other() -> None:
    assert documented(BOTS) == conditions_of_bots()


def test_every_reason_is_there() -> None:
    assert {reason for _, _, reason in documented(BOTS)} == {reason.value for reason in Reason}


def test_every_condition_of_an_asset_registry_is_there_and_no_other() -> None:
    assert documented(REGISTRIES) == conditions_of_asset_registries()


def test_every_event_is_there_and_no_other() -> None:
    listed = {(codes(row[0])[0], codes(row[1])[0]) for row in rows(section("Events"))}
    assert listed == events()


def test_the_phases_are_these_in_order_of_precedence_with_what_the_registry_is_told() -> None:
    table = [(codes(row[0])[0], codes(row[2])) for row in rows(section("Phases"))]
    stopped = list(dict.fromkeys(PHASE_OF_STOP.values()))
    assert [phase for phase, _ in table] == [
        TERMINATING,
        STOPPING,
        *(phase for phase in stopped if phase != "Pending"),
        "Pending",
        "Degraded",
        "Running",
    ]
    # The registry gets no more reports on a bot that is being deleted.
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
        f"--{name.replace('_', '-')}": shown(field.default)
        for name, field in OperatorSettings.model_fields.items()
    }


def shown(default: object) -> str:
    if isinstance(default, frozenset):
        return ",".join(sorted(default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", PAGE))))
def test_every_link_leads_to_a_section_that_is_there(link: str) -> None:
    path, _, anchor = link.partition("#")
    target = DOCS / path if path else DOCS / "operations.md"
    assert target.exists()
    assert not anchor or anchor in anchors(target.read_text(encoding="utf-8"))
