"""The disk of the gateway: a journal of events, which begins with a snapshot."""

import json
from collections.abc import Iterable
from random import Random

from tradingbot_api.model import JsonObject
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import DURABLE, EVENT, Event

SAVED = 300
"""Events after which the journal begins again with a snapshot."""


class Disk:
    """What is on the disk, and what was written and is not there yet."""

    def __init__(self) -> None:
        self._snapshot: str | None = None
        self._saved: list[Event] = []
        self._unsaved: list[Event] = []

    def write(self, events: Iterable[Event]) -> None:
        """Write events. What must be on the disk is there, with all before it."""
        for event in events:
            self._unsaved.append(event)
            if isinstance(event, DURABLE):
                self.flush()

    def flush(self) -> None:
        """Let everything reach the disk, as happens after a while."""
        self._saved += self._unsaved
        self._unsaved.clear()

    def compact(self, desk: Desk) -> None:
        """Begin the journal again if it is long."""
        if len(self._saved) > SAVED:
            self._snapshot = json.dumps(desk.snapshot())
            self._saved.clear()
            self._unsaved.clear()

    def survives(self, random: Random) -> tuple[JsonObject | None, list[Event]]:
        """Return what a crash leaves: all that must be there, and a part of the rest."""
        self._saved += self._unsaved[: random.randint(0, len(self._unsaved))]
        self._unsaved.clear()
        lines = [EVENT.dump_json(event) for event in self._saved]
        snapshot = None if self._snapshot is None else json.loads(self._snapshot)
        return snapshot, [EVENT.validate_json(line) for line in lines]
