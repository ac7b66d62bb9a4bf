"""The inventory's writes. Each is one transaction: all of it happens, or none.

Reading, deciding and writing happen under the write lock, so that two writers can't each do
something harmless that together is not: close a cycle, or activate an asset whose dependency the
other one removes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tradingbot_api.asset import AssetStatus

from tradingbot_registry import edges, lifecycle, tags
from tradingbot_registry.condition import UNCONDITIONAL, Condition
from tradingbot_registry.database import SqliteFile, write
from tradingbot_registry.graph import Direction, cycle_through, neighbours, reference
from tradingbot_registry.models import Asset
from tradingbot_registry.problems import (
    CycleError,
    DependentsError,
    OwnerError,
    PreconditionFailedError,
    Reference,
)
from tradingbot_registry.reading import by_id, by_ref, find_ref, record
from tradingbot_registry.record import ExternalRef, ManagedBy, Record, Wanted, same_json

Revision = Callable[[Record], Wanted]
"""Makes of an asset as it is the asset that a client wants."""

ANYONES = frozenset({"tags", "description"})
"""What people may edit on an asset that a controller keeps."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion does, or would do."""

    asset: Reference
    dependents: tuple[Reference, ...]
    forced: bool

    @property
    def allowed(self) -> bool:
        """Whether it goes through: nothing depends on the asset, or `force` detaches what does."""
        return self.forced or not self.dependents


@dataclass(frozen=True, slots=True)
class Catalog:
    """Writes assets. The clock gives aware UTC times."""

    database: SqliteFile
    clock: Callable[[], datetime]
    new_id: Callable[[], UUID]

    def create(self, wanted: Wanted) -> Record:
        """Add an asset that people keep."""
        return write(self.database, lambda: self._insert(wanted, ref=None))

    def change(
        self,
        asset_id: UUID,
        revise: Revision,
        *,
        condition: Condition = UNCONDITIONAL,
        force: bool = False,
    ) -> Record:
        """Make an asset what `revise` wants; no change, no new version.

        Raises OwnerError if that touches what a controller sets.
        """

        def unit() -> Record:
            asset = by_id(asset_id)
            condition.check(asset.version)
            before = record(asset)
            wanted = revise(before)
            changed = changes(before, wanted)
            if asset.managed_by != ManagedBy.USER and changed - ANYONES:
                raise OwnerError(
                    f"{', '.join(sorted(changed - ANYONES))} of this asset is set by its owner,"
                    f" {asset.managed_by} ({asset.external_ref}), which would undo the change:"
                    " change it there; tags and description can be changed here",
                    managed_by=asset.managed_by,
                    external_ref=asset.external_ref,
                )
            return self._update(asset, before, wanted, changed, force=force)

        return write(self.database, unit)

    def upsert(
        self,
        ref: ExternalRef,
        wanted: Wanted,
        *,
        condition: Condition = UNCONDITIONAL,
        force: bool = False,
    ) -> tuple[Record, bool]:
        """Make the asset of that reference what its owner wants, and say whether it is new."""

        def unit() -> tuple[Record, bool]:
            asset = find_ref(ref)
            condition.check(asset.version if asset else None)
            if asset is None:
                return self._insert(wanted, ref=ref), True
            before = record(asset)
            changed = changes(before, wanted)
            return self._update(asset, before, wanted, changed, force=force), False

        return write(self.database, unit)

    def delete(
        self,
        target: UUID | ExternalRef,
        *,
        condition: Condition = UNCONDITIONAL,
        force: bool = False,
        dry_run: bool = False,
    ) -> Deletion:
        """Delete an asset, and with `force` its dependents' edges to it.

        An id is anybody's name for an asset, an external reference is its owner's: the former
        raises OwnerError for what a controller keeps. With `dry_run` nothing happens, and
        dependents are reported rather than raised as DependentsError.
        """

        def unit() -> Deletion:
            asset = by_id(target) if isinstance(target, UUID) else by_ref(target)
            condition.check(asset.version)
            if isinstance(target, UUID):
                _check_deletable(asset)
            dependents = neighbours(asset.seq, Direction.DEPENDENTS)
            deletion = Deletion(reference(asset), tuple(map(reference, dependents)), forced=force)
            if not dry_run:
                self._delete(asset, deletion)
            return deletion

        return write(self.database, unit)

    def _insert(self, wanted: Wanted, *, ref: ExternalRef | None) -> Record:
        now = self.clock()
        asset = Asset.create(
            id=self.new_id(),
            name=wanted.name,
            type=wanted.type,
            status=wanted.status or AssetStatus.DRAFT,
            description=wanted.description or "",
            config=wanted.config,
            secret_ref=wanted.secret_ref and wanted.secret_ref.as_json(),
            managed_by=wanted.managed_by,
            external_ref=ref and str(ref),
            version=1,
            created_at=now,
            updated_at=now,
        )
        tags.replace(asset.seq, wanted.tags or frozenset())
        edges.replace(asset.seq, wanted.depends_on)
        if ref is not None:
            _touch(edges.resolve(asset.seq, ref), now)
        _check_acyclic(asset)
        if asset.status == AssetStatus.ACTIVE:
            lifecycle.check_ready(asset)
        return record(asset)

    def _update(
        self,
        asset: Asset,
        before: Record,
        wanted: Wanted,
        changed: frozenset[str],
        *,
        force: bool,
    ) -> Record:
        if not changed:
            return before
        status = AssetStatus(wanted.status or before.status)
        lifecycle.check_step(AssetStatus(before.status), status)
        self._write_row(asset, wanted)
        if "tags" in changed and wanted.tags is not None:
            tags.replace(asset.seq, wanted.tags)
        if "dependsOn" in changed:
            edges.replace(asset.seq, wanted.depends_on)
            _check_acyclic(asset)
        if status == AssetStatus.ACTIVE and changed & {"status", "dependsOn"}:
            lifecycle.check_ready(asset)
        if status == AssetStatus.INACTIVE and "status" in changed and not force:
            lifecycle.check_unneeded(asset)
        return record(by_id(asset.id))

    def _write_row(self, asset: Asset, wanted: Wanted) -> None:
        kept = {"status": wanted.status, "description": wanted.description}
        written = (
            Asset.update(
                name=wanted.name,
                type=wanted.type,
                config=wanted.config,
                secret_ref=wanted.secret_ref and wanted.secret_ref.as_json(),
                managed_by=wanted.managed_by,
                version=Asset.version + 1,
                updated_at=self.clock(),
                **{name: value for name, value in kept.items() if value is not None},
            )
            .where((Asset.seq == asset.seq) & (Asset.version == asset.version))
            .execute()
        )
        _check_written(written)

    def _delete(self, asset: Asset, deletion: Deletion) -> None:
        if not deletion.allowed:
            raise DependentsError(
                "delete or change them first, or detach them with force=true:",
                deletion.dependents,
            )
        _touch(edges.detach(asset.seq), self.clock())
        tags.replace(asset.seq, frozenset())
        deleted = (
            Asset.delete()
            .where((Asset.seq == asset.seq) & (Asset.version == asset.version))
            .execute()
        )
        _check_written(deleted)


def changes(before: Record, wanted: Wanted) -> frozenset[str]:
    """The fields, by their names in the API, that differ from what is wanted."""
    differs = {
        "name": wanted.name != before.name,
        "type": wanted.type != before.type,
        "status": wanted.status is not None and wanted.status != before.status,
        "description": (
            wanted.description is not None and wanted.description != before.description
        ),
        "tags": wanted.tags is not None and wanted.tags != frozenset(before.tags),
        "config": not same_json(wanted.config, before.config),
        "secretRef": wanted.secret_ref != before.secret_ref,
        "managedBy": wanted.managed_by != before.managed_by,
        "dependsOn": edges.differ(before.seq, wanted.depends_on),
    }
    return frozenset(name for name, different in differs.items() if different)


def _check_acyclic(asset: Asset) -> None:
    cycle = cycle_through(asset.seq)
    if cycle is not None:
        raise CycleError(cycle)


def _check_deletable(asset: Asset) -> None:
    if asset.managed_by != ManagedBy.USER:
        raise OwnerError(
            f"this asset is kept by {asset.managed_by}, which would make it again: delete"
            f" {asset.external_ref} there; if its owner is gone, delete it under"
            f" /api/v1/assets/by-ref/{asset.external_ref}",
            managed_by=asset.managed_by,
            external_ref=asset.external_ref,
        )


def _check_written(rows: int) -> None:
    if rows != 1:
        raise PreconditionFailedError("the asset was changed at the same moment; get it again")


def _touch(seqs: Sequence[int], now: datetime) -> None:
    """Count a change of their edges as a change of these assets."""
    if seqs:
        Asset.update(version=Asset.version + 1, updated_at=now).where(
            Asset.seq.in_(list(seqs))
        ).execute()
