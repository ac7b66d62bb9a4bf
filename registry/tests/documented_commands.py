"""The commands that a page of the documentation shows, run, and compared with what it shows."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until

VARIABLE = re.compile(
    r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z|\d{8}T\d{6}Z)"
    r"|(?P<request>\b[0-9a-f]{16}\b)"
    # Each migration raises it.
    r'|(?P<version>version \d+ of the schema|to_version": \d+)'
)
"""What differs from run to run in what is printed."""


REGISTRY = "127.0.0.1:8090"
"""Where the registry of a page is. A reader's is at a free port."""
SERVES = re.compile(r"tradingbot registry( --\S+ \S+)*")


@dataclass(frozen=True)
class Command:
    """A command, and what the page shows below; that may be nothing."""

    text: str
    shown: str


def commands(page: Path) -> dict[str, list[list[Command]]]:
    """Return the commands of each `console` block under each heading of the page."""
    found: dict[str, list[list[Command]]] = {}
    for section in re.split(r"^#+ ", page.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        if blocks:
            found[section.splitlines()[0]] = [list(_commands(block)) for block in blocks]
    return found


def _commands(block: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        count = next(n for n in range(1, len(lines) + 1) if _is_whole("\n".join(lines[:n])))
        yield Command("\n".join(lines[:count]), "\n".join(lines[count:]))


def _is_whole(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:  # A quote is open.
        return False
    return not text.endswith("\\")


@dataclass
class Reader:
    """Someone who follows the page, in a directory of their own.

    `addresses` has what is elsewhere for this reader than on the page. An id that a command shows
    is another one here: later commands take that.
    """

    directory: Path
    addresses: dict[str, str]
    environment: Mapping[str, str]
    ids: dict[str, str] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None

    def follow(self, *blocks: list[Command]) -> None:
        """Run the commands of each block. Asserts that they print what the page shows.

        A command that serves goes on until `stop`.
        """
        for block in blocks:
            for serves, group in groupby(
                block, lambda command: bool(SERVES.fullmatch(command.text))
            ):
                for commands in [[command] for command in group] if serves else [list(group)]:
                    self._serve(commands[0]) if serves else self._run(commands)

    def stop(self) -> None:
        """End the registry, if it runs."""
        if self.server is not None:
            self.server.terminate()
            assert self.server.wait(STUCK_SECONDS) == 0
            self.server = None

    def _run(self, block: list[Command]) -> None:
        end = "-- end of a command --"
        script = "".join(f"{self._here(command.text)}\necho '{end}'\n" for command in block)
        shell = self._shell(script, stdout=subprocess.PIPE)
        printed = shell.communicate(timeout=STUCK_SECONDS)[0].decode()
        for command, part in zip(block, printed.split(f"{end}\n"), strict=False):
            self._compare(command, part)

    def _serve(self, command: Command) -> None:
        log = self.directory.with_name("log")
        with log.open("wb") as stream:
            process = self._shell(f"exec {self._here(command.text)}", stdout=stream)
        wait_until(
            lambda: process.poll() is not None or self._is_ready(log.read_text()),
            what=command.text,
        )
        lines = log.read_text().splitlines()
        if process.poll() is None:
            self.server = process
            lines = lines[: len(command.shown.splitlines())]
        self._compare(command, "\n".join(lines))

    def _is_ready(self, log: str) -> bool:
        found = re.search(r"listens on http://([\d.:]+),", log)
        if found is None:
            return False
        self.addresses[REGISTRY] = found[1]
        with urlopen(f"http://{found[1]}/readyz", timeout=STUCK_SECONDS) as answer:
            return bool(answer.status == 200)

    def _shell(self, script: str, *, stdout: Any) -> subprocess.Popen[bytes]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        outer = {name: value for name, value in os.environ.items() if "TRADINGBOT" not in name}
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.directory,
            env=outer | {"PATH": path, "TRADINGBOT_REGISTRY_PORT": "0"} | dict(self.environment),
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )

    def _here(self, text: str) -> str:
        """Return a command of the page as this reader types it."""
        for shown, real in [*self.addresses.items(), *self.ids.items()]:
            text = text.replace(shown, real)
        return text

    def _compare(self, command: Command, printed: str) -> None:
        """Assert that the command printed what the page shows, and remember the ids."""
        shown, real = command.shown, printed.replace("\r\n", "\n").strip("\n")
        for there, here in self.addresses.items():
            real = real.replace(here, there)
        assert VARIABLE.sub(_kind, real) == VARIABLE.sub(_kind, shown), command.text
        for old, new in zip(VARIABLE.finditer(shown), VARIABLE.finditer(real), strict=True):
            if old.lastgroup == "id":
                assert self.ids.setdefault(old[0], new[0]) == new[0], command.text


def _kind(found: re.Match[str]) -> str:
    return f"<{found.lastgroup}>"
