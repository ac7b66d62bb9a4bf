"""The inventory in one database: its reads and its writes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from tradingbot_registry.inventory.reads import Reads
from tradingbot_registry.inventory.receipts import Receipts
from tradingbot_registry.inventory.writes import Writes
from tradingbot_registry.settings import HISTORY_DAYS
from tradingbot_registry.storage.engine import Database


@dataclass(frozen=True, slots=True)
class Changed:
    """Calls its listeners after each write of this process, in the thread of the write."""

    listeners: list[Callable[[], None]] = field(default_factory=list)

    def __call__(self) -> None:
        """Call all listeners."""
        for listener in self.listeners:
            listener()


@dataclass(frozen=True, slots=True)
class Store:
    """An inventory. A process may have several."""

    database: Database
    reads: Reads
    writes: Writes
    changed: Changed

    @classmethod
    def on(
        cls,
        database: Database,
        clock: Callable[[], datetime],
        new_id: Callable[[], UUID],
        *,
        keep: timedelta = timedelta(days=HISTORY_DAYS),
    ) -> Self:
        """Return the inventory in this database. `clock` returns aware UTC times.

        Entries of the history are kept for the time `keep`.
        """
        changed = Changed()
        writes = Writes(database, clock, new_id, changed, keep, Receipts())
        return cls(database, Reads(database), writes, changed)
