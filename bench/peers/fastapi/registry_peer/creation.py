"""Create an asset: the rows that the registry writes too, in one transaction."""

import unicodedata
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from registry_peer.models import Asset, AssetStatus, NewAsset
from registry_peer.queries import loaded
from registry_peer.tables import asset, asset_tag, change, dependency, pending_dependency, tag


class RefusedError(Exception):
    """What the body asks for contradicts other assets."""


def create(connection: Connection, new: NewAsset) -> Asset:
    """Add an asset. Raises RefusedError."""
    targets = _targets(connection, new)
    pending = _unresolved(new, targets)
    if new.status is AssetStatus.ACTIVE and (
        pending or any(target.status == "Draft" for target in targets)
    ):
        raise RefusedError("a dependency of an Active asset is not ready")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    bad = any(target.effective_status not in {"Active", "Draft"} for target in targets)
    degraded = bad and new.status is not AssetStatus.FAILED
    values = {
        "id": uuid4(),
        "name": new.name,
        "type": new.type,
        "status": new.status,
        "effective_status": "Degraded" if degraded else new.status,
        "description": new.description,
        "search": f"{_folded(new.name)}\x1f{_folded(new.description)}",
        "config": new.config,
        "secret_ref": new.secret_ref and new.secret_ref.model_dump(),
        "managed_by": "user",
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    row = connection.execute(sa.insert(asset).values(values).returning(asset)).one()
    _write_tags(connection, row.seq, new.tags)
    if targets:
        edges = [{"src": row.seq, "dst": target.seq} for target in targets]
        connection.execute(sa.insert(dependency), edges)
    if pending:
        waiting = [{"src": row.seq, "ref": ref} for ref in pending]
        connection.execute(sa.insert(pending_dependency), waiting)
    created = loaded(connection, [row])[0]
    _record(connection, created, now)
    return created


def _targets(connection: Connection, new: NewAsset) -> list[Any]:
    if not new.depends_on:
        return []
    ids = [UUID(text) for text in new.depends_on if "/" not in text]
    refs = [text for text in new.depends_on if "/" in text]
    columns = (
        asset.c.seq,
        asset.c.id,
        asset.c.external_ref,
        asset.c.status,
        asset.c.effective_status,
    )
    found = sa.select(*columns).where(asset.c.id.in_(ids) | asset.c.external_ref.in_(refs))
    targets = list(connection.execute(found.order_by(asset.c.seq)))
    if len({target.id for target in targets} & set(ids)) != len(ids):
        raise RefusedError("no asset has this id")
    return targets


def _unresolved(new: NewAsset, targets: list[Any]) -> list[str]:
    there = {target.external_ref for target in targets}
    return sorted(text for text in new.depends_on if "/" in text and text not in there)


def _write_tags(connection: Connection, seq: int, names: list[str]) -> None:
    if not names:
        return
    if connection.dialect.name == "sqlite":
        insert = sa.insert(tag).prefix_with("OR IGNORE")
        connection.execute(insert, [{"name": name} for name in names])
    else:
        insert = sa.dialects.postgresql.insert(tag).on_conflict_do_nothing()
        connection.execute(insert, [{"name": name} for name in names])
    ids = connection.scalars(sa.select(tag.c.id).where(tag.c.name.in_(names)))
    connection.execute(sa.insert(asset_tag), [{"asset": seq, "tag": each} for each in ids])


def _record(connection: Connection, created: Asset, now: str) -> None:
    """Add the entry of the history."""
    fields = created.model_dump(
        mode="json",
        by_alias=True,
        include={
            *("name", "type", "status", "description", "tags", "config"),
            *("secret_ref", "managed_by", "external_ref", "depends_on"),
        },
        warnings=False,
    )
    entry = {
        "asset_id": created.id,
        "name": created.name,
        "external_ref": None,
        "version": 1,
        "action": "created",
        "actor": "anonymous",
        "request_id": uuid4().hex[:16],
        "at": now,
        "before": None,
        "after": fields,
    }
    connection.execute(sa.insert(change).values(entry))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
