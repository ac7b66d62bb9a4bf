"""The entry point: find the command, import its part, run it, and say in one line what went wrong.

Nothing is imported here that a command does not need: `tradingbot --help` and shell completion
should feel instant, and a webhook must not carry the operator's libraries in its memory.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

_PROGRAM = "tradingbot"
_FAILED, _USAGE, _INTERRUPTED, _BROKEN_PIPE = 1, 2, 130, 141


class Command(NamedTuple):
    """A command's summary, and where its `run(arguments) -> exit code` is."""

    summary: str
    module: str


SERVICES = {
    "operator": "Reconcile TradingBots and AssetRegistries",
    "webhooks": "Serve admission reviews",
    "api-server": "Serve the registry's REST API",
    "certs": "Make and rotate the webhooks' certificates",
}
COMMANDS = {name: Command(text, "tradingbot_cli.service") for name, text in SERVICES.items()} | {
    "validate": Command("Check manifests as the webhooks would", "tradingbot_cli.validate"),
    "crds": Command("Print the CustomResourceDefinitions", "tradingbot_cli.crds"),
    "doctor": Command(
        "Check an installation in a cluster, and say what to do", "tradingbot_cli.doctor.command"
    ),
}
ALIASES = {"--operator": "operator", "--api-server": "api-server"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` (`sys.argv` if None) and return the exit code."""
    try:
        code = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain again at its exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except RuntimeError as error:
        if not type(error).__module__.startswith("tradingbot_"):
            raise
        from tradingbot_cli.errors import UsageError  # noqa: PLC0415

        print(f"{_PROGRAM}: error: {error}", file=sys.stderr)
        return _USAGE if isinstance(error, UsageError) else _FAILED
    return code


def _dispatch(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name in {"-h", "--help", "help"}:
        print(_help())
        return 0 if arguments else _USAGE
    if name in {"-V", "--version", "version"}:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"{_PROGRAM} {version('tradingbot-operator')}")
        return 0
    name = ALIASES.get(name, name)
    command = COMMANDS.get(name)
    if command is None:
        print(f"{_PROGRAM}: error: {_unknown(name)}", file=sys.stderr)
        return _USAGE
    from importlib import import_module  # noqa: PLC0415

    run: Callable[[str, list[str]], int] = import_module(command.module).run
    try:
        return run(name, arguments[1:])
    except SystemExit as end:  # argparse ends this way, after it has printed what is wrong
        return end.code if isinstance(end.code, int) else _FAILED


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {c.summary}" for name, c in COMMANDS.items())
    aliases = ", ".join(ALIASES)
    return f"""usage: {_PROGRAM} COMMAND [FLAGS]

A Kubernetes operator, admission webhooks and an asset registry for trading bots.

commands:
{commands}

flags:
  -h, --help     Show this help; `{_PROGRAM} COMMAND --help` shows a command's flags
  -V, --version  Show the version
  {aliases}  The commands of the same names

Every flag of the first four commands is also an environment variable: --port is TRADINGBOT_PORT."""


def _unknown(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415

    close = get_close_matches(name, COMMANDS, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"no command {name!r}.{hint} See {_PROGRAM} --help"
