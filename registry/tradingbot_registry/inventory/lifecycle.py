"""Rules for the status of an asset that depend on other assets.

The transitions are `tradingbot_api.asset`'s, shared with admission.
"""

from tradingbot_api.asset import AssetStatus, may_become

from tradingbot_registry.inventory.graph import Direction, neighbours
from tradingbot_registry.refusals import DependentsError, NotReadyError, TransitionError
from tradingbot_registry.storage.engine import Database
from tradingbot_registry.storage.models import PendingDependency, rows

_UNREADY = (
    "SELECT 1 FROM pending_dependency WHERE src = ? UNION ALL"
    " SELECT 1 FROM dependency JOIN asset ON asset.seq = dependency.dst"
    " WHERE dependency.src = ? AND asset.status = ? LIMIT 1"
)


def check_step(old: AssetStatus, new: AssetStatus) -> None:
    """Raise TransitionError unless the lifecycle allows the transition."""
    if not may_become(old, new):
        raise TransitionError(old, new)


def check_ready(db: Database, seq: int) -> None:
    """Raise NotReadyError unless all dependencies of the asset exist and are past Draft."""
    if not db.query(_UNREADY, seq, seq, AssetStatus.DRAFT):
        return
    query = PendingDependency.select(PendingDependency.ref).where(PendingDependency.src == seq)
    unresolved = [ref for (ref,) in rows(db, query.order_by(PendingDependency.ref))]
    drafts = neighbours(db, seq, Direction.DEPENDENCIES, status=AssetStatus.DRAFT)
    if unresolved or drafts.total:
        raise NotReadyError(unresolved=unresolved, drafts=drafts.listed, total=drafts.total)


def check_unneeded(db: Database, seq: int, *, ref_prefix: str = "") -> None:
    """Raise DependentsError if an Active asset depends on the asset, which becomes Inactive.

    With `ref_prefix`, only assets whose external reference has this prefix count.
    """
    blockers = neighbours(
        db, seq, Direction.DEPENDENTS, status=AssetStatus.ACTIVE, ref_prefix=ref_prefix
    )
    if blockers.total:
        raise DependentsError(
            "making it Inactive would degrade Active assets (force=true does it all the same):",
            blockers.listed,
            blockers.total,
        )
