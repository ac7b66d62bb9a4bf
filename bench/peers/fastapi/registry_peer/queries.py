"""What is read and written. Each function runs in a transaction of the caller."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from registry_peer.models import Asset, Reached, Reference
from registry_peer.tables import asset, asset_tag, dependency, pending_dependency, tag

CAUSES = ("Failed", "Inactive")
MAX_CAUSES = 10
COUNTED = 10_000
"""Assets that a page counts; beyond, their number is not needed."""
ORDERS: Mapping[str, sa.Column[Any]] = {
    "created_at": asset.c.seq,
    "updated_at": asset.c.updated_at,
    "name": asset.c.name,
}
REFERENCE = (asset.c.id, asset.c.name, asset.c.type, asset.c.status, asset.c.external_ref)


class NotFoundError(Exception):
    """No asset has the id."""


@dataclass(frozen=True)
class Filters:
    """Filters and order of a page."""

    type: tuple[str, ...]
    status: tuple[str, ...]
    effective_status: tuple[str, ...]
    managed_by: tuple[str, ...]
    tag: tuple[str, ...]
    q: str | None
    sort: str


@dataclass(frozen=True)
class Page:
    items: list[Asset]
    total: int | None
    cursor: str | None


def one(connection: Connection, asset_id: UUID) -> Asset:
    """Return an asset. Raises NotFoundError."""
    row = connection.execute(sa.select(asset).where(asset.c.id == asset_id)).first()
    if row is None:
        raise NotFoundError
    return loaded(connection, [row])[0]


def page(connection: Connection, filters: Filters, size: int, cursor: str | None) -> Page:
    """Return a page, and the number of all assets that match unless there is a cursor."""
    query = sa.select(asset).where(*_conditions(filters))
    total = None
    if cursor is None:
        some = sa.select(sa.literal(1)).select_from(asset).where(*_conditions(filters))
        total = connection.scalar(
            sa.select(sa.func.count()).select_from(some.limit(COUNTED + 1).subquery())
        )
    descending = filters.sort.startswith("-")
    column = ORDERS[filters.sort.removeprefix("-")]
    keys = [column] if column is asset.c.seq else [column, asset.c.seq]
    if cursor is not None:
        place = json.loads(base64.urlsafe_b64decode(cursor))
        behind = sa.tuple_(*keys)
        ends = sa.tuple_(*(sa.literal(value) for value in place))
        query = query.where(behind < ends if descending else behind > ends)
    query = query.order_by(*(key.desc() if descending else key.asc() for key in keys))
    rows = connection.execute(query.limit(size + 1)).all()
    shown = rows[:size]
    end = None
    if len(rows) > size:
        place = [getattr(shown[-1], key.name) for key in keys]
        end = base64.urlsafe_b64encode(json.dumps(place).encode()).decode()
    return Page(loaded(connection, shown), total, end)


def _conditions(filters: Filters) -> list[Any]:
    conditions: list[Any] = [
        column.in_(values)
        for column, values in (
            (asset.c.type, filters.type),
            (asset.c.status, filters.status),
            (asset.c.effective_status, filters.effective_status),
            (asset.c.managed_by, filters.managed_by),
        )
        if values
    ]
    conditions += [
        sa.exists()
        .where(asset_tag.c.asset == asset.c.seq)
        .where(asset_tag.c.tag == sa.select(tag.c.id).where(tag.c.name == name).scalar_subquery())
        for name in filters.tag
    ]
    if filters.q:
        conditions.append(asset.c.search.contains(filters.q.casefold(), autoescape=True))
    return conditions


def loaded(connection: Connection, rows: Sequence[Any]) -> list[Asset]:
    """Return assets with their tags, dependencies and causes, in a few queries for all."""
    seqs = [row.seq for row in rows]
    tags = _grouped(
        connection,
        sa.select(asset_tag.c.asset, tag.c.name)
        .join(tag, tag.c.id == asset_tag.c.tag)
        .where(asset_tag.c.asset.in_(seqs))
        .order_by(tag.c.name),
    )
    resolved = _grouped(
        connection,
        sa.select(dependency.c.src, asset.c.id)
        .join(asset, asset.c.seq == dependency.c.dst)
        .where(dependency.c.src.in_(seqs))
        .order_by(dependency.c.dst),
    )
    pending = _grouped(
        connection,
        sa.select(pending_dependency.c.src, pending_dependency.c.ref)
        .where(pending_dependency.c.src.in_(seqs))
        .order_by(pending_dependency.c.ref),
    )
    # An asset that is Failed itself has causes too.
    degraded = [row.seq for row in rows if row.effective_status in {"Degraded", "Failed"}]
    causes = _causes(connection, degraded) if degraded else {}
    return [
        Asset.model_construct(
            id=row.id,
            name=row.name,
            type=row.type,
            status=row.status,
            effective_status=row.effective_status,
            caused_by=causes.get(row.seq, [])[:MAX_CAUSES],
            more_causes=len(causes.get(row.seq, [])) > MAX_CAUSES,
            description=row.description,
            tags=tags.get(row.seq, []),
            config=row.config,
            secret_ref=row.secret_ref,
            managed_by=row.managed_by,
            external_ref=row.external_ref,
            depends_on=resolved.get(row.seq, []) + pending.get(row.seq, []),
            unresolved=pending.get(row.seq, []),
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def _grouped(connection: Connection, query: Any) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for seq, value in connection.execute(query):
        found.setdefault(seq, []).append(str(value))
    return found


def _causes(connection: Connection, seqs: Iterable[int]) -> dict[int, list[Reference]]:
    """Return the Failed and Inactive assets below each asset, the oldest first."""
    below = (
        sa.select(dependency.c.src.label("origin"), dependency.c.dst.label("seq"))
        .where(dependency.c.src.in_(seqs))
        .cte("below", recursive=True)
    )
    below = below.union(
        sa.select(below.c.origin, dependency.c.dst).join(
            dependency, dependency.c.src == below.c.seq
        )
    )
    found: dict[int, list[Reference]] = {}
    for row in connection.execute(
        sa.select(below.c.origin, *REFERENCE)
        .join(asset, asset.c.seq == below.c.seq)
        .where(asset.c.status.in_(CAUSES))
        .order_by(below.c.origin, asset.c.seq)
    ):
        found.setdefault(row.origin, []).append(Reference.model_construct(**_reference(row)))
    return found


def _reference(row: Any) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in REFERENCE}


def dependents(connection: Connection, asset_id: UUID, size: int) -> tuple[list[Reached], int]:
    """Return the nearest assets that depend on one, and how many do. Raises NotFoundError."""
    root = connection.scalar(sa.select(asset.c.seq).where(asset.c.id == asset_id))
    if root is None:
        raise NotFoundError
    # Level by level: a recursive query with a depth visits an asset once for each depth.
    depths: dict[int, int] = {}
    frontier, depth = {root}, 0
    while frontier:
        depth += 1
        near = sa.select(dependency.c.src).where(dependency.c.dst.in_(frontier)).distinct()
        frontier = set(connection.scalars(near)) - depths.keys()
        depths |= dict.fromkeys(frontier, depth)
    nearest = sorted((reached, seq) for seq, reached in depths.items())[:size]
    rows = connection.execute(
        sa.select(asset.c.seq, *REFERENCE).where(asset.c.seq.in_([seq for _, seq in nearest]))
    )
    references = {row.seq: _reference(row) for row in rows}
    items = [Reached.model_construct(**references[seq], depth=depth) for depth, seq in nearest]
    return items, len(depths)
