"""`tradingbot validate`: the webhooks' verdicts with no cluster."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tradingbot_cli import report
from tradingbot_cli.manifests import MAX_FILE
from tradingbot_cli.verdicts import Checked, PassedOver, check, unreadable

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_STDIN, _STDIN_NAME = "-", "<stdin>"
_ADMITTED, _DENIED, _UNREADABLE = 0, 1, 2

_DESCRIPTION = """\
Check TradingBots and AssetRegistries as the webhooks would, with no cluster.
Objects of other kinds are passed over and counted."""
_EPILOG = """\
exit code: 0 all admitted, 1 some denied, 2 something could not be read

examples:
  tradingbot validate -f bots/
  kustomize build overlays/live | tradingbot validate -f -
  tradingbot validate -o json bots/*.yaml"""


@dataclass
class Outcome:
    """All that was found, in the order of the input."""

    checked: list[Checked] = field(default_factory=list)
    passed_over: int = 0

    @property
    def code(self) -> int:
        if any(one.unreadable for one in self.checked):
            return _UNREADABLE
        return _ADMITTED if all(one.allowed for one in self.checked) else _DENIED


def run(name: str, arguments: list[str]) -> int:
    """Check the files named in `arguments`, print what was found, and return the exit code."""
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
        help="a file, a folder (its *.yaml, *.yml and *.json at any depth), or - for stdin;"
        " any number of times",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="the same, without -f")
    parser.add_argument(
        "-o", "--output", choices=("text", "json", "sarif"), default="text", help="default: text"
    )
    given = parser.parse_args(arguments)
    names = [*given.filename, *given.files]
    if not names:
        parser.error("no files: give -f FILE, or -f - for stdin")
    outcome = examine(names, now=datetime.now(UTC))
    if given.output == "text":
        sys.stdout.write(report.text(outcome.checked, outcome.passed_over, color=_color()))
    elif given.output == "json":
        sys.stdout.write(report.as_json(outcome.checked))
    else:
        sys.stdout.write(report.sarif(outcome.checked))
    return outcome.code


def examine(names: Sequence[str], *, now: datetime) -> Outcome:
    """Check every file that `names` lead to."""
    outcome = Outcome()
    for name in names:
        for file, content in _contents(name):
            if isinstance(content, Checked):
                outcome.checked.append(content)
                continue
            for found in check(file, content, now=now):
                if isinstance(found, PassedOver):
                    outcome.passed_over += 1
                else:
                    outcome.checked.append(found)
    return outcome


def _contents(name: str) -> Iterator[tuple[str, bytes | Checked]]:
    """Each file's name and bytes, or why there are none."""
    if name == _STDIN:
        yield _STDIN_NAME, _bounded(sys.stdin.buffer)
        return
    path = Path(name)
    if not path.is_dir():
        yield str(path), _read(path)
        return
    files = sorted(_files_below(path))
    if not files:
        yield name, unreadable(name, "no *.yaml, *.yml or *.json in this folder")
    for file in files:
        yield str(file), _read(file)


def _files_below(folder: Path) -> Iterator[Path]:
    """Manifests at any depth. Hidden folders are somebody's machinery, not manifests."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(root, name)
            if path.suffix.lower() in _SUFFIXES and not name.startswith(".") and path.is_file():
                yield path


def _read(path: Path) -> bytes | Checked:
    try:
        with path.open("rb") as file:
            return _bounded(file)
    except OSError as error:
        return unreadable(str(path), (error.strerror or str(error)).lower())


def _bounded(file: BinaryIO) -> bytes:
    """One byte more than may be, at most: what is too long is refused without being read whole."""
    return file.read(MAX_FILE + 1)


def _color() -> bool:
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
