"""The edges of the dependency graph, resolved and pending. All functions run inside a write."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import peewee

from tradingbot_registry.inventory.record import Record, id_text
from tradingbot_registry.refusals import Complaint, InvalidError, pointer
from tradingbot_registry.storage.engine import Database, places
from tradingbot_registry.storage.models import (
    Dependency,
    PendingDependency,
    insert_rows,
    rows,
)


@dataclass(frozen=True, slots=True)
class Targets:
    """Dependencies of an asset: existing assets, and references to assets that do not exist yet."""

    resolved: frozenset[int]
    pending: frozenset[str]


NONE = Targets(frozenset(), frozenset())


def find(db: Database, depends_on: Sequence[str], *, src: int) -> Targets:
    """Resolve asset ids and external references into dependencies of `src`.

    The id of a deleted asset that `src` waits for counts as the asset's reference: the deletion by
    its owner must not make each later write of `src` fail. Raises InvalidError for any other
    unknown id: the registry assigns ids, so no asset can appear under it later.
    """
    ids = {entry: UUID(entry).hex for entry in depends_on if "/" not in entry}
    refs = {entry for entry in depends_on if "/" in entry}
    by_id = {UUID(id_text(key)).hex: seq for key, seq in _seqs(db, "id", ids.values())}
    by_ref = dict(_seqs(db, "external_ref", refs))
    missing = {entry for entry, found in ids.items() if found not in by_id}
    gone = _gone(db, src) if missing else {}
    unknown = [
        Complaint(pointer("dependsOn", index), "no asset has this id")
        for index, entry in enumerate(depends_on)
        if entry in missing and id_text(ids[entry]) not in gone
    ]
    if unknown:
        raise InvalidError(unknown)
    return Targets(
        resolved=frozenset(by_id.values()) | frozenset(by_ref.values()),
        pending=frozenset(refs - by_ref.keys()) | {gone[id_text(ids[entry])] for entry in missing},
    )


def _seqs(db: Database, column: str, values: Collection[str]) -> list[tuple[Any, ...]]:
    """Return these values of the column, each with the `seq` of its asset."""
    if not values:
        return []
    among = f"IN ({places(values)})"
    return db.query(f"SELECT {column}, seq FROM asset WHERE {column} {among}", *values)  # noqa: S608


def _gone(db: Database, src: int) -> dict[str, str]:
    """Return the references of deleted dependencies of `src`, by their former ids."""
    query = PendingDependency.select(PendingDependency.target_id, PendingDependency.ref).where(
        (PendingDependency.src == src) & PendingDependency.target_id.is_null(False)
    )
    return dict(rows(db, query))


def current(db: Database, seq: int) -> Targets:
    """Return the current dependencies of the asset."""
    resolved = db.query("SELECT dst FROM dependency WHERE src = ?", seq)
    pending = db.query("SELECT ref FROM pending_dependency WHERE src = ?", seq)
    return Targets(
        resolved=frozenset(dst for (dst,) in resolved),
        pending=frozenset(ref for (ref,) in pending),
    )


def differ(db: Database, seq: int, depends_on: Sequence[str]) -> bool:
    """Whether the dependencies differ from `depends_on`."""
    return find(db, depends_on, src=seq) != current(db, seq)


def add(db: Database, seq: int, depends_on: Sequence[str]) -> None:
    """Give the asset, which has none, its dependencies. Cycles are checked afterwards."""
    if depends_on:
        _change(db, seq, NONE, find(db, depends_on, src=seq))


def replace(db: Database, seq: int, depends_on: Sequence[str]) -> None:
    """Replace the dependencies of the asset by `depends_on`. Cycles are checked afterwards."""
    _change(db, seq, current(db, seq), find(db, depends_on, src=seq))


def _change(db: Database, seq: int, old: Targets, new: Targets) -> None:
    gone, dropped = old.resolved - new.resolved, old.pending - new.pending
    if gone:
        db.query("DELETE FROM dependency WHERE src = ? AND dst IN ??", seq, list(gone))
    for ref in dropped:
        db.query("DELETE FROM pending_dependency WHERE src = ? AND ref = ?", seq, ref)
    added = sorted(new.resolved - old.resolved)
    insert_rows(db, Dependency, [{"src": seq, "dst": dst} for dst in added])
    waiting = sorted(new.pending - old.pending)
    insert_rows(db, PendingDependency, [{"src": seq, "ref": ref} for ref in waiting])


# Any number of assets may depend on one, and a statement takes a limited number of values: what
# follows is done by queries, and not with lists of assets.


def waiting_for(ref: str) -> Any:
    """Return a query for the `seq` of each asset that waits for that reference."""
    return PendingDependency.select(PendingDependency.src).where(PendingDependency.ref == ref)


def dependents_of(seq: int) -> Any:
    """Return a query for the `seq` of each asset that depends on the asset."""
    return Dependency.select(Dependency.src).where(Dependency.dst == seq)


def resolve(db: Database, seq: int, ref: str) -> None:
    """Point the edges that waited for `ref` at the new asset."""
    sources = PendingDependency.select(PendingDependency.src, peewee.Value(seq)).where(
        PendingDependency.ref == ref
    )
    columns = [Dependency.src, Dependency.dst]
    Dependency.insert_from(sources, columns).on_conflict_ignore().execute(db)
    PendingDependency.delete().where(PendingDependency.ref == ref).execute(db)


def detach(db: Database, asset: Record, *, unresolve: bool) -> None:
    """Remove the edges to the asset.

    With `unresolve` their sources wait for the asset's reference, if it has one.
    """
    if unresolve and asset.external_ref:
        sources = Dependency.select(
            Dependency.src, peewee.Value(asset.external_ref), peewee.Value(asset.id)
        ).where(Dependency.dst == asset.seq)
        columns = [PendingDependency.src, PendingDependency.ref, PendingDependency.target_id]
        PendingDependency.insert_from(sources, columns).on_conflict_ignore().execute(db)
    Dependency.delete().where(Dependency.dst == asset.seq).execute(db)
