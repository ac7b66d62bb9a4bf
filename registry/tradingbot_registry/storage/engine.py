"""What the inventory needs of a database, whichever it is.

A connection belongs to one thread and one request. Each write is one short transaction that holds
the write lock of the whole inventory from its beginning: what two writers decide can't contradict,
and the numbers of changes become visible in their order.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import peewee

from tradingbot_registry.refusals import StorageError

READ = "DEFERRED"
"""Kind of a transaction, in SQLite's words: all of its queries see one moment."""
WRITE = "IMMEDIATE"
"""Kind of a transaction that holds the write lock."""

WRITE_ATTEMPTS = 4

TURN_SECONDS = 8.0
"""How long a writer waits for the others of this process."""


class Database(peewee.Database):
    """A database: SQLite's file or a database of PostgreSQL's."""

    shared: ClassVar[bool]
    """Whether other replicas write to it: then a change may come from elsewhere."""
    place: str
    """Where it is, for messages: without credentials."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._writers = threading.Lock()
        self._writer: int | None = None

    @property
    def writing(self) -> bool:
        """Whether this thread is inside a write."""
        return self._writer == threading.get_ident()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the one thread of this process that writes. Raises StorageError if it takes long."""
        if not self._writers.acquire(timeout=TURN_SECONDS):
            raise StorageError("other requests are writing", busy=True)
        try:
            yield
        finally:
            self._writers.release()

    @contextmanager
    def in_write(self) -> Iterator[None]:
        """Let `writing` be true in this thread."""
        self._writer = threading.get_ident()
        try:
            yield
        finally:
            self._writer = None

    def hold(self) -> None:
        """Prepare for many requests in this process."""
        raise NotImplementedError

    def release(self) -> None:
        """Undo `hold`. To be called in the same thread."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise SchemaError if the database can't hold the registry's texts."""

    def contains(self, column: Any, text: str) -> Any:
        """Return the condition that the column has this text in it, character by character."""
        raise NotImplementedError

    def continue_numbers(self) -> None:
        """Let new rows be numbered after all that are there, which may have come with numbers."""
        raise NotImplementedError
