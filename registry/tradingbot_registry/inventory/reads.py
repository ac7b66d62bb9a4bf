"""Read assets with their tags, edges and causes, in a few queries."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tradingbot_registry.inventory.graph import causes
from tradingbot_registry.inventory.record import ExternalRef, Record, SecretRef, effective_status
from tradingbot_registry.problems import AssetNotFoundError
from tradingbot_registry.storage.models import (
    Asset,
    AssetTag,
    Dependency,
    PendingDependency,
    Tag,
    rows,
)


def by_id(asset_id: UUID) -> Asset:
    """Return the row of that id. Raises AssetNotFoundError."""
    asset: Asset | None = Asset.get_or_none(Asset.id == asset_id)
    if asset is None:
        raise AssetNotFoundError(f"no asset has the id {asset_id}")
    return asset


def by_ref(ref: ExternalRef) -> Asset:
    """Return the row of that external reference. Raises AssetNotFoundError."""
    asset = find_ref(ref)
    if asset is None:
        raise AssetNotFoundError(f"no asset has the external reference {ref}")
    return asset


def find_ref(ref: ExternalRef) -> Asset | None:
    """Return the row of that external reference, or None."""
    asset: Asset | None = Asset.get_or_none(Asset.external_ref == str(ref))
    return asset


def record(asset: Asset) -> Record:
    """Return one asset in full."""
    return records([asset])[0]


def records(assets: Sequence[Asset]) -> list[Record]:
    """Return assets in full, in the order given: four queries for any number."""
    seqs = [asset.seq for asset in assets]
    tags = _grouped(
        AssetTag.select(AssetTag.asset, Tag.name)
        .join(Tag, on=(AssetTag.tag == Tag.id))
        .where(AssetTag.asset.in_(seqs))
        .order_by(Tag.name)
    )
    resolved = _grouped(
        Dependency.select(Dependency.src, Asset.id)
        .join(Asset, on=(Dependency.dst == Asset.seq))
        .where(Dependency.src.in_(seqs))
        .order_by(Dependency.dst)
    )
    pending = _grouped(
        PendingDependency.select(PendingDependency.src, PendingDependency.ref)
        .where(PendingDependency.src.in_(seqs))
        .order_by(PendingDependency.ref)
    )
    caused_by = causes(seqs)
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
            effective_status=effective_status(asset.status, has_causes=asset.seq in caused_by),
            caused_by=caused_by.get(asset.seq, ()),
        )
        for asset in assets
    ]


def _grouped(query: Any) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for seq, value in rows(query):
        found.setdefault(seq, []).append(str(value))
    return {seq: tuple(values) for seq, values in found.items()}


def entity_tag(asset: Record) -> str:
    """Return the asset's ETag: its version, and a mark of the state of its dependencies.

    `effectiveStatus` changes with other assets while the version does not, and a cached answer must
    not outlive it.
    """
    if not asset.caused_by:
        return str(asset.version)
    causes_text = json.dumps([cause.as_json() for cause in asset.caused_by])
    return f"{asset.version}-{hashlib.sha256(causes_text.encode()).hexdigest()[:12]}"
