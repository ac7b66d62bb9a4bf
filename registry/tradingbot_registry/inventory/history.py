"""The history of assets: what was changed, when and by whom.

An entry is written in the transaction of its change, so there is one for each version and none for
a change that changed nothing. That of a deletion outlives its asset: a client that follows the
changes learns of it. Entries are kept for a time, and then deleted in their order, so that those
that are there have no gap.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Any

import peewee
from tradingbot_api.asset import AssetType, config_problems

from tradingbot_registry.inventory.graph import batched
from tradingbot_registry.inventory.record import Record, same_json
from tradingbot_registry.refusals import Complaint, HistoryGoneError, InvalidError
from tradingbot_registry.rfc3339 import text_of
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import (
    Asset,
    Change,
    Dependency,
    PendingDependency,
    in_namespaces,
    insert_row,
    rows,
)

REDACTED = "(redacted)"

PRUNED_AT_ONCE = 1000
"""Entries that one write deletes: more than most writes add, and few milliseconds of work."""


class Action(StrEnum):
    """What happened to an asset."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who changes something, and by which request."""

    actor: str = "anonymous"
    request_id: str | None = None


NOBODY = Origin()


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Changes in their order. `last`: the number of the last one, or where the page began."""

    items: tuple[Change, ...]
    last: int


def created(db: Database, asset: Record, origin: Origin, now: datetime) -> None:
    """Record that the asset was created."""
    _add(db, asset, Action.CREATED, origin, now, before=None, after=_fields(asset))


def updated(db: Database, old: Record, new: Record, origin: Origin, now: datetime) -> None:
    """Record the fields of the asset that were changed."""
    before, after = _fields(old), _fields(new)
    differ = [key for key in after if not same_json(before[key], after[key])]
    if "config" not in differ and not same_json(old.config, new.config):
        differ.append("config")  # What was changed is redacted.
    _add(
        db,
        new,
        Action.UPDATED,
        origin,
        now,
        before={key: before[key] for key in differ},
        after={key: after[key] for key in differ},
    )


def deleted(db: Database, asset: Record, origin: Origin, now: datetime) -> None:
    """Record that the asset was deleted."""
    _add(db, asset, Action.DELETED, origin, now, before=_fields(asset), after=None)


Wiring = Mapping[int, list[str]]
"""Of assets, by `seq`: their `dependsOn`."""


def wiring(db: Database, seqs: Sequence[int]) -> Wiring:
    """Return what these assets depend on."""
    found: dict[int, list[str]] = {seq: [] for seq in seqs}
    for part in batched(seqs):
        resolved = (
            Dependency.select(Dependency.src, Asset.id)
            .join(Asset, on=(Dependency.dst == Asset.seq))
            .where(Dependency.src.in_(part))
            .order_by(Dependency.dst)
        )
        pending = (
            PendingDependency.select(PendingDependency.src, PendingDependency.ref)
            .where(PendingDependency.src.in_(part))
            .order_by(PendingDependency.ref)
        )
        for seq, target in (*rows(db, resolved), *rows(db, pending)):
            found[seq].append(str(target))
    return found


def rewired(db: Database, before: Wiring, after: Wiring, origin: Origin, now: datetime) -> None:
    """Record what a change of another asset did to the dependencies of these."""
    for part in batched(after):
        found = Asset.select(Asset.seq, Asset.id, Asset.name, Asset.external_ref, Asset.version)
        entries = [
            {
                "asset_id": asset.id,
                "name": asset.name,
                "external_ref": asset.external_ref,
                "version": asset.version,
                "action": Action.UPDATED,
                "actor": origin.actor,
                "request_id": origin.request_id,
                "at": now,
                "before": {"dependsOn": before[asset.seq]},
                "after": {"dependsOn": after[asset.seq]},
            }
            for asset in found.where(Asset.seq.in_(part)).order_by(Asset.seq).execute(db)
        ]
        for some in _some(entries):
            Change.insert_many(some).execute(db)


def _some(entries: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(entries), 100):
        yield entries[begin : begin + 100]


def read(
    db: Database,
    *,
    since: int | None,
    asset: Any = None,
    namespaces: Sequence[str] = (),
    limit: int,
) -> ChangesPage:
    """Return the changes after the one with the number `since`, oldest first.

    With `asset`, only those of the asset with that id, where 0 is for all that are kept; with
    `namespaces`, only those of assets there. Without `since`, those to come: none. Raises
    InvalidError if there is no such number yet, as after the restore of a backup, and
    HistoryGoneError if some that came after it are not kept.
    """
    newest = last(db)
    if since is None:
        return ChangesPage((), newest)
    if since > newest:
        raise InvalidError(
            [
                Complaint(
                    "since",
                    f"Is beyond the last change, {newest}: the database is an older one. List the"
                    " assets again, and follow from there.",
                    in_query=True,
                )
            ]
        )
    gone = _number(db, peewee.fn.MIN) - 1
    if since < gone and (since or asset is None):
        raise HistoryGoneError(gone)
    query = Change.select().where(Change.seq > since)
    if asset is not None:
        query = query.where(Change.asset_id == asset)
    if namespaces:
        query = query.where(in_namespaces(Change.external_ref, namespaces))
    found = tuple(query.order_by(Change.seq).limit(limit).execute(db))
    if namespaces and len(found) < limit:
        return ChangesPage(found, newest)  # Nothing up to there has to be looked through again.
    return ChangesPage(found, found[-1].seq if found else since)


def last(db: Database) -> int:
    """Return the number of the last change; 0 if there is none."""
    return _number(db, peewee.fn.MAX)


def _number(db: Database, which: Any) -> int:
    return int(rows(db, Change.select(peewee.fn.COALESCE(which(Change.seq), 0)))[0][0])


def prune(db: Database, before: datetime) -> None:
    """Delete the oldest entries from before that time, at most `PRUNED_AT_ONCE` of them.

    The newest one stays, whatever its time: it has the number that followers are at.
    """
    # Of most writes, this is all.
    first = db.query("SELECT at FROM change ORDER BY seq LIMIT 1")
    if not first or first[0][0] >= text_of(before):
        return
    oldest = Change.select(Change.seq, Change.at).order_by(Change.seq)
    *found, _ = rows(db, oldest.limit(PRUNED_AT_ONCE + 1))
    old = [seq for seq, _ in takewhile(lambda entry: entry[1] < before, found)]
    if old:
        Change.delete().where(Change.seq <= old[-1]).execute(db)


def external_ref_in(db: Database, asset: Any) -> str | None:
    """Return the external reference in the history of the asset with that id, or None."""
    refs = Change.select(Change.external_ref).where(Change.asset_id == asset).limit(1)
    return next((ref for (ref,) in rows(db, refs)), None)


def has_history(db: Database, asset: Any) -> bool:
    """Whether something is recorded of the asset with that id."""
    known: bool = Change.select().where(Change.asset_id == asset).exists(db)
    return known


def _add(
    db: Database,
    asset: Record,
    action: Action,
    origin: Origin,
    now: datetime,
    *,
    before: Any,
    after: Any,
) -> None:
    entry = {
        "asset_id": asset.id,
        "name": asset.name,
        "external_ref": asset.external_ref,
        "version": asset.version,
        "action": action,
        "actor": origin.actor,
        "request_id": origin.request_id,
        "at": now,
        "before": before,
        "after": after,
    }
    insert_row(db, Change, entry)


def _fields(asset: Record) -> dict[str, Any]:
    return {
        "name": asset.name,
        "type": asset.type,
        "status": asset.status,
        "description": asset.description,
        "tags": list(asset.tags),
        "config": redacted(asset.type, asset.config),
        "secretRef": asset.secret_ref and asset.secret_ref.as_json(),
        "managedBy": asset.managed_by,
        "externalRef": asset.external_ref,
        "dependsOn": list(asset.depends_on),
    }


def redacted(kind: str, config: Mapping[str, Any]) -> Any:
    """Return the config without what looks like a credential.

    None is stored; but one that an older rule took for harmless must not stay for ever.
    """
    shown: Any = deepcopy(dict(config))
    for problem in config_problems(AssetType(kind), config):
        if problem.missing or not problem.pointer:
            continue
        place = shown
        for step in problem.pointer[:-1]:
            place = place[step]
        place[problem.pointer[-1]] = REDACTED
    return shown
