"""Rules for the status of an asset that depend on other assets.

The transitions are `tradingbot_api.asset`'s, shared with admission.
"""

from tradingbot_api.asset import AssetStatus, may_become

from tradingbot_registry.inventory.graph import Direction, neighbours, reference
from tradingbot_registry.problems import DependentsError, NotReadyError, TransitionError
from tradingbot_registry.storage.models import Asset, PendingDependency


def check_step(old: AssetStatus, new: AssetStatus) -> None:
    """Raise TransitionError unless the lifecycle allows the transition."""
    if not may_become(old, new):
        raise TransitionError(old, new)


def check_ready(asset: Asset) -> None:
    """Raise NotReadyError unless all dependencies of `asset` exist and are past Draft."""
    unresolved = [
        row.ref
        for row in PendingDependency.select()
        .where(PendingDependency.src == asset.seq)
        .order_by(PendingDependency.ref)
    ]
    drafts = [
        reference(dependency)
        for dependency in neighbours(asset.seq, Direction.DEPENDENCIES)
        if dependency.status == AssetStatus.DRAFT
    ]
    if unresolved or drafts:
        raise NotReadyError(unresolved=unresolved, drafts=drafts)


def check_unneeded(asset: Asset) -> None:
    """Raise DependentsError if an Active asset depends on `asset`, which becomes Inactive."""
    blockers = [
        reference(dependent)
        for dependent in neighbours(asset.seq, Direction.DEPENDENTS)
        if dependent.status == AssetStatus.ACTIVE
    ]
    if blockers:
        raise DependentsError(
            "making it Inactive would degrade Active assets (force=true does it all the same):",
            blockers,
        )
