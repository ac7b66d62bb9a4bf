"""Load assets with their tags, edges and causes, in a few queries.

All functions run inside a snapshot or a write.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tradingbot_registry.inventory.graph import Causes, causes
from tradingbot_registry.inventory.record import EffectiveStatus, ExternalRef, Record, SecretRef
from tradingbot_registry.refusals import AssetNotFoundError
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import (
    Asset,
    AssetTag,
    Dependency,
    PendingDependency,
    Tag,
    rows,
)

NO_CAUSES = Causes()
MAY_HAVE_CAUSES = frozenset({EffectiveStatus.FAILED, EffectiveStatus.DEGRADED})


def by_id(db: Database, asset_id: UUID) -> Asset:
    """Return the row of that id. Raises AssetNotFoundError."""
    asset = _first(db, Asset.id == asset_id)
    if asset is None:
        raise AssetNotFoundError(f"no asset has the id {asset_id}")
    return asset


def by_ref(db: Database, ref: ExternalRef) -> Asset:
    """Return the row of that external reference. Raises AssetNotFoundError."""
    asset = find_ref(db, ref)
    if asset is None:
        raise AssetNotFoundError(f"no asset has the external reference {ref}")
    return asset


def find_ref(db: Database, ref: ExternalRef) -> Asset | None:
    """Return the row of that external reference, or None."""
    return _first(db, Asset.external_ref == str(ref))


def _first(db: Database, condition: Any) -> Asset | None:
    found: Asset | None = next(iter(Asset.select().where(condition).limit(1).execute(db)), None)
    return found


def record(db: Database, asset: Asset, *, with_causes: bool = True) -> Record:
    """Return one asset in full, as `records` does."""
    return records(db, [asset], with_causes=with_causes)[0]


def records(db: Database, assets: Sequence[Asset], *, with_causes: bool = True) -> list[Record]:
    """Return assets in full, in the order given: a few queries for any number.

    Without `with_causes` they have none.
    """
    seqs = [asset.seq for asset in assets]
    tags = _grouped(
        db,
        AssetTag.select(AssetTag.asset, Tag.name)
        .join(Tag, on=(AssetTag.tag == Tag.id))
        .where(AssetTag.asset.in_(seqs))
        .order_by(Tag.name),
    )
    resolved = _grouped(
        db,
        Dependency.select(Dependency.src, Asset.id)
        .join(Asset, on=(Dependency.dst == Asset.seq))
        .where(Dependency.src.in_(seqs))
        .order_by(Dependency.dst),
    )
    pending = _grouped(
        db,
        PendingDependency.select(PendingDependency.src, PendingDependency.ref)
        .where(PendingDependency.src.in_(seqs))
        .order_by(PendingDependency.ref),
    )
    # Healthy assets have no causes, and most assets are healthy.
    suspects = [asset.seq for asset in assets if asset.effective_status in MAY_HAVE_CAUSES]
    caused_by = causes(db, suspects) if with_causes else {}
    return [
        Record(
            seq=asset.seq,
            id=str(asset.id),
            name=asset.name,
            type=asset.type,
            status=asset.status,
            description=asset.description,
            tags=tags.get(asset.seq, ()),
            config=asset.config,
            secret_ref=SecretRef.from_json(asset.secret_ref),
            managed_by=asset.managed_by,
            external_ref=asset.external_ref,
            depends_on=resolved.get(asset.seq, ()) + pending.get(asset.seq, ()),
            unresolved=pending.get(asset.seq, ()),
            version=asset.version,
            created_at=asset.created_at,
            updated_at=asset.updated_at,
            effective_status=EffectiveStatus(asset.effective_status),
            caused_by=caused_by.get(asset.seq, NO_CAUSES).listed,
            more_causes=caused_by.get(asset.seq, NO_CAUSES).more,
        )
        for asset in assets
    ]


def _grouped(db: Database, query: Any) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for seq, value in rows(db, query):
        found.setdefault(seq, []).append(str(value))
    return {seq: tuple(values) for seq, values in found.items()}
