"""The inventory in one database: its reads and its writes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from tradingbot_registry.inventory.reads import Reads
from tradingbot_registry.inventory.writes import Writes
from tradingbot_registry.storage.database import SqliteFile


@dataclass(frozen=True, slots=True)
class Store:
    """An inventory. A process may have several."""

    database: SqliteFile
    reads: Reads
    writes: Writes

    @classmethod
    def on(
        cls, database: SqliteFile, clock: Callable[[], datetime], new_id: Callable[[], UUID]
    ) -> Self:
        """Return the inventory in this database. `clock` returns aware UTC times."""
        return cls(database, Reads(database), Writes(database, clock, new_id))
