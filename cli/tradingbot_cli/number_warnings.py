"""Warnings about numbers without quotes that kubectl reads in another way than a person.

Only `tradingbot validate` can give them: the API server gets the number, not its text. YAML's octal
numbers are the trap: `maxPositionSize: 0200` is 128, and nothing later can know.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tradingbot_api.errors import (
    MAX_LISTED,
    NOT_SHOWN,
    ErrorReason,
    FieldError,
    FieldWarning,
    MapKey,
    Path,
)
from tradingbot_api.rules.tradingbot import PARAMETERS

from tradingbot_cli.manifests import Node


def number_warnings(node: Node, errors: tuple[FieldError, ...]) -> Iterator[FieldWarning]:
    """Yield a warning for each such number below the spec of an object with these errors.

    None for a value that must not be shown: the value itself, or an object that it is in, may be a
    credential in the wrong place. None at all if not every error is listed.
    """
    spec = node.inside.get("spec")
    if spec is None or len(errors) >= MAX_LISTED:
        return
    found = (
        FieldWarning(path, misreading)
        for path, misreading in _numbers(spec)
        if not any(_hides(error, path) for error in errors)
    )
    yield from islice(found, MAX_LISTED)


def _numbers(spec: Node) -> Iterator[tuple[Path, str]]:
    """Yield the path of each number that may be misread, and how, in document order."""
    stack: list[tuple[Path, Node]] = [(("spec",), spec)]
    while stack:
        path, node = stack.pop()
        if node.misreading:
            yield path, node.misreading
        below = [((*path, _step(path, step)), inner) for step, inner in node.inside.items()]
        stack += reversed(below)


def _step(path: Path, step: str | int) -> str | int:
    return MapKey(step) if path == PARAMETERS else step


def _hides(error: FieldError, path: Path) -> bool:
    """Whether an error at or above the path forbids to show the value there."""
    if error.path != path[: len(error.path)]:
        return False
    is_value = error.path == path
    return not is_value or error.reason is ErrorReason.FORBIDDEN or NOT_SHOWN in error.message
