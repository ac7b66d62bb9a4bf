"""Writes. Each one is a transaction: all of it happens, or nothing.

Reading, deciding and writing happen under the write lock. Else two writers could each make a change
that is valid alone and invalid together: close a cycle, or activate an asset while the other one
removes its dependency.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tradingbot_api.asset import AssetStatus

from tradingbot_registry.inventory import edges, lifecycle, tags
from tradingbot_registry.inventory.graph import Direction, cycle_through, neighbours, reference
from tradingbot_registry.inventory.precondition import UNCONDITIONAL, Precondition
from tradingbot_registry.inventory.reads import by_id, by_ref, find_ref, record
from tradingbot_registry.inventory.record import ExternalRef, ManagedBy, Record, Wanted, same_json
from tradingbot_registry.problems import (
    CycleError,
    DependentsError,
    OwnerError,
    PreconditionFailedError,
    Reference,
)
from tradingbot_registry.storage.database import SqliteFile, write
from tradingbot_registry.storage.models import Asset

Revision = Callable[[Record], Wanted]
"""Computes the requested asset from the current one."""

EDITABLE_BY_ALL = frozenset({"tags", "description"})
"""Fields that users may edit on an asset that a controller manages."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Result of a deletion, or of its dry run."""

    asset: Reference
    dependents: tuple[Reference, ...]
    forced: bool
    unresolve: bool = False
    """Whether its dependents wait for its reference from now on, rather than forget it."""

    @property
    def allowed(self) -> bool:
        """Whether the deletion is possible: no dependents, or they are detached."""
        return self.forced or self.unresolve or not self.dependents


@dataclass(frozen=True, slots=True)
class Inventory:
    """The writes. `clock` returns aware UTC times."""

    database: SqliteFile
    clock: Callable[[], datetime]
    new_id: Callable[[], UUID]

    def create(self, wanted: Wanted) -> Record:
        """Add an asset that users manage."""
        return write(self.database, lambda: self._insert(wanted, ref=None))

    def change(
        self,
        asset_id: UUID,
        revise: Revision,
        *,
        precondition: Precondition = UNCONDITIONAL,
        force: bool = False,
    ) -> Record:
        """Change an asset to what `revise` returns. Without a difference the version stays.

        Raises OwnerError if that changes a field that a controller sets.
        """

        def unit() -> Record:
            asset = by_id(asset_id)
            precondition.check(asset.version)
            before = record(asset)
            wanted = revise(before)
            changed = changes(before, wanted)
            if asset.managed_by != ManagedBy.USER and changed - EDITABLE_BY_ALL:
                raise OwnerError(
                    f"{', '.join(sorted(changed - EDITABLE_BY_ALL))} of this asset is set by its"
                    f" owner, {asset.managed_by} ({asset.external_ref}), which would undo the"
                    " change: change it there; tags and description can be changed here",
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
        precondition: Precondition = UNCONDITIONAL,
        force: bool = False,
    ) -> tuple[Record, bool]:
        """Create or change the asset of that reference, and return whether it is new."""

        def unit() -> tuple[Record, bool]:
            asset = find_ref(ref)
            precondition.check(asset.version if asset else None)
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
        precondition: Precondition = UNCONDITIONAL,
        force: bool = False,
        unresolve: bool = False,
        dry_run: bool = False,
    ) -> Deletion:
        """Delete an asset, and with `force` the edges of its dependents.

        With `unresolve` these edges become unresolved references: an owner can delete its own
        assets whatever depends on them, and the dependents show what they lost. By id, OwnerError
        is raised for an asset that a controller manages; by external reference, the caller is the
        owner. With `dry_run` nothing is deleted, and dependents are returned instead of raised as
        DependentsError.
        """

        def unit() -> Deletion:
            asset = by_id(target) if isinstance(target, UUID) else by_ref(target)
            precondition.check(asset.version)
            if isinstance(target, UUID):
                _check_deletable(asset)
            dependents = neighbours(asset.seq, Direction.DEPENDENTS)
            deletion = Deletion(
                reference(asset),
                tuple(map(reference, dependents)),
                forced=force,
                unresolve=unresolve,
            )
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
        _touch(edges.detach(asset, unresolve=deletion.unresolve), self.clock())
        tags.replace(asset.seq, frozenset())
        deleted = (
            Asset.delete()
            .where((Asset.seq == asset.seq) & (Asset.version == asset.version))
            .execute()
        )
        _check_written(deleted)


def changes(before: Record, wanted: Wanted) -> frozenset[str]:
    """Return the fields, by their API names, that differ from `wanted`."""
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
            f"this asset is managed by {asset.managed_by}, which would create it again: delete"
            f" {asset.external_ref} there; if its owner is gone, delete it under"
            f" /api/v1/assets/by-ref/{asset.external_ref}",
            managed_by=asset.managed_by,
            external_ref=asset.external_ref,
        )


def _check_written(rows: int) -> None:
    if rows != 1:
        raise PreconditionFailedError("the asset was changed concurrently; get it again")


def _touch(seqs: Sequence[int], now: datetime) -> None:
    """Count the change of their edges as a change of these assets."""
    if seqs:
        Asset.update(version=Asset.version + 1, updated_at=now).where(
            Asset.seq.in_(list(seqs))
        ).execute()
