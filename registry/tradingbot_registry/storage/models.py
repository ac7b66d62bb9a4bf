"""The tables that `migrations` creates.

The models belong to no database: each query is executed on one that is given. So a process may have
several registries.

Links hold an asset's `seq` as a plain integer. The foreign keys are in the schema, and a peewee
ForeignKeyField would query rows of other tables implicitly.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, reduce
from operator import or_
from typing import Any

import peewee

from tradingbot_registry.rfc3339 import text_of
from tradingbot_registry.storage.engine import Database, places


class TimestampField(peewee.TextField):
    """A UTC time as RFC 3339 text of fixed width, so that text order is time order."""

    def db_value(self, value: datetime | None) -> str | None:
        """Return text for the database."""
        return None if value is None else text_of(value)

    def python_value(self, value: str | None) -> datetime | None:
        """Return the time."""
        return None if value is None else datetime.fromisoformat(value)


class JSONText(peewee.TextField):
    """A JSON value as ASCII text."""

    def db_value(self, value: Any) -> str | None:
        """Return text for the database."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def python_value(self, value: str | None) -> Any:
        """Return the value."""
        return None if value is None else json.loads(value)


class Asset(peewee.Model):
    """One piece of infrastructure. `seq` is the order of creation, `id` the public key."""

    seq = peewee.AutoField()
    id = peewee.UUIDField(unique=True)
    name = peewee.TextField()
    type = peewee.TextField()
    status = peewee.TextField()
    effective_status = peewee.TextField()
    description = peewee.TextField()
    search = peewee.TextField()
    config = JSONText()
    secret_ref = JSONText(null=True)
    managed_by = peewee.TextField()
    external_ref = peewee.TextField(null=True, unique=True)
    namespace = peewee.TextField(null=True)
    """Of `external_ref`, computed by the database."""
    version = peewee.IntegerField()
    created_at = TimestampField()
    updated_at = TimestampField()


class Tag(peewee.Model):
    """A tag."""

    id = peewee.AutoField()
    name = peewee.TextField(unique=True)


class AssetTag(peewee.Model):
    """A tag of an asset."""

    asset = peewee.IntegerField()
    tag = peewee.IntegerField()

    class Meta:
        table_name = "asset_tag"
        primary_key = peewee.CompositeKey("asset", "tag")


class Dependency(peewee.Model):
    """`src` depends on `dst`. The edges never form a cycle."""

    src = peewee.IntegerField()
    dst = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("src", "dst")


class PendingDependency(peewee.Model):
    """`src` depends on an external reference that no asset has.

    The asset does not exist yet, or was deleted and had the id `target_id`.
    """

    src = peewee.IntegerField()
    ref = peewee.TextField()
    target_id = peewee.TextField(null=True)

    class Meta:
        table_name = "pending_dependency"
        primary_key = peewee.CompositeKey("src", "ref")


class Change(peewee.Model):
    """A change of an asset, which may be deleted since. `seq` is the order of the changes."""

    seq = peewee.AutoField()
    asset_id = peewee.UUIDField()
    name = peewee.TextField()
    external_ref = peewee.TextField(null=True)
    version = peewee.IntegerField()
    action = peewee.TextField()
    actor = peewee.TextField()
    request_id = peewee.TextField(null=True)
    at = TimestampField()
    before = JSONText(null=True)
    after = JSONText(null=True)


class Report(peewee.Model):
    """The last report of an asset, whose `seq` is `asset`."""

    asset = peewee.IntegerField(primary_key=True)
    day_pnl = peewee.TextField()
    at = TimestampField()


class Receipt(peewee.Model):
    """The answer to a request that may be repeated with the same key."""

    actor = peewee.TextField()
    key = peewee.TextField()
    digest = peewee.TextField()
    at = TimestampField()
    answer = JSONText()

    class Meta:
        primary_key = peewee.CompositeKey("actor", "key")


def rows(db: peewee.Database, query: Any) -> list[tuple[Any, ...]]:
    """Return the rows of the query as tuples."""
    return list(query.tuples().execute(db))


def insert_row(db: Database, model: Any, item: Mapping[str, Any]) -> int:
    """Insert a row, and return its `seq`.

    The statement is a constant: `insert` takes longer to write it than the database to execute it.
    """
    ((seq,),) = db.query(
        f"{_insertion(model, tuple(item))} RETURNING seq",
        *_stored(model, item),
    )
    return int(seq)


def update_row(
    db: Database, model: Any, item: Mapping[str, Any], *, seq: int, version: int
) -> bool:
    """Write the row as its next version. Returns whether it had this version."""
    updated = db.query(
        _update(model, tuple(item)), *_stored(model, item), version + 1, seq, version
    )
    return bool(updated)


def insert_rows(db: Database, model: Any, items: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows with the same columns, in one statement that the driver repeats.

    `insert_many` writes the statement again for each set of rows, which takes most of its time.
    """
    if not items:
        return
    columns = [_field(model, name) for name in items[0]]
    values = [[column.db_value(item[column.name]) for column in columns] for item in items]
    statement = _insertion(model, tuple(items[0])).replace("?", db.param)
    with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
        db.cursor().executemany(statement, values)  # type: ignore[no-untyped-call]


@cache
def _insertion(model: Any, names: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{_field(model, name).column_name}"' for name in names)
    return f'INSERT INTO "{model._meta.table_name}" ({columns}) VALUES ({places(names)})'  # noqa: S608, SLF001


@cache
def _update(model: Any, names: tuple[str, ...]) -> str:
    columns = [_field(model, name).column_name for name in (*names, "version")]
    values = ", ".join(f'"{column}" = ?' for column in columns)
    table = model._meta.table_name  # noqa: SLF001
    return f'UPDATE "{table}" SET {values} WHERE seq = ? AND version = ? RETURNING seq'  # noqa: S608


def _stored(model: Any, item: Mapping[str, Any]) -> list[Any]:
    return [_field(model, name).db_value(value) for name, value in item.items()]


def _field(model: Any, name: str) -> Any:
    return model._meta.fields[name]  # noqa: SLF001


LAST_CHARACTER = "\U0010ffff"


def has_ref_prefix(prefix: str) -> Any:
    """Return the condition that an asset's external reference has this prefix."""
    # A range, not LIKE: a range uses the index and has no wildcards to escape.
    return Asset.external_ref.between(prefix, prefix + LAST_CHARACTER)


def in_namespaces(external_ref: Any, namespaces: Sequence[str]) -> Any:
    """Return the condition that an external reference names one of these namespaces."""
    # A namespace has no wildcards, and no other part of a reference has a slash.
    return reduce(or_, (external_ref.contains(f"/{namespace}/") for namespace in namespaces))
