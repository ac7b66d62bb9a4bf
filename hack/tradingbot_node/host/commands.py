"""Run programs of the system."""

import os
import subprocess
from collections.abc import Mapping
from typing import NoReturn

from tradingbot_dev.errors import CommandFailedError, LocalClusterError, ToolMissingError

# The PATH of a user's shell may lack the directories of mount, nft and runc.
PATH = ":".join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin:/sbin"])


class NodeImpossibleError(LocalClusterError):
    """This machine or its kernel does not allow a node."""


def run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the output of a command. Raises CommandFailedError with the output as detail."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PATH": PATH, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        _missing(command[0])
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise CommandFailedError(f"{' '.join(command)} failed", detail=said)
    return done.stdout


def _missing(program: str) -> NoReturn:
    raise ToolMissingError(f"{program} is not installed")
