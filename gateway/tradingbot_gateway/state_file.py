"""The ledger's file: what the gateway must not forget when its process ends.

The file is replaced as a whole, so a reader finds the old content or the new one. A process that is
killed loses nothing that was written. `durable` also survives the loss of the machine, at the price
of a flush to the disk: it is used where forgetting would lift a limit, such as a halt.
"""

import json
import os
from pathlib import Path
from typing import Any

from tradingbot_gateway.errors import StateFileError

VERSION = 1
_LONGEST = 256 * 1024 * 1024


class StateFile:
    """The file of one bot. One process uses it at a time."""

    def __init__(self, path: Path, *, bot: str) -> None:
        """`bot` is NAMESPACE/NAME: another bot's file is refused."""
        self.path = path
        self._bot = bot
        self._next = path.with_name(path.name + ".next")

    def read(self) -> dict[str, Any] | None:
        """Return what was written last, or None if there is no file. Raises StateFileError."""
        try:
            with self.path.open("rb") as file:
                content = file.read(_LONGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateFileError(f"cannot read {self.path}: {error.strerror or error}") from error
        try:
            whole = json.loads(content)
            version, bot, ledger = whole["version"], whole["bot"], whole["ledger"]
        except (ValueError, KeyError, TypeError) as error:
            raise StateFileError(
                f"{self.path} is not a ledger: restore it, or remove it to rebuild from the"
                " exchange what the exchange still knows"
            ) from error
        if version != VERSION:
            raise StateFileError(f"{self.path} is of version {version}, not {VERSION}")
        if bot != self._bot:
            raise StateFileError(f"{self.path} is the ledger of {bot}, not of {self._bot}")
        if not isinstance(ledger, dict):
            raise StateFileError(f"{self.path} is not a ledger")
        return ledger

    def write(self, ledger: object, *, durable: bool) -> None:
        """Replace the content. Raises StateFileError: then nothing may be sent."""
        whole = {"version": VERSION, "bot": self._bot, "ledger": ledger}
        content = json.dumps(whole, separators=(",", ":")).encode()
        try:
            descriptor = os.open(self._next, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - of a descriptor
                file.write(content)
                if durable:
                    os.fsync(descriptor)
            self._next.replace(self.path)
            if durable:
                self._flush_directory()
        except OSError as error:
            raise StateFileError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _flush_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
