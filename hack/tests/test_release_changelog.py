"""CHANGELOG.md has an entry for the version, and the notes of a release are that entry."""

import subprocess
import sys
from pathlib import Path

import pytest
from release.changelog import changelog_problems, entries, entry_of
from release.versions import project_version

ROOT = Path(__file__).parents[2]
TEXT = """\
# Changelog

## 0.2.0 (unreleased)
### Added
- A thing. See `## this`.

## 0.1.1 - 2026-02-03
### Fixed
- Another thing.

## 0.1.0 - 2026-01-02
"""


def test_entries_have_a_version_a_date_and_their_text() -> None:
    assert [(entry.version, entry.date) for entry in entries(TEXT)] == [
        ("0.2.0", None),
        ("0.1.1", "2026-02-03"),
        ("0.1.0", "2026-01-02"),
    ]
    entry = entry_of(TEXT, "0.2.0")
    assert entry is not None
    assert entry.text == "### Added\n- A thing. See `## this`."


@pytest.mark.parametrize(
    ("version", "tag", "problem"),
    [
        ("0.3.0", None, "there is no entry for 0.3.0"),
        ("0.1.0", None, "the entry for 0.1.0 is empty"),
        ("0.1.1", "v0.1.2", "the tag is v0.1.2, and v0.1.1 by"),
        ("0.1.1", "0.1.1", "the tag is 0.1.1, and v0.1.1 by"),
        ("0.2.0", "v0.2.0", "0.2.0 is still unreleased"),
    ],
)
def test_what_keeps_a_version_from_being_released(
    version: str, tag: str | None, problem: str
) -> None:
    (found,) = changelog_problems(TEXT, version, tag=tag)
    assert problem in found


@pytest.mark.parametrize(("version", "tag"), [("0.2.0", None), ("0.1.1", "v0.1.1")])
def test_a_version_with_an_entry_is_no_problem(version: str, tag: str | None) -> None:
    assert changelog_problems(TEXT, version, tag=tag) == []


def release(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "release", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": "hack"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_of_this_checkout() -> None:
    assert release("check").returncode == 0
    wrong = release("check", "--tag", "v99.0.0")
    assert wrong.returncode == 1
    assert "the tag is v99.0.0" in wrong.stderr
    entry = entry_of((ROOT / "CHANGELOG.md").read_text("utf-8"), project_version(ROOT))
    assert entry is not None
    assert release("notes").stdout == f"{entry.text}\n"


def test_a_destination_that_is_missing_is_one_line() -> None:
    for command, usage in (("image-push", "IMAGE="), ("chart-push", "REPOSITORY=oci://")):
        done = release(command)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: the destination is missing: {usage}")
        assert done.stderr.count("\n") == 1
