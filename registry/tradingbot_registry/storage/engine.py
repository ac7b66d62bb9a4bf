"""What the inventory needs of a database, whichever it is.

A connection belongs to one thread and one request. Each write is one short transaction that holds
the write lock of the whole inventory from its beginning: what two writers decide can't contradict,
and the numbers of changes become visible in their order.
"""

import threading
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from functools import lru_cache
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


KEPT_TEXTS = 1000
"""Statements that are kept in the driver's words. Filters make others for each number of values."""


def places(values: Sized) -> str:
    """Return the places of values in a statement."""
    return ", ".join("?" * len(values))


class Database(peewee.Database):
    """A database: SQLite's file or a database of PostgreSQL's."""

    shared: ClassVar[bool]
    """Whether other replicas write to it: then a change may come from elsewhere."""
    place: str
    """Where it is, for messages: without credentials."""
    has_statistics: ClassVar[bool]
    """Whether it chooses between indexes by statistics."""
    member_of_list: ClassVar[str]
    """SQL for `IN` and a list of integers, which is one value."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._writers = threading.Lock()
        self._writer: int | None = None
        self.as_driver_has_it = lru_cache(KEPT_TEXTS)(self._as_driver_has_it)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement whose text has no values in it, and return its rows.

        `?` is the place of a value, and `IN ??` that of a list of integers, of any length. For what
        runs often: peewee takes longer to write a statement than SQLite to execute it.
        """
        text = self.as_driver_has_it(statement)
        adapted = [self.list_value(value) if isinstance(value, list) else value for value in values]
        cursor = self.execute_sql(text, adapted)  # type: ignore[no-untyped-call]
        return [] if cursor.description is None else list(cursor.fetchall())

    def _as_driver_has_it(self, statement: str) -> str:
        return statement.replace("IN ??", self.member_of_list).replace("?", self.param)

    @staticmethod
    def collected(column: str, source: str, *, order: str) -> str:
        """Return SQL for a list of the values of a column, as one value.

        Read it with `texts` of `inventory.loading`.
        """
        raise NotImplementedError

    def list_value(self, integers: list[int]) -> Any:
        """Return the value that a list of integers is for the driver."""
        raise NotImplementedError

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

    def contains_text(self, column: str) -> str:
        """Return the condition that the column has a text, character by character.

        Its value is what `sought` returns for the text.
        """
        raise NotImplementedError

    def sought(self, text: str) -> str:
        """Return the value of `contains_text`."""
        raise NotImplementedError

    def search_index(self, text: str) -> tuple[str, tuple[str, ...]] | None:  # noqa: ARG002
        """Return SQL for the `seq` of assets with the text, in this order, and its values.

        None if an index does not have them, or the database itself knows when to use it.
        """
        return None

    def index_search(self) -> None:
        """Create what finds texts without reading all, unless that is a part of the schema."""

    def searches_by_index(self) -> bool:
        """Whether texts are found without reading all."""
        raise NotImplementedError

    def by_index(self, name: str) -> str:
        """Return what makes a query use the index of that name, if there are no statistics."""
        raise NotImplementedError

    def without_index(self, column: str) -> str:
        """Return the column such that no index is used for it, if there are no statistics."""
        raise NotImplementedError

    def continue_numbers(self) -> None:
        """Let new rows be numbered after all that are there, which may have come with numbers."""
        raise NotImplementedError
