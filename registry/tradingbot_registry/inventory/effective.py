"""Maintain the effective status of assets, so that a list by it is a list by a column.

`DEFINITION` says what it is, for all assets at once. A write keeps it true in waves from what it
changed: each wave is one statement on the direct dependents of those that the last one changed, so
the work of a write is that of the assets that really change, and of their neighbours.
"""

from collections.abc import Collection
from typing import Any

from tradingbot_api.asset import AssetStatus

from tradingbot_registry.inventory.record import EffectiveStatus
from tradingbot_registry.storage.engine import Database

UNHEALTHY = ("Failed", "Inactive", "Degraded")
"""The effective statuses of assets that degrade whatever depends on them."""

DEFINITION = """CASE WHEN status <> 'Failed' AND seq IN (
    WITH RECURSIVE affected(seq) AS (
        SELECT d.src FROM dependency d JOIN asset cause ON cause.seq = d.dst
            WHERE cause.status IN ('Failed', 'Inactive')
        UNION SELECT d.src FROM affected JOIN dependency d ON d.dst = affected.seq
    ) SELECT seq FROM affected
) THEN 'Degraded' ELSE status END"""

# CROSS JOIN: SQLite joins in this order then, and not from the index of all unhealthy assets.
UNHEALTHY_BELOW = f"""EXISTS (
    SELECT 1 FROM dependency d CROSS JOIN asset target
    WHERE d.src = asset.seq AND target.seq = d.dst AND target.effective_status IN {UNHEALTHY}
)"""  # noqa: S608

_FOUND = (
    f"SELECT seq, status, effective_status, {UNHEALTHY_BELOW} FROM asset"  # noqa: S608
    " WHERE seq IN ??"
)
_SET = "UPDATE asset SET effective_status = ? WHERE seq = ?"
_DEPENDENTS = "seq IN (SELECT src FROM dependency WHERE dst IN ??)"
_DEGRADE = (
    "UPDATE asset SET effective_status = 'Degraded'"  # noqa: S608
    f" WHERE effective_status NOT IN ('Failed', 'Degraded') AND {_DEPENDENTS}"
    " RETURNING seq, status"
)
_HEAL = (
    "UPDATE asset SET effective_status = status"  # noqa: S608
    f" WHERE effective_status <> status AND {_DEPENDENTS} AND NOT {UNHEALTHY_BELOW}"
    " RETURNING seq, status"
)


def settle(db: Database, seqs: Collection[int]) -> None:
    """Make the effective status right after these assets, or what they depend on, changed.

    To be called inside the write that changed them.
    """
    fallen: list[int] = []
    risen: list[int] = []
    for seq, status, stored, below in db.query(_FOUND, list(seqs)):
        new = effective_status(status, unhealthy_below=bool(below))
        if new != stored:
            db.query(_SET, new, seq)
        if (new in UNHEALTHY) != (stored in UNHEALTHY):
            (fallen if new in UNHEALTHY else risen).append(seq)
    _spread(db, _DEGRADE, fallen)
    _spread(db, _HEAL, risen)


def _spread(db: Database, statement: str, changed: list[int]) -> None:
    """Repeat the statement on the dependents of those that changed, until none does."""
    while changed:
        # What is Inactive itself was unhealthy before and is so now: its dependents don't change.
        changed = [
            seq for seq, status in db.query(statement, changed) if status != AssetStatus.INACTIVE
        ]


def effective_status(status: str, *, unhealthy_below: bool) -> str:
    """Return `status` with dependencies taken into account: a healthy asset on a failed one is
    Degraded.
    """
    if status == AssetStatus.FAILED or not unhealthy_below:
        return status
    return EffectiveStatus.DEGRADED


def settle_everything(db: Database) -> None:
    """Compute the effective status of all assets, as after an import."""
    db.query(f"UPDATE asset SET effective_status = {DEFINITION}")  # noqa: S608


def wrong(db: Database) -> list[tuple[Any, str, str]]:
    """Return the id, the stored and the right effective status of assets that have a wrong one.

    Assets with an unknown status, as after an edit by hand, have none.
    """
    found: list[tuple[Any, str, str]] = db.query(
        f"SELECT id, effective_status, {DEFINITION} FROM asset"  # noqa: S608
        f" WHERE effective_status <> {DEFINITION}"
        " AND status IN ('Draft', 'Active', 'Inactive', 'Failed') ORDER BY seq"
    )
    return found
