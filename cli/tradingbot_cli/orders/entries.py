"""The lines of a drop copy, as `tradingbot_gateway.drop_copy` writes them. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradingbot_api.model import JsonObject


class Kind(StrEnum):
    """What a line is about, and how it is asked for."""

    ORDERS = "orders"
    """Orders of the bot that passed."""
    REFUSALS = "refusals"
    FILLS = "fills"
    OWN = "own"
    """What the gateway did by itself, and what it released for the bot."""


_KINDS = {
    "allowed": Kind.ORDERS,
    "refused": Kind.REFUSALS,
    "filled": Kind.FILLS,
    "own": Kind.OWN,
    "released": Kind.OWN,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a drop copy."""

    time: datetime
    kind: Kind
    line: JsonObject

    @property
    def bot(self) -> str:
        """Namespace and name of the bot; empty in lines of an older gateway."""
        return self.text("bot")

    def text(self, key: str) -> str:
        """Return a value as text, empty if the line does not have it."""
        value = self.line.get(key)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which lines are wanted."""

    bot: str | None = None
    """A name, or NAMESPACE/NAME."""
    kinds: frozenset[Kind] = frozenset(Kind)
    since: datetime | None = None

    def has(self, entry: Entry) -> bool:
        """Whether an entry is wanted. A line that does not name its bot is of any."""
        if entry.kind not in self.kinds or (self.since is not None and entry.time < self.since):
            return False
        if self.bot is None or not entry.bot:
            return True
        return self.bot in {entry.bot, entry.bot.rpartition("/")[2]}


def parse(line: bytes) -> Entry | None:
    """Return the entry in a line, None if the line is none: a pod's log has the gateway's own log
    lines too."""
    if not line.startswith(b"{"):
        return None
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    verdict, time = found.get("verdict"), found.get("time")
    kind = _KINDS.get(verdict) if isinstance(verdict, str) else None
    if kind is None or not isinstance(time, str):
        return None
    try:
        instant = datetime.fromisoformat(time)
    except ValueError:
        return None
    return None if instant.tzinfo is None else Entry(instant, kind, found)


def once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Leave out fills that came before: a gateway that has lost its ledger writes them again."""
    seen = set()
    for entry in entries:
        if entry.kind is Kind.FILLS:
            trade = (entry.bot, entry.text("symbol"), entry.text("tradeId"))
            if trade in seen:
                continue
            seen.add(trade)
        yield entry
