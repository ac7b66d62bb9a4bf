"""`tradingbot validate`: check manifests as the webhooks do, without a cluster."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from tradingbot_api.strategies.checked import DEFAULT_STRATEGY_IMAGES, SETTING, repositories

from tradingbot_cli import report
from tradingbot_cli.manifests import MAX_FILE
from tradingbot_cli.terminal import wants_color
from tradingbot_cli.verdicts import Checked, PassedOver, check, unreadable

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_STDIN, _STDIN_NAME = "-", "<stdin>"
_ADMITTED, _DENIED, _UNREADABLE = 0, 1, 2

_DESCRIPTION = """\
Check TradingBots and AssetRegistries as the webhooks would, with no cluster.
Objects of other kinds are skipped and counted."""
_EPILOG = """\
exit code: 0 all admitted, 1 some denied, 2 something could not be read

examples:
  tradingbot validate -f bots/
  kustomize build overlays/live | tradingbot validate -f -
  tradingbot validate -o json bots/*.yaml"""


@dataclass
class Outcome:
    """All results, in the order of the input."""

    checked: list[Checked] = field(default_factory=list)
    passed_over: int = 0

    @property
    def code(self) -> int:
        if any(result.unreadable for result in self.checked):
            return _UNREADABLE
        return _ADMITTED if all(result.allowed for result in self.checked) else _DENIED


def run(name: str, arguments: list[str]) -> int:
    """Check the files named in `arguments`, print the results, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog=f"tradingbot {name}",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        default=[],
        metavar="FILE",
        help="a file, a directory (its *.yaml, *.yml and *.json at any depth), or - for stdin;"
        " can be repeated",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="the same, without -f")
    parser.add_argument(
        "-o", "--output", choices=("text", "json", "sarif"), default="text", help="default: text"
    )
    parser.add_argument(
        "--strategy-images",
        action="append",
        metavar="REPOSITORIES",
        help=f"{SETTING} Use the value that the webhooks have. (default:"
        f" {','.join(DEFAULT_STRATEGY_IMAGES)})",
    )
    given = parser.parse_args(arguments)
    try:
        images = repositories(given.strategy_images or DEFAULT_STRATEGY_IMAGES)
    except ValueError as error:
        parser.error(f"--strategy-images: {error}")
    names = [*given.filename, *given.files]
    if not names:
        parser.error("no files: give -f FILE, or -f - for stdin")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that are not UTF-8
    outcome = examine(names, now=datetime.now(UTC), strategy_images=images)
    if given.output == "text":
        sys.stdout.write(report.text(outcome.checked, outcome.passed_over, color=wants_color()))
    elif given.output == "json":
        sys.stdout.write(report.as_json(outcome.checked))
    else:
        sys.stdout.write(report.sarif(outcome.checked))
    return outcome.code


def examine(
    names: Sequence[str],
    *,
    now: datetime,
    strategy_images: frozenset[str] = DEFAULT_STRATEGY_IMAGES,
) -> Outcome:
    """Check every file that `names` lead to."""
    outcome = Outcome()
    for name in names:
        for file, content in _contents(name):
            if isinstance(content, Checked):
                outcome.checked.append(content)
                continue
            for found in check(file, content, now=now, strategy_images=strategy_images):
                if isinstance(found, PassedOver):
                    outcome.passed_over += 1
                else:
                    outcome.checked.append(found)
    return outcome


def _contents(name: str) -> Iterator[tuple[str, bytes | Checked]]:
    """Yield each file's name, and its bytes or why they can't be read."""
    if name == _STDIN:
        yield _STDIN_NAME, _standard_input()
        return
    path = Path(name)
    if _is_directory(path):
        yield from _below(path)
    else:
        yield str(path), _read(path)


def _standard_input() -> bytes | Checked:
    content = _bounded(sys.stdin.buffer) if sys.stdin is not None else b""
    if not content.strip():
        # `kustomize build ... | tradingbot validate -f -` must not pass because kustomize failed.
        return unreadable(_STDIN_NAME, "empty; did the command that writes to it fail?")
    return content


def _below(directory: Path) -> Iterator[tuple[str, bytes | Checked]]:
    """Yield the manifests at any depth, without hidden directories: these belong to tools."""
    closed: list[OSError] = []
    files: list[Path] = []
    for root, directories, names in os.walk(directory, onerror=closed.append):
        directories[:] = [name for name in directories if not name.startswith(".")]
        files += [path for name in names if _is_manifest(path := Path(root, name))]
    for error in closed:
        yield error.filename, _why_unreadable(error.filename, error)
    if not files and not closed:
        yield (
            str(directory),
            unreadable(str(directory), "no *.yaml, *.yml or *.json in this directory"),
        )
    for file in sorted(files):
        yield str(file), _read(file)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # reading it raises the error


def _is_manifest(path: Path) -> bool:
    """Whether to read this file. A broken link yes, for its error; a pipe no, it would block."""
    if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
        return False
    try:
        return path.is_file() or not path.exists()
    except OSError:
        return True


def _read(path: Path) -> bytes | Checked:
    try:
        with path.open("rb") as file:
            return _bounded(file)
    except OSError as error:
        return _why_unreadable(str(path), error)


def _why_unreadable(name: str, error: OSError) -> Checked:
    return unreadable(name, (error.strerror or str(error)).lower())


def _bounded(file: BinaryIO) -> bytes:
    """Read at most one byte more than allowed: a file that is too large is refused early."""
    return file.read(MAX_FILE + 1)
