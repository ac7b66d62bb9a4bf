"""`tradingbot registry [COMMAND]`: serve the registry, or do something with its database."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from tradingbot_registry.maintenance.findings import Report
from tradingbot_registry.settings import DatabaseSettings

from tradingbot_cli import service
from tradingbot_cli.flags import add_flags, load
from tradingbot_cli.terminal import count, one_line

STREAM = "-"
_SERVE = "serve"
_FAULTS = 1
_DESCRIPTION = """\
Serve the registry's REST API; or, with a COMMAND, do something with its database. All but restore
work while a registry serves the database."""


def run(name: str, arguments: list[str]) -> int:
    """Run the command, or the server if there is none. Raises RegistryError or UsageError."""
    command = arguments[0] if arguments else _SERVE
    if command == _SERVE or command.startswith("-"):
        return service.run(name, arguments[arguments[:1] == [_SERVE] :], epilog=_epilog(name))
    given = _parser(name).parse_args(arguments)
    run_command: Callable[[argparse.Namespace, DatabaseSettings], int] = _COMMANDS[given.command][1]
    return run_command(given, load(DatabaseSettings, given))


def _epilog(name: str) -> str:
    width = max(map(len, _COMMANDS))
    return "\n".join(
        [
            "commands, each with its own --help:",
            *(f"  {name} {each:{width}}  {text}" for each, (text, _) in _COMMANDS.items()),
            f"  {name} {_SERVE:{width}}  Serve, as without a command",
        ]
    )


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"tradingbot {name}", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    added = {
        each: commands.add_parser(each, help=text, description=text + ".", allow_abbrev=False)
        for each, (text, _) in _COMMANDS.items()
    }
    for command, file in {
        "backup": "file to create; - for standard output",
        "restore": "backup to restore",
        "export": "file to create; - for standard output",
        "import": "export to read; - for standard input",
    }.items():
        added[command].add_argument("file", metavar="FILE", help=file)
    for command in ("backup", "export"):
        added[command].add_argument(
            "--overwrite", action="store_true", help="replace FILE if it exists"
        )
    added["restore"].add_argument(
        "--with-faults",
        action="store_true",
        help="restore a backup in which the check finds faults, unless its structure is damaged",
    )
    added["migrate"].add_argument(
        "--dry-run", action="store_true", help="show the versions and change nothing"
    )
    added["check"].add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="default: text"
    )
    for each in added.values():
        add_flags(each.add_argument_group("settings"), DatabaseSettings)
    return parser


def _backup(given: argparse.Namespace, settings: DatabaseSettings) -> int:
    from tradingbot_registry.maintenance.backup import back_up, back_up_to  # noqa: PLC0415
    from tradingbot_registry.maintenance.new_file import io_errors  # noqa: PLC0415
    from tradingbot_registry.maintenance.opening import sqlite_path  # noqa: PLC0415

    path = sqlite_path(settings)
    if given.file == STREAM:
        with io_errors(Path("standard output")):
            report = back_up_to(path, sys.stdout.buffer)
    else:
        report = back_up(path, Path(given.file), replace=given.overwrite)
    _print_findings(report, sys.stderr.write)
    print(
        f"{given.file}: {_summary(report)}",
        file=sys.stderr if given.file == STREAM else sys.stdout,
    )
    return _FAULTS if report.faults else 0


def _restore(given: argparse.Namespace, settings: DatabaseSettings) -> int:
    from tradingbot_registry.maintenance.backup import restore  # noqa: PLC0415
    from tradingbot_registry.maintenance.opening import sqlite_path  # noqa: PLC0415

    path = sqlite_path(settings)
    kept = restore(path, Path(given.file), now=datetime.now(UTC), with_faults=given.with_faults)
    print(f"{path}: restored from {given.file}" + (f"; the old file is {kept}" if kept else ""))
    return 0


def _check(given: argparse.Namespace, settings: DatabaseSettings) -> int:
    from tradingbot_registry.maintenance.opening import check_of  # noqa: PLC0415

    place, report = check_of(settings)
    if given.output == "json":
        print(json.dumps(report.as_json(), indent=2))
    else:
        _print_findings(report, sys.stdout.write)
        print(f"{place}: {_summary(report)}")
    return _FAULTS if report.faults else 0


def _migrate(given: argparse.Namespace, settings: DatabaseSettings) -> int:
    from tradingbot_registry.maintenance.migrating import migrate_database  # noqa: PLC0415

    before, after = migrate_database(settings, dry_run=given.dry_run)
    if before == after:
        print(f"the schema has version {after}; there is nothing to migrate")
    else:
        done = "would be migrated" if given.dry_run else "was migrated"
        print(f"the schema {done} from version {before} to {after}")
    return 0


def _export(given: argparse.Namespace, settings: DatabaseSettings) -> int:
    from tradingbot_registry.maintenance.exporting import export  # noqa: PLC0415
    from tradingbot_registry.maintenance.new_file import io_errors, new_file  # noqa: PLC0415
    from tradingbot_registry.maintenance.opening import to_read  # noqa: PLC0415

    def write_to(stream: BinaryIO) -> None:
        with to_read(settings) as database:
            counts = export(
                database, stream, program_version=version("tradingbot-operator"), now=now
            )
        shown = ", ".join(f"{count} of kind {kind}" for kind, count in counts.items())
        print(f"{given.file}: {shown or 'empty'}", file=sys.stderr)

    now = datetime.now(UTC)
    if given.file == STREAM:
        with io_errors(Path("standard output")):
            write_to(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return 0
    path = Path(given.file)
    with (
        new_file(path, replace=given.overwrite) as partial,
        io_errors(path),
        partial.open("wb") as stream,
    ):
        write_to(stream)
    return 0


def _import(given: argparse.Namespace, settings: DatabaseSettings) -> int:
    from tradingbot_registry.maintenance.importing import read_export  # noqa: PLC0415
    from tradingbot_registry.maintenance.new_file import io_errors  # noqa: PLC0415
    from tradingbot_registry.maintenance.opening import to_import  # noqa: PLC0415

    def read_from(stream: BinaryIO) -> Report:
        with to_import(settings) as database:
            return read_export(database, stream)

    if given.file == STREAM:
        report = read_from(sys.stdin.buffer)
    else:
        path = Path(given.file)
        with io_errors(path), path.open("rb") as stream:
            report = read_from(stream)
    _print_findings(report, sys.stderr.write)
    print(f"imported: {_summary(report)}")
    return 0


_COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace, DatabaseSettings], int]]] = {
    "backup": ("Copy the database of a running registry to a file, and check the copy", _backup),
    "restore": ("Replace the database by a backup, and keep the old file beside it", _restore),
    "check": ("Report everything that is wrong with a database", _check),
    "migrate": ("Bring the schema to the version of this program", _migrate),
    "export": ("Write all assets and their history as lines of JSON", _export),
    "import": ("Read an export into an empty database", _import),
}


def _summary(report: Report) -> str:
    return f"{report.summary()}, version {report.version} of the schema; " + (
        count(report.faults, "fault") if report.faults else "no faults"
    )


def _print_findings(report: Report, write: Callable[[str], object]) -> None:
    lines: Sequence[str] = report.lines()
    for line in lines:
        write(one_line(line) + "\n")
