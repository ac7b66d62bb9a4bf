"""What bots report all the time, beside their assets.

A report is not a change of the asset: it has no version and no history, and wakes nobody who
follows the changes. Only the last one of each asset is kept, for as long as the asset is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import peewee

from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Asset, Report, rows


@dataclass(frozen=True, slots=True)
class Figures:
    """The profit of a bot's trading day so far, and when the bot reported it."""

    day_pnl: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Reported:
    """The figures of an asset."""

    asset_id: str
    day_pnl: str
    at: datetime


def store(db: Database, reports: Mapping[str, Figures]) -> list[str]:
    """Store the figures of each external reference. Returns references that no asset has."""
    known = Asset.select(Asset.external_ref, Asset.seq).where(Asset.external_ref.in_(list(reports)))
    seqs = dict(rows(db, known))
    found = [
        {"asset": seq, "day_pnl": reports[ref].day_pnl, "at": reports[ref].at}
        for ref, seq in seqs.items()
    ]
    if found:
        new = peewee.EXCLUDED
        Report.insert_many(found).on_conflict(
            conflict_target=[Report.asset],
            update={Report.day_pnl: new.day_pnl, Report.at: new.at},
        ).execute(db)
    return [ref for ref in reports if ref not in seqs]


def find(db: Database, asset_ids: Sequence[UUID], namespaces: Sequence[str]) -> list[Reported]:
    """Return the figures of those of these assets that have some, in these namespaces or in all."""
    query = (
        Report.select(Asset.id, Report.day_pnl, Report.at)
        .join(Asset, on=(Report.asset == Asset.seq))
        .where(Asset.id.in_(list(asset_ids)))
        .order_by(Asset.seq)
    )
    if namespaces:
        query = query.where(Asset.namespace.in_(list(namespaces)))
    return [Reported(str(asset_id), day_pnl, at) for asset_id, day_pnl, at in rows(db, query)]
