"""The files of a build context, after .dockerignore, and a digest of them.

The rules of .dockerignore: each line is a pattern, the last match decides, `!` includes again, `*`
matches within one part of a path, `**` any number of parts, and a pattern that matches a directory
covers everything in it.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """One line of .dockerignore."""

    pattern: str
    keeps: bool

    @classmethod
    def parse(cls, line: str) -> "Rule":
        return cls(line.removeprefix("!").strip("/"), keeps=line.startswith("!"))

    def matches(self, path: str) -> bool:
        """Return whether the rule covers `path` (with `/`, relative to the context)."""
        parts = "/".join(_expression(part) for part in self.pattern.split("/"))
        expression = parts.replace("**/", "(?:[^/]+/)*").replace("**", ".*")
        return re.fullmatch(f"{expression}(?:/.*)?", path) is not None

    def may_keep_below(self, directory: str) -> bool:
        return self.keeps and (self.pattern.startswith((f"{directory}/", "**", "*")))


def read_rules(context: Path) -> list[Rule]:
    file = context / ".dockerignore"
    lines = file.read_text().splitlines() if file.exists() else []
    stripped = (line.strip() for line in lines)
    return [Rule.parse(line) for line in stripped if line and not line.startswith("#")]


def ignored(path: str, rules: list[Rule]) -> bool:
    """Return whether the context excludes this path."""
    found = False
    for rule in rules:
        if rule.matches(path):
            found = not rule.keeps
    return found


def context_files(context: Path, *, only: Collection[str] = (".",)) -> Iterator[Path]:
    """Yield the files and links of the context, in a fixed order; `only` those in some paths."""
    wanted = [context / path for path in only]
    rules = read_rules(context)
    for directory, directories, names in os.walk(context):
        inside = Path(directory).relative_to(context)
        directories[:] = sorted(
            name for name in directories if _may_be_entered(str(inside / name), rules)
        )
        for name in sorted(names):
            path = context / inside / name
            if not ignored(str(inside / name), rules) and any(map(path.is_relative_to, wanted)):
                yield path


def digest(context: Path, *, only: Collection[str] = (".",)) -> str:
    """Return a hash of all bytes, names and modes of the context; `only` of those in some paths."""
    total = hashlib.sha256()
    for path in context_files(context, only=only):
        mode = "link" if path.is_symlink() else f"{path.stat().st_mode & 0o111:o}"
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        total.update(f"{path.relative_to(context)}\0{mode}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def _may_be_entered(directory: str, rules: list[Rule]) -> bool:
    return not ignored(directory, rules) or any(rule.may_keep_below(directory) for rule in rules)


def _expression(part: str) -> str:
    if part == "**":
        return part
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in part)
