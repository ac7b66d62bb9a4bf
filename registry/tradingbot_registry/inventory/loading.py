"""Load assets with their tags, edges and causes: one query for any number, and one for causes.

All functions run inside a snapshot or a write. The statement is a constant, and rows become records
without a model between: that took longer than the database itself.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import orjson

from tradingbot_registry.inventory.graph import Causes, causes
from tradingbot_registry.inventory.record import (
    EffectiveStatus,
    ExternalRef,
    Record,
    SecretRef,
    id_text,
)
from tradingbot_registry.refusals import AssetNotFoundError
from tradingbot_registry.storage.engine import Database

NO_CAUSES = Causes()
MAY_HAVE_CAUSES = frozenset({EffectiveStatus.FAILED, EffectiveStatus.DEGRADED})

_TAGS = "asset_tag JOIN tag ON tag.id = asset_tag.tag WHERE asset_tag.asset = asset.seq"
_TARGETS = "dependency JOIN asset target ON target.seq = dependency.dst WHERE src = asset.seq"
_PENDING = "pending_dependency WHERE src = asset.seq"


@cache
def _select(collected: Callable[..., str]) -> str:
    return (
        "SELECT seq, id, name, type, status, description, config, secret_ref, managed_by,"  # noqa: S608
        " external_ref, version, created_at, updated_at, effective_status,"
        f" {collected('tag.name', _TAGS, order='tag.name')},"
        f" {collected('target.id', _TARGETS, order='dependency.dst')},"
        f" {collected('ref', _PENDING, order='ref')} FROM asset WHERE "
    )


def by_id(db: Database, asset_id: UUID, *, with_causes: bool = True) -> Record:
    """Return the asset of that id. Raises AssetNotFoundError."""
    found = _find(db, "id = ?", asset_id.hex, with_causes=with_causes)
    if not found:
        raise AssetNotFoundError(f"no asset has the id {asset_id}")
    return found[0]


def by_ref(db: Database, ref: ExternalRef, *, with_causes: bool = True) -> Record:
    """Return the asset of that external reference. Raises AssetNotFoundError."""
    asset = find_ref(db, ref, with_causes=with_causes)
    if asset is None:
        raise AssetNotFoundError(f"no asset has the external reference {ref}")
    return asset


def find_ref(db: Database, ref: ExternalRef, *, with_causes: bool = True) -> Record | None:
    """Return the asset of that external reference, or None."""
    return next(iter(_find(db, "external_ref = ?", str(ref), with_causes=with_causes)), None)


def by_seqs(db: Database, seqs: Sequence[int], *, with_causes: bool = True) -> list[Record]:
    """Return these assets, in the order given.

    Without `with_causes` they have none.
    """
    found = {
        asset.seq: asset for asset in _find(db, "seq IN ??", list(seqs), with_causes=with_causes)
    }
    return [found[seq] for seq in seqs]


def _find(db: Database, condition: str, value: Any, *, with_causes: bool) -> list[Record]:
    rows = db.query(_select(db.collected) + condition, value)
    # Healthy assets have no causes, and most assets are healthy.
    suspects = [row[0] for row in rows if row[13] in MAY_HAVE_CAUSES] if with_causes else []
    caused_by = causes(db, suspects)
    return [_record(row, caused_by.get(row[0], NO_CAUSES)) for row in rows]


def _record(row: tuple[Any, ...], found: Causes) -> Record:
    pending = texts(row[16])
    return Record(
        seq=row[0],
        id=id_text(row[1]),
        name=row[2],
        type=row[3],
        status=row[4],
        description=row[5],
        tags=texts(row[14]),
        config=json.loads(row[6]),
        secret_ref=row[7] and SecretRef.from_json(json.loads(row[7])),
        managed_by=row[8],
        external_ref=row[9],
        depends_on=tuple(map(id_text, texts(row[15]))) + pending,
        unresolved=pending,
        version=row[10],
        created_at=row[11],
        updated_at=row[12],
        effective_status=EffectiveStatus(row[13]),
        caused_by=found.listed,
        more_causes=found.more,
    )


def texts(collected: str | list[Any] | None) -> tuple[Any, ...]:
    """Return the values of `Database.collected`."""
    if not collected or collected == "[]":
        return ()
    return tuple(orjson.loads(collected) if isinstance(collected, str) else collected)
