"""The entry point: find the command, import its part and run it.

Only what the command needs is imported: `tradingbot --help` and shell completion must be fast, and
a webhook must not carry the operator's libraries in its memory.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

_PROGRAM = "tradingbot"
_FAILED, _USAGE, _INTERRUPTED, _BROKEN_PIPE = 1, 2, 130, 141


class Command(NamedTuple):
    """Summary of a command, and the module of its `run(name, arguments) -> exit code`."""

    summary: str
    module: str


SERVICES = {
    "operator": "Reconcile TradingBots and AssetRegistries",
    "webhooks": "Serve admission reviews",
    "registry": "Serve the registry's REST API",
    "certs": "Issue and rotate the certificates of webhooks and registry",
    "exchange": "Serve a simulated exchange, to test a bot against",
    "gateway": "Stand between a bot and its exchange, and enforce the bot's limits",
}
COMMANDS = {name: Command(text, "tradingbot_cli.service") for name, text in SERVICES.items()} | {
    "registry": Command(
        f"{SERVICES['registry']}; back up, check, move its database",
        "tradingbot_cli.registry.command",
    ),
    "validate": Command("Check manifests without a cluster", "tradingbot_cli.validate"),
    "crds": Command("Print the CustomResourceDefinitions", "tradingbot_cli.crds"),
    "orders": Command(
        "Show what a bot's gateway let through, refused and did", "tradingbot_cli.orders.command"
    ),
    "assets": Command(
        "List, show, draw, apply and delete the registry's assets", "tradingbot_cli.assets.command"
    ),
    "doctor": Command("Diagnose an installation in a cluster", "tradingbot_cli.doctor.command"),
}
ALIASES = {"--operator": "operator", "--api-server": "registry", "api-server": "registry"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` (`sys.argv` if None) and return the exit code."""
    try:
        code = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe. Without this, Python prints an error at its exit.
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
    run: Callable[[str, list[str]], int] = imported(command.module).run
    try:
        return run(name, arguments[1:])
    except SystemExit as end:  # argparse ends this way, after it has printed what is wrong
        return end.code if isinstance(end.code, int) else _FAILED


def imported(module: str) -> ModuleType:
    """Import a module by its name.

    Imports create many objects and almost no garbage. The search for garbage took 15 % of the CPU
    time of the operator's imports.
    """
    from importlib import import_module  # noqa: PLC0415

    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.enable()


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {c.summary}" for name, c in COMMANDS.items())
    return f"""usage: {_PROGRAM} COMMAND [FLAGS]

A Kubernetes operator, admission webhooks and an asset registry for trading bots.

commands:
{commands}

flags:
  -h, --help     Show this help; `{_PROGRAM} COMMAND --help` shows a command's flags
  -V, --version  Show the version

aliases:
  --operator                 operator
  --api-server, api-server   registry

Every setting of the first six commands is a flag and an environment variable with the name of the
command: --port of `{_PROGRAM} registry` is TRADINGBOT_REGISTRY_PORT. The flag takes precedence."""


def _unknown(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415

    close = get_close_matches(name, COMMANDS, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"no command {name!r}.{hint} See {_PROGRAM} --help"
