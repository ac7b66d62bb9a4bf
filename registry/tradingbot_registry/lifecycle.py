"""What an asset's status may become, given the assets around it.

The steps themselves are `tradingbot_api.asset`'s, shared with admission.
"""

from tradingbot_api.asset import AssetStatus, may_become

from tradingbot_registry.graph import Direction, neighbours, reference
from tradingbot_registry.models import Asset, PendingDependency
from tradingbot_registry.problems import DependentsError, NotReadyError, TransitionError


def check_step(old: AssetStatus, new: AssetStatus) -> None:
    """Raise TransitionError unless the lifecycle has the step from `old` to `new`."""
    if not may_become(old, new):
        raise TransitionError(old, new)


def check_ready(asset: Asset) -> None:
    """Raise NotReadyError unless everything that `asset` depends on is there and past Draft."""
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
    """Raise DependentsError if an Active asset depends on `asset`, which is to be Inactive."""
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
