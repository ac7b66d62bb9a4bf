"""Writes. Each one is a transaction: all of it happens, or nothing.

What depends on other assets is decided under the write lock. Else two writers could each make a
change that is valid alone and invalid together: close a cycle, or activate an asset while the other
one removes its dependency. What depends on the asset alone is decided before, on the version that
the caller has read; a write of another version fails and the caller reads again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

from tradingbot_api.asset import AssetStatus

from tradingbot_registry.inventory import (
    cycles,
    edges,
    effective,
    history,
    lifecycle,
    loading,
    reports,
    tags,
)
from tradingbot_registry.inventory.graph import Direction, Some, batched, neighbours
from tradingbot_registry.inventory.graph import reference as reference_to
from tradingbot_registry.inventory.history import NOBODY, Origin
from tradingbot_registry.inventory.precondition import UNCONDITIONAL, Precondition
from tradingbot_registry.inventory.receipts import Receipts, Repeatable
from tradingbot_registry.inventory.record import ExternalRef, ManagedBy, Record, Wanted, same_json
from tradingbot_registry.inventory.reports import Figures
from tradingbot_registry.refusals import (
    CycleError,
    DependentsError,
    InvalidError,
    OwnerError,
    Reference,
)
from tradingbot_registry.storage.database import snapshot, write
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.folding import search_text
from tradingbot_registry.storage.models import Asset, insert_row, rows, update_row

T = TypeVar("T")

EDITABLE_BY_ALL = frozenset({"tags", "description"})
"""Fields that users may edit on an asset that a controller manages."""


class StaleError(Exception):
    """The asset is not as the caller has read it any more: read it again, and repeat."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Result of a deletion, or of its dry run."""

    asset: Reference
    dependents: Some
    forced: bool
    unresolve: bool = False
    """Whether its dependents wait for its reference from now on, rather than forget it."""

    @property
    def allowed(self) -> bool:
        """Whether the deletion is possible: no dependents, or they are detached."""
        return self.forced or self.unresolve or not self.dependents.total


@dataclass(frozen=True, slots=True)
class Writes:
    """The writes to a database. `clock` returns aware UTC times."""

    database: Database
    clock: Callable[[], datetime]
    new_id: Callable[[], UUID]
    changed: Callable[[], None]
    """Called after each write."""
    keep: timedelta
    """How long entries of the history are kept."""
    receipts: Receipts
    origin: Origin = NOBODY
    with_causes: bool = True
    """Whether the assets that are returned have their causes, which takes a walk for each."""

    def by(self, origin: Origin) -> Self:
        """Return the same writes, recorded as changes of `origin`."""
        return replace(self, origin=origin)

    def without_causes(self) -> Self:
        """Return the same writes, whose answers have no causes."""
        return replace(self, with_causes=False)

    def together(self, unit: Callable[[], T]) -> T:
        """Run `unit`, whose writes are one transaction."""
        return self._commit(unit)

    def once(self, request: Repeatable, unit: Callable[[], Any]) -> tuple[Any, bool]:
        """Run `unit` in one transaction, unless it was run for the same request within a day.

        Returns what `unit` returned, a JSON value, and whether that was earlier. Raises
        KeyReusedError and AnswerGoneError.
        """
        return self._commit(
            lambda: self.receipts.answer_once(self.database, request, self.clock(), unit)
        )

    def report(self, figures: Mapping[str, Figures]) -> list[str]:
        """Store the last report of each external reference. Returns those that no asset has.

        It is not a change: nobody is told.
        """
        return write(self.database, lambda: reports.store(self.database, figures))

    def create(
        self, wanted: Wanted, *, ref: ExternalRef | None = None, asset_id: UUID | None = None
    ) -> Record:
        """Add an asset, with this external reference and id if they are given.

        Raises StaleError if another asset has the reference.
        """
        return self._commit(lambda: self._insert(wanted, ref, asset_id or self.new_id()))

    def change(
        self,
        before: Record,
        wanted: Wanted,
        *,
        as_owner: bool = False,
        force: bool = False,
        blocked_by_prefix: str = "",
        acyclic: bool = False,
    ) -> Record:
        """Change an asset from what the caller has read. Without a difference nothing is written.

        Active assets that depend on it prevent it from becoming Inactive: with
        `blocked_by_prefix` only those whose external reference has this prefix, with `force` none.
        With `acyclic`, the caller knows that this closes no cycle, as from `closing_none`.
        Raises StaleError if the asset has another version, and OwnerError if a field changes that
        a controller sets, unless the caller is the owner.
        """
        with snapshot(self.database) as db:
            changed = changes(db, before, wanted)
        if not as_owner:
            _check_editable(before, changed)
        if not changed:
            return before
        return self._commit(
            lambda: self._update(
                before, wanted, force=force, blocked_by_prefix=blocked_by_prefix, acyclic=acyclic
            )
        )

    def closing_none(self, edits: Sequence[tuple[Record, Wanted]]) -> frozenset[int]:
        """Return the `seq` of assets whose changes, made in this order, close no cycle.

        To be called inside `together`, before the changes. Each asset may be in one of them. Those
        that are not returned have to be checked when they are made.
        """
        rewirings = []
        for before, wanted in edits:
            if set(wanted.depends_on) == set(before.depends_on):
                continue
            try:
                found = edges.find(self.database, wanted.depends_on, src=before.seq)
            except InvalidError:
                break  # This change will be refused, and none after it is made.
            rewirings.append((before.seq, found.resolved))
        return cycles.closing_none(self.database, rewirings)

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
            db = self.database
            if isinstance(target, UUID):
                asset = loading.by_id(db, target, with_causes=False)
                precondition.check(asset.version)
                _check_deletable(asset)
            else:
                asset = loading.by_ref(db, target, with_causes=False)
                precondition.check(asset.version)
            deletion = Deletion(
                reference_to(asset),
                neighbours(db, asset.seq, Direction.DEPENDENTS),
                forced=force,
                unresolve=unresolve,
            )
            if not dry_run:
                self._delete(asset, deletion)
            return deletion

        if dry_run:
            with snapshot(self.database):
                return unit()
        return self._commit(unit)

    def _commit(self, unit: Callable[[], T]) -> T:
        if self.database.writing:
            return write(self.database, unit)  # A part of another, which does the rest.

        def whole() -> T:
            result = unit()
            history.prune(self.database, self.clock() - self.keep)
            return result

        result = write(self.database, whole)
        self.changed()
        return result

    def _insert(self, wanted: Wanted, ref: ExternalRef | None, asset_id: UUID) -> Record:
        db = self.database
        if ref is not None and db.query("SELECT 1 FROM asset WHERE external_ref = ?", str(ref)):
            raise StaleError
        now = self.clock()
        row = {
            "id": asset_id,
            "status": wanted.status or AssetStatus.DRAFT,
            "effective_status": wanted.status or AssetStatus.DRAFT,
            "external_ref": ref and str(ref),
            "version": 1,
            "created_at": now,
            "updated_at": now,
            **_columns(wanted, description=wanted.description or ""),
        }
        seq = insert_row(db, Asset, row)
        tags.add(db, seq, wanted.tags or frozenset())
        edges.add(db, seq, wanted.depends_on)
        effective.settle(db, [seq])
        new = self._record(asset_id)
        history.created(db, new, self.origin, now)
        if ref is not None:
            with self._rewiring(edges.waiting_for(str(ref)), now):
                edges.resolve(db, seq, str(ref))
        self._check_acyclic(seq)
        if wanted.status == AssetStatus.ACTIVE:
            lifecycle.check_ready(db, seq)
        return new

    def _update(
        self,
        before: Record,
        wanted: Wanted,
        *,
        force: bool,
        blocked_by_prefix: str,
        acyclic: bool,
    ) -> Record:
        db, seq = self.database, before.seq
        # References may resolve in another way than before the lock was taken.
        changed = changes(db, before, wanted)
        status, now = AssetStatus(wanted.status or before.status), self.clock()
        self._write_row(before, wanted, now)
        lifecycle.check_step(AssetStatus(before.status), status)
        if "tags" in changed and wanted.tags is not None:
            tags.replace(db, seq, wanted.tags)
        if "dependsOn" in changed:
            edges.replace(db, seq, wanted.depends_on)
            if not acyclic:
                self._check_acyclic(seq)
        if status == AssetStatus.ACTIVE and changed & {"status", "dependsOn"}:
            lifecycle.check_ready(db, seq)
        if status == AssetStatus.INACTIVE and "status" in changed and not force:
            lifecycle.check_unneeded(db, seq, ref_prefix=blocked_by_prefix)
        if changed & {"status", "dependsOn"}:
            effective.settle(db, [seq])
        after = self._record(UUID(before.id))
        history.updated(db, before, after, self.origin, now)
        return after

    def _write_row(self, before: Record, wanted: Wanted, now: datetime) -> None:
        description = before.description if wanted.description is None else wanted.description
        row = {
            "updated_at": now,
            "status": wanted.status or before.status,
            **_columns(wanted, description=description),
        }
        if not update_row(self.database, Asset, row, seq=before.seq, version=before.version):
            raise StaleError

    def _delete(self, asset: Record, deletion: Deletion) -> None:
        db = self.database
        if not deletion.allowed:
            raise DependentsError(
                "delete or change them first, or detach them with force=true:",
                deletion.dependents.listed,
                deletion.dependents.total,
            )
        now = self.clock()
        history.deleted(db, asset, self.origin, now)
        with self._rewiring(edges.dependents_of(asset.seq), now):
            edges.detach(db, asset, unresolve=deletion.unresolve)
        tags.replace(db, asset.seq, frozenset())
        Asset.delete().where(Asset.seq == asset.seq).execute(db)

    def _record(self, asset_id: UUID) -> Record:
        return loading.by_id(self.database, asset_id, with_causes=self.with_causes)

    def _check_acyclic(self, seq: int) -> None:
        cycle = cycles.cycle_through(self.database, seq)
        if cycle is not None:
            raise CycleError(cycle.listed, cycle.total)

    @contextmanager
    def _rewiring(self, seqs: Any, now: datetime) -> Iterator[None]:
        """Count what the block does to the edges of these assets as a change of each."""
        db = self.database
        before = history.wiring(db, [seq for (seq,) in rows(db, seqs)])
        yield
        touched = Asset.update(version=Asset.version + 1, updated_at=now)
        for part in batched(before):
            touched.where(Asset.seq.in_(part)).execute(db)
        effective.settle(db, [*before])
        history.rewired(db, before, history.wiring(db, [*before]), self.origin, now)


def _columns(wanted: Wanted, *, description: str) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "description": description,
        "search": search_text(wanted.name, description),
        "type": wanted.type,
        "config": wanted.config,
        "secret_ref": wanted.secret_ref and wanted.secret_ref.as_json(),
        "managed_by": wanted.managed_by,
    }


def changes(db: Database, before: Record, wanted: Wanted) -> frozenset[str]:
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
        "dependsOn": edges.differ(db, before.seq, wanted.depends_on),
    }
    return frozenset(name for name, different in differs.items() if different)


def _check_editable(asset: Record, changed: frozenset[str]) -> None:
    owned = sorted(changed - EDITABLE_BY_ALL)
    if asset.managed_by != ManagedBy.USER and owned:
        raise OwnerError(
            f"{', '.join(owned)} of this asset is set by its owner, {asset.managed_by}"
            f" ({asset.external_ref}), which would undo the change: change it there; tags and"
            " description can be changed here",
            managed_by=asset.managed_by,
            external_ref=asset.external_ref,
        )


def _check_deletable(asset: Record) -> None:
    if asset.managed_by != ManagedBy.USER:
        raise OwnerError(
            f"this asset is managed by {asset.managed_by}, which would create it again: delete"
            f" {asset.external_ref} there; if its owner is gone, delete it by its reference",
            managed_by=asset.managed_by,
            external_ref=asset.external_ref,
        )
