"""The ledger's file: what the gateway must not forget when its process ends.

The first line is a snapshot of the ledger, each further line an event since. Events are appended
before anything of them has an effect outside. A process that is killed loses nothing that was
written; what an exchange can't tell again is flushed to the disk too, and survives the machine. A
long file is replaced by a new one that begins with a snapshot, so a reader finds either.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from tradingbot_api.model import JsonObject
from tradingbot_process.files import flush

from tradingbot_gateway.errors import StateFileError
from tradingbot_gateway.risk.events import DURABLE, EVENT, Event

VERSION = 1
_MOST_EVENTS = 5_000
"""Events after which the file begins again with a snapshot."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a file has: the ledger's snapshot, and the events since."""

    snapshot: JsonObject | None = None
    events: tuple[Event, ...] = ()
    until: int | None = None
    """The latest time in the file, in milliseconds since the epoch; None without a file."""


class Journal:
    """The file of one bot. One process uses it at a time."""

    def __init__(self, path: Path, *, bot: str) -> None:
        """Open or create the file. `bot` is NAMESPACE/NAME: another bot's file is refused.

        Raises StateFileError.
        """
        self.path = path
        self._bot = bot
        self._lock = self._locked()
        self._descriptor = -1
        self._written = 0

    def read(self) -> Recorded:
        """Return what was written. Raises StateFileError.

        A last line without an end was cut off by a crash: nothing of it had an effect yet.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return Recorded()
        except OSError as error:
            raise self._failed("read", error) from error
        if not lines:
            return Recorded()
        try:
            head = json.loads(lines[0])
            version, bot, snapshot = head["version"], head["bot"], head["snapshot"]
            until = int(head["time"])
            events = tuple(EVENT.validate_json(line) for line in lines[1:])
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise StateFileError(
                f"{self.path} is not a ledger: restore it, or remove it to rebuild what the"
                " exchange still knows"
            ) from error
        if version != VERSION:
            raise StateFileError(f"{self.path} is of version {version}, not {VERSION}")
        if bot != self._bot:
            raise StateFileError(f"{self.path} is the ledger of {bot}, not of {self._bot}")
        return Recorded(snapshot, events, max(until, *(each.time for each in events), 0))

    def begin(self, snapshot: JsonObject, *, now: int) -> None:
        """Replace the file by one that begins with a snapshot. Raises StateFileError."""
        head = {"version": VERSION, "bot": self._bot, "time": now, "snapshot": snapshot}
        following = self.path.with_name(self.path.name + ".next")
        try:
            descriptor = os.open(
                following, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600
            )
            _write(descriptor, json.dumps(head, separators=(",", ":")).encode() + b"\n")
            os.fsync(descriptor)
            following.replace(self.path)
            flush(self.path.parent)
        except OSError as error:
            raise self._failed("write", error) from error
        self._close_file()
        self._descriptor, self._written = descriptor, 0

    def append(
        self, events: Iterable[Event], snapshot: Callable[[], JsonObject], *, now: int
    ) -> None:
        """Write events. Raises StateFileError: then nothing of them may have an effect."""
        found = tuple(events)
        if not found:
            return
        self._written += len(found)
        if self._written > _MOST_EVENTS:
            self.begin(snapshot(), now=now)
            return
        try:
            _write(self._descriptor, b"".join(EVENT.dump_json(each) + b"\n" for each in found))
            if any(isinstance(each, DURABLE) for each in found):
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise self._failed("write", error) from error

    def close(self) -> None:
        """Close the file, and let another process use it."""
        self._close_file()
        os.close(self._lock)

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _locked(self) -> int:
        """Return the lock, which the kernel releases with the process."""
        try:
            descriptor = os.open(
                self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600
            )
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateFileError(f"{self.path} is used by another process") from error
        except OSError as error:
            raise self._failed("write", error) from error
        return descriptor

    def _failed(self, doing: str, error: OSError) -> StateFileError:
        return StateFileError(f"cannot {doing} {self.path}: {error.strerror or error}")


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
