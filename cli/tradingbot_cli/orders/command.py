"""`tradingbot orders`: read drop copies, and show them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from tradingbot_cli.errors import CommandError
from tradingbot_cli.orders.entries import Entry, Kind, Selection, once, parse
from tradingbot_cli.orders.table import as_json, table
from tradingbot_cli.terminal import Paint, wants_color

_STDIN = "-"
_LONGEST_LINE = 1024 * 1024
_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)
_BOT = re.compile(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", re.ASCII)

_DESCRIPTION = """\
Show what the risk gateway of a bot let through, refused and did by itself: from the log of the
bot's pods, or from a file. The log of a pod ends with the pod: collect it to keep it."""
_EPILOG = """\
examples:
  tradingbot orders arb-bot -n trading --since 1h
  tradingbot orders arb-bot -n trading --only refusals --follow
  tradingbot orders -f drop-copy.jsonl -o json"""


class InputError(CommandError):
    """Raised when a file can't be read, or is not a drop copy. One line."""


def run(name: str, arguments: list[str]) -> int:
    """Read, and print as lines come. Raises CommandError."""
    parser = _parser(name)
    given = parser.parse_args(arguments)
    if not given.filename and given.bot is None:
        parser.error("name a bot, or files with -f")
    if given.filename and (given.follow or given.namespace or given.kubeconfig or given.context):
        parser.error("-f reads files: --follow, -n, --kubeconfig and --context are for a cluster")
    if given.bot is not None and not _BOT.fullmatch(given.bot):
        parser.error(f"{given.bot!r} is not the name of a bot")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals that are not UTF-8
    now = datetime.now(UTC)
    since = None if given.since is None else given.since(now)
    wanted = Selection(given.bot, frozenset(given.only or Kind), since)
    if given.filename:
        found = iter(_sorted(_of_files(given.filename)))
    else:
        found = _of_pods(given, wanted, now)
    entries = once(entry for entry in found if wanted.has(entry))
    as_text = given.output == "text"
    for line in table(entries, paint=Paint(wants_color())) if as_text else as_json(entries):
        print(line, flush=given.follow)
    return 0


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"tradingbot {name}",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bot", nargs="?", metavar="BOT", help="name of a TradingBot")
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        metavar="FILE",
        help="read this file, or - for stdin, and no cluster; can be repeated",
    )
    parser.add_argument(
        "-n", "--namespace", metavar="NAME", help="default: that of the current context"
    )
    parser.add_argument(
        "--since",
        type=_since,
        metavar="TIME",
        help="only what is not older: 90s, 15m, 1h30m, 2d, or an RFC 3339 time",
    )
    parser.add_argument("--follow", action="store_true", help="go on with what comes")
    parser.add_argument(
        "--only",
        action="append",
        type=Kind,
        choices=list(Kind),
        metavar="{" + ",".join(Kind) + "}",
        help="only these; can be repeated",
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: the same as kubectl's")
    parser.add_argument("--context", metavar="NAME", help="default: the current context")
    parser.add_argument(
        "-o",
        "--output",
        choices=("text", "json"),
        default="text",
        help="json: one object a line, as the gateway wrote it; default: text",
    )
    return parser


def _since(text: str) -> Callable[[datetime], datetime]:
    """Return what gives the beginning at a time."""
    found = _DURATION.fullmatch(text)
    if found is not None and any(found.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        back = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return lambda now: now - back
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a duration such as 15m nor a time such as 2026-12-24T18:00:00Z"
        )
    return lambda _: instant


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.time)


def _of_files(names: Iterable[str]) -> Iterator[Entry]:
    for name in names:
        shown = "stdin" if name == _STDIN else name
        try:
            if name == _STDIN:
                yield from _of_file(shown, sys.stdin.buffer)
            else:
                with Path(name).open("rb") as file:
                    yield from _of_file(shown, file)
        except OSError as error:
            raise InputError(f"cannot read {shown}: {error.strerror or error}") from error


def _of_file(name: str, file: BinaryIO) -> Iterator[Entry]:
    """Yield the entries of a file. Raises InputError if it has lines and none is an entry."""
    lines = entries = 0
    while line := file.readline(_LONGEST_LINE):
        lines += 1
        entry = parse(line)
        if entry is not None:
            entries += 1
            yield entry
    if lines and not entries:
        raise InputError(f"{name} is not a drop copy: none of its lines is a decision of a gateway")


def _of_pods(given: argparse.Namespace, wanted: Selection, now: datetime) -> Iterator[Entry]:
    # Imported here: reading a file must not wait for the client library.
    from tradingbot_cli.orders.pod_logs import PodLogs, connect  # noqa: PLC0415

    client, namespace = connect(given.kubeconfig, given.context)
    logs = PodLogs(client, given.namespace or namespace, given.bot)
    ago = None if wanted.since is None else max(1, int((now - wanted.since).total_seconds()) + 1)
    *before, newest = logs.pods()
    for pod in before:
        yield from _entries(logs.lines(pod, since_seconds=ago, follow=False))
    yield from _entries(logs.lines(newest, since_seconds=ago, follow=given.follow))


def _entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    return (entry for line in lines if (entry := parse(line)) is not None)
