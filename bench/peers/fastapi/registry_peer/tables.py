"""The registry's tables, as SQLAlchemy Core has them.

Core and not ORM: the same answers take less time. Statements are cached by SQLAlchemy.
"""

import json
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()


class JsonText(sa.TypeDecorator[Any]):
    """JSON in a column of text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, _: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: Any, _: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


asset = sa.Table(
    "asset",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", sa.Uuid),
    sa.Column("name", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("effective_status", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("search", sa.Text),
    sa.Column("config", JsonText),
    sa.Column("secret_ref", JsonText),
    sa.Column("managed_by", sa.Text),
    sa.Column("external_ref", sa.Text),
    sa.Column("version", sa.Integer),
    sa.Column("created_at", sa.Text),
    sa.Column("updated_at", sa.Text),
)
tag = sa.Table(
    "tag", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text)
)
asset_tag = sa.Table(
    "asset_tag", metadata, sa.Column("asset", sa.Integer), sa.Column("tag", sa.Integer)
)
dependency = sa.Table(
    "dependency", metadata, sa.Column("src", sa.Integer), sa.Column("dst", sa.Integer)
)
pending_dependency = sa.Table(
    "pending_dependency", metadata, sa.Column("src", sa.Integer), sa.Column("ref", sa.Text)
)
change = sa.Table(
    "change",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("asset_id", sa.Uuid),
    sa.Column("name", sa.Text),
    sa.Column("external_ref", sa.Text),
    sa.Column("version", sa.Integer),
    sa.Column("action", sa.Text),
    sa.Column("actor", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("at", sa.Text),
    sa.Column("before", JsonText),
    sa.Column("after", JsonText),
)
