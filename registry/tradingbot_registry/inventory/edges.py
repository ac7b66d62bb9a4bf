"""The edges of the dependency graph, resolved and pending. All functions run inside a write."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tradingbot_registry.inventory.record import ExternalRef
from tradingbot_registry.problems import Complaint, InvalidError, pointer
from tradingbot_registry.storage.models import Asset, Dependency, PendingDependency, rows


@dataclass(frozen=True, slots=True)
class Targets:
    """Dependencies of an asset: existing assets, and references to assets that do not exist yet."""

    resolved: frozenset[int]
    pending: frozenset[str]


def find(depends_on: Sequence[str], *, src: int) -> Targets:
    """Resolve asset ids and external references into dependencies of `src`.

    The id of a deleted asset that `src` waits for counts as the asset's reference: the deletion by
    its owner must not make each later write of `src` fail. Raises InvalidError for any other
    unknown id: the registry assigns ids, so no asset can appear under it later.
    """
    ids = {entry: UUID(entry) for entry in depends_on if "/" not in entry}
    refs = {entry for entry in depends_on if "/" in entry}
    by_id = {
        row.id: row.seq
        for row in Asset.select(Asset.seq, Asset.id).where(Asset.id << [*ids.values()])
    }
    by_ref = {
        row.external_ref: row.seq
        for row in Asset.select(Asset.seq, Asset.external_ref).where(Asset.external_ref << [*refs])
    }
    missing = {entry for entry, found in ids.items() if found not in by_id}
    gone = _gone(src) if missing else {}
    unknown = [
        Complaint(pointer("dependsOn", index), "no asset has this id")
        for index, entry in enumerate(depends_on)
        if entry in missing and str(ids[entry]) not in gone
    ]
    if unknown:
        raise InvalidError(unknown)
    return Targets(
        resolved=frozenset(by_id.values()) | frozenset(by_ref.values()),
        pending=frozenset(refs - by_ref.keys()) | {gone[str(ids[entry])] for entry in missing},
    )


def _gone(src: int) -> dict[str, str]:
    """Return the references of deleted dependencies of `src`, by their former ids."""
    query = PendingDependency.select(PendingDependency.target_id, PendingDependency.ref).where(
        (PendingDependency.src == src) & PendingDependency.target_id.is_null(False)
    )
    return dict(rows(query))


def current(seq: int) -> Targets:
    """Return the current dependencies of the asset."""
    resolved = Dependency.select(Dependency.dst).where(Dependency.src == seq)
    pending = PendingDependency.select(PendingDependency.ref).where(PendingDependency.src == seq)
    return Targets(
        resolved=frozenset(dst for (dst,) in rows(resolved)),
        pending=frozenset(ref for (ref,) in rows(pending)),
    )


def differ(seq: int, depends_on: Sequence[str]) -> bool:
    """Whether the dependencies differ from `depends_on`."""
    return find(depends_on, src=seq) != current(seq)


def replace(seq: int, depends_on: Sequence[str]) -> None:
    """Replace the dependencies of the asset by `depends_on`. Cycles are checked afterwards."""
    new, old = find(depends_on, src=seq), current(seq)
    gone, dropped = old.resolved - new.resolved, old.pending - new.pending
    Dependency.delete().where((Dependency.src == seq) & Dependency.dst.in_(list(gone))).execute()
    PendingDependency.delete().where(
        (PendingDependency.src == seq) & PendingDependency.ref.in_(list(dropped))
    ).execute()
    _add([(seq, dst) for dst in sorted(new.resolved - old.resolved)])
    waiting = [{"src": seq, "ref": ref} for ref in sorted(new.pending - old.pending)]
    if waiting:
        PendingDependency.insert_many(waiting).execute()


def resolve(seq: int, ref: ExternalRef) -> list[int]:
    """Point the edges that waited for `ref` at the new asset, and return their sources."""
    query = PendingDependency.select(PendingDependency.src)
    waiting = [src for (src,) in rows(query.where(PendingDependency.ref == str(ref)))]
    PendingDependency.delete().where(PendingDependency.ref == str(ref)).execute()
    _add([(src, seq) for src in waiting])
    return waiting


def detach(asset: Asset, *, unresolve: bool) -> list[int]:
    """Remove the edges to the asset and return their sources.

    With `unresolve` the sources wait for the asset's reference, if it has one.
    """
    query = Dependency.select(Dependency.src).where(Dependency.dst == asset.seq)
    dependents = [src for (src,) in rows(query)]
    Dependency.delete().where(Dependency.dst == asset.seq).execute()
    if unresolve and asset.external_ref and dependents:
        waiting = [
            {"src": src, "ref": asset.external_ref, "target_id": str(asset.id)}
            for src in dependents
        ]
        PendingDependency.insert_many(waiting).on_conflict_ignore().execute()
    return dependents


def _add(edges: Sequence[tuple[int, int]]) -> None:
    if edges:
        new = [{"src": src, "dst": dst} for src, dst in edges]
        Dependency.insert_many(new).on_conflict_ignore().execute()
