"""The threat model names tests that exist, and says of the installed rights what is so."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from rendered import Object, kustomized

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/.-]+\.py)::(\w+)`", PAGE)))
SECTIONS = (
    *("A tenant", "The image of a bot", "The image of a bot with a gateway"),
    *("A client of a port", "A caller of the registry"),
)
CERTS = "tradingbot-certs"


@cache
def defined_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


def rows(section: str) -> Iterator[str]:
    """The rows of the tables under a heading, without their own headings."""
    text = PAGE.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return (line for line in lines[2:] if line)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_proves_a_promise_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file(), path
    assert name in defined_in(ROOT / path)
    assert name.startswith("test_")


@pytest.mark.parametrize("section", SECTIONS)
def test_every_promise_names_a_test(section: str) -> None:
    found = list(rows(section))
    assert found
    for row in found:
        assert "::test_" in row.rsplit("|", 2)[1], row


def test_every_link_leads_to_a_page_and_a_heading() -> None:
    for page, heading in re.findall(r"\]\(([\w./-]+)(?:#([\w-]+))?\)", PAGE):
        path = ROOT / "docs" / page
        assert path.is_file(), page
        if heading:
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {
                re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in titles
            }


def test_no_role_for_users_writes_a_status() -> None:
    people = ("tradingbot-viewer", "tradingbot-editor")
    roles = [one for one in kustomized("default") if one["metadata"]["name"] in people]
    assert len(roles) == len(people)
    for rule in (rule for role in roles for rule in role["rules"]):
        if set(rule["verbs"]) - {"get", "list", "watch"}:
            assert set(rule["resources"]) == {"tradingbots", "assetregistries"}


def test_certs_may_write_only_what_it_keeps() -> None:
    """Its own Secrets and webhook configurations, by name; `create` can't be bound to one."""
    for rule in rules_of(kustomized("selfsigned"), CERTS):
        writes = set(rule["verbs"]) - {"get", "list"}
        if writes - {"create"}:
            assert rule["resourceNames"], rule
            assert all(name.startswith("tradingbot-") for name in rule["resourceNames"])
        if "secrets" in rule["resources"]:
            assert "list" not in rule["verbs"]


def rules_of(objects: tuple[Object, ...], role: str) -> list[Object]:
    found = [
        rule
        for one in objects
        if one["kind"] in {"Role", "ClusterRole"} and one["metadata"]["name"] == role
        for rule in one["rules"]
    ]
    assert found
    return found
