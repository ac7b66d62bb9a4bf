"""Which events repeat others, by the rules of client-go's correlator, so that `kubectl describe`
shows each once with a count.

    event                                            written
    the first of its object, type, reason, message   a new Event, count 1
    the same again                                   the same Event, count + 1
    the tenth message of one object, type and        a new Event "(combined from similar events)"
    reason, with ten minutes at most between two
    and each further message                         that Event with this message, count + 1

Unlike client-go, no event is dropped for being the 26th of its object in a short time: it may be
the one that says that a bot was halted.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

MOST_MESSAGES = 10
"""Messages of one kind of event on one object, the last of which stands for all that follow."""
PAUSE = timedelta(minutes=10)
"""After such a pause between two messages, they are counted from the start."""
CAPACITY = 4096
"""Events, and kinds of events, that are remembered. The API server deletes events after an hour."""
COMBINED = "(combined from similar events): "

Kind = tuple[Hashable, str, str]
"""An object, the type of an event, and its reason."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Occurrence:
    """An event as it is to be written."""

    name: str
    message: str
    first: datetime
    count: int
    """How often it has happened: 1 for an Event that has to be created."""


@dataclass
class _Similar:
    """The messages of one kind of event."""

    last: datetime
    messages: set[str] = field(default_factory=set)


class Correlation:
    """Remembers the events of this process. `new_name` returns the name of a new Event."""

    def __init__(self) -> None:
        self._written = _Recent[tuple[Kind, str], Occurrence](CAPACITY)
        self._similar = _Recent[Kind, _Similar](CAPACITY)

    def occurrence(
        self, kind: Kind, message: str, now: datetime, *, new_name: Callable[[], str]
    ) -> Occurrence:
        """Return how to write an event that happens now, and remember it."""
        is_combined = self._is_one_of_many(kind, message, now)
        key = (kind, "" if is_combined else message)
        shown = f"{COMBINED}{message}" if is_combined else message
        known = self._written.get(key)
        if known is None:
            found = Occurrence(new_name(), shown, first=now, count=1)
        else:
            found = Occurrence(known.name, shown, first=known.first, count=known.count + 1)
        self._written.put(key, found)
        return found

    def forget(self, kind: Kind, occurrence: Occurrence) -> None:
        """Forget an event that could not be written, so that the next one is created."""
        for message in (occurrence.message, ""):
            known = self._written.get((kind, message))
            if known is not None and known.name == occurrence.name:
                self._written.drop((kind, message))

    def _is_one_of_many(self, kind: Kind, message: str, now: datetime) -> bool:
        similar = self._similar.get(kind)
        if similar is None or now - similar.last > PAUSE:
            similar = _Similar(now)
            self._similar.put(kind, similar)
        similar.last = now
        if message in similar.messages:
            return False
        if len(similar.messages) >= MOST_MESSAGES - 1:
            return True
        similar.messages.add(message)
        return False


class _Recent(Generic[Key, Value]):
    """A mapping that forgets what was used longest ago."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)

    def drop(self, key: Key) -> None:
        del self._values[key]
