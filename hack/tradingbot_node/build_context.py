"""Which files of a folder a build sees, as .dockerignore says, and a digest of them.

The rules: a line a pattern, the last one that matches decides, `!` takes back, `*` is within one
part of a path, `**` any number of parts, and what holds for a folder holds for all in it.
"""

import hashlib
import os
import re
from collections.abc import Iterator
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
        """Whether it speaks of this path (with `/`, relative to the context) or a folder above."""
        parts = "/".join(_expression(part) for part in self.pattern.split("/"))
        expression = parts.replace("**/", "(?:[^/]+/)*").replace("**", ".*")
        return re.fullmatch(f"{expression}(?:/.*)?", path) is not None

    def may_keep_below(self, folder: str) -> bool:
        return self.keeps and (self.pattern.startswith((f"{folder}/", "**", "*")))


def read_rules(context: Path) -> list[Rule]:
    file = context / ".dockerignore"
    lines = file.read_text().splitlines() if file.exists() else []
    stripped = (line.strip() for line in lines)
    return [Rule.parse(line) for line in stripped if line and not line.startswith("#")]


def ignored(path: str, rules: list[Rule]) -> bool:
    """Whether a build does not see this path."""
    found = False
    for rule in rules:
        if rule.matches(path):
            found = not rule.keeps
    return found


def context_files(context: Path) -> Iterator[Path]:
    """The files and links that a build sees, in a fixed order."""
    rules = read_rules(context)
    for folder, folders, names in os.walk(context):
        inside = Path(folder).relative_to(context)
        folders[:] = sorted(name for name in folders if _may_be_entered(str(inside / name), rules))
        for name in sorted(names):
            if not ignored(str(inside / name), rules):
                yield context / inside / name


def digest(context: Path) -> str:
    """Changes with every byte, name and mode that a build sees."""
    total = hashlib.sha256()
    for path in context_files(context):
        mode = "link" if path.is_symlink() else f"{path.stat().st_mode & 0o111:o}"
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        total.update(f"{path.relative_to(context)}\0{mode}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def _may_be_entered(folder: str, rules: list[Rule]) -> bool:
    return not ignored(folder, rules) or any(rule.may_keep_below(folder) for rule in rules)


def _expression(part: str) -> str:
    if part == "**":
        return part
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in part)
