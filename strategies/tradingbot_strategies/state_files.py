"""What a bot keeps in files: the day of a halt, and in Paper the simulated account.

`/data` if `spec.pod.storage` asks for a volume, else `/tmp`, which outlives the container and not
the pod. A halt is in bot.json as well, from the operator, once the pod is a new one.
"""

import json
import logging
from pathlib import Path

logger = logging.getLogger(__name__)


class HaltFile:
    """The trading day on which the daily loss limit was reached."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> str:
        """Return the day, or an empty text."""
        try:
            return self._path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    def save(self, day: str) -> None:
        """Remember the day. A failure is logged: the operator halts the bot too."""
        try:
            _replace(self._path, day)
        except OSError as error:
            logger.warning("cannot remember the halt in %s: %s", self._path, error)


class PaperFile:
    """The simulated account of a bot in Paper."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, object] | None:
        """Return the last state, None if there is none that can be read."""
        try:
            state = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return state if isinstance(state, dict) else None

    def save(self, state: dict[str, object]) -> None:
        """Keep a state."""
        try:
            _replace(self._path, json.dumps(state))
        except OSError as error:
            logger.warning("cannot keep the simulated account in %s: %s", self._path, error)


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
