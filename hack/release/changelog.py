"""The entry of a version in CHANGELOG.md, from which the notes of a release are taken."""

import re
from dataclasses import dataclass

from release.versions import NUMBERS

_HEADING = re.compile(
    rf"^## (?P<version>{NUMBERS}) (?:\(unreleased\)|- (?P<date>\d{{4}}-\d\d-\d\d))$", re.MULTILINE
)


@dataclass(frozen=True)
class Entry:
    """The text below the heading of one version. `date` is None until the version is released."""

    version: str
    date: str | None
    text: str


def entries(changelog: str) -> list[Entry]:
    """Return the entries of a changelog in their order."""
    found = []
    for match in _HEADING.finditer(changelog):
        text = re.split(r"^## ", changelog[match.end() :], maxsplit=1, flags=re.MULTILINE)[0]
        found.append(Entry(match["version"], match["date"], text.strip()))
    return found


def entry_of(changelog: str, version: str) -> Entry | None:
    """Return the entry of a version, or None."""
    return next((entry for entry in entries(changelog) if entry.version == version), None)


def changelog_problems(changelog: str, version: str, *, tag: str | None = None) -> list[str]:
    """Return what keeps the version from being released, one line each.

    With `tag`, the version is released now: the entry needs a date, and the tag its name.
    """
    problems = []
    entry = entry_of(changelog, version)
    if entry is None:
        problems.append(
            f"CHANGELOG.md: there is no entry for {version}: add `## {version} (unreleased)`"
        )
    elif not entry.text:
        problems.append(f"CHANGELOG.md: the entry for {version} is empty")
    if tag is not None:
        if tag != f"v{version}":
            problems.append(f"the tag is {tag}, and v{version} by the version in pyproject.toml")
        if entry is not None and entry.date is None:
            problems.append(
                f"CHANGELOG.md: {version} is still unreleased: write `## {version} - YYYY-MM-DD`"
            )
    return problems
