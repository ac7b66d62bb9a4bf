"""Reads. Each one sees the database at one moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tradingbot_registry.inventory import (
    facets,
    graph,
    history,
    listing,
    loading,
    numbers,
    picture,
    reports,
)
from tradingbot_registry.inventory.facets import Facets
from tradingbot_registry.inventory.filters import Listing
from tradingbot_registry.inventory.graph import Walk, WalkPage
from tradingbot_registry.inventory.history import ChangesPage
from tradingbot_registry.inventory.listing import Page
from tradingbot_registry.inventory.picture import Picture, View
from tradingbot_registry.inventory.record import ExternalRef, Record, namespace_of
from tradingbot_registry.inventory.reports import Reported
from tradingbot_registry.refusals import AssetNotFoundError
from tradingbot_registry.storage.database import snapshot
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import Asset, rows


@dataclass(frozen=True, slots=True)
class Reads:
    """The reads of a database."""

    database: Database

    def asset(self, asset_id: UUID) -> Record:
        """Return the asset of that id. Raises AssetNotFoundError."""
        with snapshot(self.database) as db:
            return loading.by_id(db, asset_id)

    def assets(self, asset_ids: Sequence[UUID]) -> dict[str, Record]:
        """Return those of these assets that exist, by id."""
        with snapshot(self.database) as db:
            query = Asset.select(Asset.seq).where(Asset.id.in_(list(asset_ids)))
            found = [seq for (seq,) in rows(db, query)]
            return {record.id: record for record in loading.by_seqs(db, found)}

    def asset_by_ref(self, ref: ExternalRef) -> Record:
        """Return the asset of that external reference. Raises AssetNotFoundError."""
        with snapshot(self.database) as db:
            return loading.by_ref(db, ref)

    def find_by_ref(self, ref: ExternalRef) -> Record | None:
        """Return the asset of that external reference, or None."""
        with snapshot(self.database) as db:
            return loading.find_ref(db, ref)

    def page(self, wanted: Listing) -> Page:
        """Return a page of the inventory, and the total."""
        with snapshot(self.database) as db:
            return listing.find(db, wanted)

    def walk(
        self,
        asset_id: UUID,
        wanted: Walk,
    ) -> WalkPage:
        """Return what can be reached from an asset, nearest first. Raises AssetNotFoundError."""
        with snapshot(self.database) as db:
            return graph.walk(db, _root(db, asset_id, wanted.namespaces), wanted)

    def changes(
        self, *, since: int | None, limit: int, namespaces: Sequence[str] = ()
    ) -> ChangesPage:
        """Return the changes of all assets after the one with the number `since`, oldest first."""
        with snapshot(self.database) as db:
            return history.read(db, since=since, limit=limit, namespaces=namespaces)

    def external_ref_of(self, asset_id: UUID) -> str | None:
        """Return the external reference of an asset, which may be deleted; None if it has none."""
        with snapshot(self.database) as db:
            found = Asset.select(Asset.external_ref).where(Asset.id == asset_id)
            refs = [ref for (ref,) in rows(db, found)]
            return refs[0] if refs else history.external_ref_in(db, asset_id)

    def last_change(self) -> int:
        """Return the number of the last change; 0 if there is none."""
        with self.database.connection_context(), snapshot(self.database) as db:
            return history.last(db)

    def history(self, asset_id: UUID, *, since: int, limit: int) -> ChangesPage:
        """Return the changes of an asset, oldest first. The asset may be deleted.

        Raises AssetNotFoundError if there never was one.
        """
        with snapshot(self.database) as db:
            if not history.has_history(db, asset_id):
                loading.by_id(db, asset_id, with_causes=False)
            return history.read(db, since=since, asset=asset_id, limit=limit)

    def picture(self, root: UUID | None, view: View) -> Picture:
        """Return a part of the graph, around an asset or at all. Raises AssetNotFoundError."""
        with snapshot(self.database) as db:
            seq = None if root is None else _root(db, root, view.namespaces)
            return picture.picture(db, seq, view)

    def facets(self, wanted: Listing) -> Facets:
        """Count the assets that the filters select, by type, status, manager and tag."""
        with snapshot(self.database) as db:
            return facets.count(db, wanted)

    def reports(self, asset_ids: Sequence[UUID], *, namespaces: Sequence[str]) -> list[Reported]:
        """Return the last reports of those of these assets that have one."""
        with snapshot(self.database) as db:
            return reports.find(db, asset_ids, namespaces)

    def counts(self) -> list[tuple[str, str, int]]:
        """Count the assets by type and status."""
        with snapshot(self.database) as db:
            return numbers.counts(db)


def _root(db: Database, asset_id: UUID, namespaces: Sequence[str]) -> int:
    """Return the `seq` of an asset. One that is in none of the namespaces is not there."""
    asset = loading.by_id(db, asset_id, with_causes=False)
    if namespaces and namespace_of(asset.external_ref) not in namespaces:
        raise AssetNotFoundError(f"no asset of {', '.join(namespaces)} has the id {asset_id}")
    return asset.seq
