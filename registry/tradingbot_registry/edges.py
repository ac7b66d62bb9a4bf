"""The edges of the dependency graph, resolved and pending. All calls are part of a write."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tradingbot_registry.models import Asset, Dependency, PendingDependency, rows
from tradingbot_registry.problems import Complaint, InvalidError, pointer
from tradingbot_registry.record import ExternalRef


@dataclass(frozen=True, slots=True)
class Targets:
    """What an asset depends on: assets that are there, and references to some that are not yet."""

    resolved: frozenset[int]
    pending: frozenset[str]


def find(depends_on: Sequence[str]) -> Targets:
    """The targets that asset ids and external references name.

    Raises InvalidError for an id that no asset has: ids are made by the registry, so nothing can
    appear under it later.
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
    unknown = [
        Complaint(pointer("dependsOn", index), "no asset has this id")
        for index, entry in enumerate(depends_on)
        if entry in ids and ids[entry] not in by_id
    ]
    if unknown:
        raise InvalidError(unknown)
    return Targets(
        resolved=frozenset(by_id.values()) | frozenset(by_ref.values()),
        pending=frozenset(refs - by_ref.keys()),
    )


def current(seq: int) -> Targets:
    """What the asset depends on now."""
    resolved = Dependency.select(Dependency.dst).where(Dependency.src == seq)
    pending = PendingDependency.select(PendingDependency.ref).where(PendingDependency.src == seq)
    return Targets(
        resolved=frozenset(dst for (dst,) in rows(resolved)),
        pending=frozenset(ref for (ref,) in rows(pending)),
    )


def differ(seq: int, depends_on: Sequence[str]) -> bool:
    """Whether the asset depends on anything else than `depends_on` names."""
    return find(depends_on) != current(seq)


def replace(seq: int, depends_on: Sequence[str]) -> None:
    """Make the asset depend on exactly what `depends_on` names. Cycles are checked afterwards."""
    new, old = find(depends_on), current(seq)
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
    """Point what waited for `ref` at the asset, which is new, and return who waited."""
    query = PendingDependency.select(PendingDependency.src)
    waiting = [src for (src,) in rows(query.where(PendingDependency.ref == str(ref)))]
    PendingDependency.delete().where(PendingDependency.ref == str(ref)).execute()
    _add([(src, seq) for src in waiting])
    return waiting


def detach(seq: int) -> list[int]:
    """Remove the edges of the asset's dependents to it and return who they are."""
    query = Dependency.select(Dependency.src).where(Dependency.dst == seq)
    dependents = [src for (src,) in rows(query)]
    Dependency.delete().where(Dependency.dst == seq).execute()
    return dependents


def _add(edges: Sequence[tuple[int, int]]) -> None:
    if edges:
        new = [{"src": src, "dst": dst} for src, dst in edges]
        Dependency.insert_many(new).on_conflict_ignore().execute()
