"""The tables, as `migrations` makes them.

Links hold an asset's `seq` as a plain integer: the foreign keys are in the schema, and nothing
here wants a row of another table fetched behind its back.
"""

import json
from datetime import UTC, datetime
from typing import Any

import peewee

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class TimestampField(peewee.TextField):
    """A UTC moment as RFC 3339 text of fixed width, so that text order is time order."""

    def db_value(self, value: datetime | None) -> str | None:
        """Text for the database."""
        return None if value is None else value.astimezone(UTC).strftime(TIME_FORMAT)

    def python_value(self, value: str | None) -> datetime | None:
        """The moment that the text names."""
        return None if value is None else datetime.fromisoformat(value)


class JSONText(peewee.TextField):
    """A JSON value as ASCII text."""

    def db_value(self, value: Any) -> str | None:
        """Text for the database."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def python_value(self, value: str | None) -> Any:
        """The value that the text holds."""
        return None if value is None else json.loads(value)


class Asset(peewee.Model):
    """One piece of infrastructure. `seq` is the order of creation, `id` the public key."""

    seq = peewee.AutoField()
    id = peewee.UUIDField(unique=True)
    name = peewee.TextField()
    type = peewee.TextField()
    status = peewee.TextField()
    description = peewee.TextField()
    config = JSONText()
    secret_ref = JSONText(null=True)
    managed_by = peewee.TextField()
    external_ref = peewee.TextField(null=True, unique=True)
    version = peewee.IntegerField()
    created_at = TimestampField()
    updated_at = TimestampField()


class Tag(peewee.Model):
    """A word to find assets by."""

    id = peewee.AutoField()
    name = peewee.TextField(unique=True)


class AssetTag(peewee.Model):
    """An asset carries a tag."""

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
    """`src` depends on an asset that is not there yet, known by its external reference."""

    src = peewee.IntegerField()
    ref = peewee.TextField()

    class Meta:
        table_name = "pending_dependency"
        primary_key = peewee.CompositeKey("src", "ref")


def rows(query: Any) -> list[tuple[Any, ...]]:
    """What the query selects, as tuples."""
    return list(query.tuples())


MODELS = (Asset, Tag, AssetTag, Dependency, PendingDependency)


def bind(database: peewee.Database) -> None:
    """Make `database` the one that the models use: one database a process."""
    database.bind(MODELS, bind_refs=False, bind_backrefs=False)
