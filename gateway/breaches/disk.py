"""The disk of the gateway: a journal of events, which begins with a snapshot."""

import json
from collections.abc import Iterable
from random import Random

from tradingbot_api.model import JsonObject
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import DURABLE, EVENT, Event, Filled

SAVED = 300
"""Events after which the journal begins again with a snapshot."""


class Disk:
    """What is on the disk, and what was written and is not there yet."""

    def __init__(self) -> None:
        self._snapshot: str | None = None
        self._saved: list[Event] = []
        self._unsaved: list[Event] = []
        self._fills: set[tuple[str, ...]] = set()
        """All that are saved, also those in the snapshot."""

    def write(self, events: Iterable[Event]) -> None:
        """Write events. What must be on the disk is there, with all before it."""
        for event in events:
            self._unsaved.append(event)
            if isinstance(event, DURABLE):
                self.flush()

    def flush(self) -> None:
        """Let everything reach the disk, as happens after a while."""
        self._save(self._unsaved)
        self._unsaved.clear()

    def _save(self, events: list[Event]) -> None:
        self._saved += events
        self._fills.update(_name(event) for event in events if isinstance(event, Filled))

    def compact(self, desk: Desk) -> None:
        """Begin the journal again if it is long."""
        if len(self._saved) > SAVED:
            self._snapshot = json.dumps(desk.snapshot())
            self.flush()
            self._saved.clear()

    def crash(self, random: Random) -> list[Filled]:
        """Save a part of what is not there yet, and return the fills that are lost."""
        kept = random.randint(0, len(self._unsaved))
        self._save(self._unsaved[:kept])
        fills = (event for event in self._unsaved[kept:] if isinstance(event, Filled))
        lost = [fill for fill in fills if _name(fill) not in self._fills]
        self._unsaved.clear()
        return lost

    def read(self) -> tuple[JsonObject | None, list[Event]]:
        """Return what the next gateway finds: a snapshot, and the events since."""
        lines = [EVENT.dump_json(event) for event in self._saved]
        snapshot = None if self._snapshot is None else json.loads(self._snapshot)
        return snapshot, [EVENT.validate_json(line) for line in lines]


def _name(fill: Filled) -> tuple[str, ...]:
    return fill.client_id, fill.symbol, fill.exchange_id, fill.trade_id
