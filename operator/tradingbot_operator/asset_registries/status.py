"""The status of an AssetRegistry: a pure function of the result of its sync."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tradingbot_api.model import JsonObject, ObjectMeta

from tradingbot_operator.asset_registries.declared import ref_prefix
from tradingbot_operator.cluster.conditions import ConditionState, conditions, progress
from tradingbot_operator.registry_client import OwnedAsset

NEEDS_ACTION = frozenset({"InvalidSpec", "RegistryOff", "Unreadable"})
"""Reasons of `Ready` that last until somebody changes the object or the operator's settings."""


@dataclass(frozen=True)
class SyncResult:
    """The result of a sync: the assets as the registry has them, and what it refused."""

    assets: tuple[OwnedAsset, ...]
    problems: tuple[str, ...]
    reason: str = "Synced"
    waiting: tuple[str, ...] = ()
    """The assets that are not Active yet as their dependencies are not ready, each with these."""

    @property
    def unresolved(self) -> list[str]:
        """The missing dependencies, each with its dependent."""
        return _unresolved(self.assets)


def registry_status(
    meta: ObjectMeta, before: JsonObject, result: SyncResult, declared: int, now: datetime
) -> JsonObject:
    """Return the status of an AssetRegistry, a pure function of the result of its sync."""
    prefix = ref_prefix(meta.namespace, meta.name)
    assets = sorted(
        (
            {
                "name": asset.external_ref.removeprefix(prefix),
                "id": asset.id,
                "status": asset.status.value,
                "effectiveStatus": asset.effective_status,
            }
            for asset in result.assets
        ),
        key=lambda asset: str(asset["name"]),
    )
    counts = {
        name.lower(): sum(asset["status"] == name for asset in assets)
        for name in ("Draft", "Active", "Inactive", "Failed")
    }
    states = [_synced(result, declared), _ready(result, assets)]
    states += progress(states[-1], needs_action=NEEDS_ACTION)
    return {
        "observedGeneration": meta.generation,
        "conditions": conditions(
            states, before.get("conditions") or [], generation=meta.generation, now=now
        ),
        "assets": assets,
        "counts": {"total": len(assets), **counts},
    }


def _synced(result: SyncResult, declared: int) -> ConditionState:
    if result.problems or result.waiting:
        message = "; ".join((*result.problems[:5], *result.waiting[:5]))
        return ConditionState("Synced", "False", result.reason, message)
    message = f"The registry has the {declared} declared assets"
    return ConditionState("Synced", "True", result.reason, message)


def _ready(result: SyncResult, assets: list[JsonObject]) -> ConditionState:
    if result.problems:
        message = "; ".join(result.problems[:10])
        return ConditionState("Ready", "False", result.reason, message)
    if result.waiting:
        waiting = "; ".join(result.waiting[:10])
        return ConditionState("Ready", "False", "DependenciesUnresolved", waiting)
    degraded = [
        str(asset["name"]) for asset in assets if asset["effectiveStatus"] in {"Failed", "Degraded"}
    ]
    if degraded:
        names = ", ".join(degraded[:10])
        return ConditionState("Ready", "False", "AssetsDegraded", f"Failed or degraded: {names}")
    # A Draft may wait: its dependencies may be created later.
    lost = _unresolved(asset for asset in result.assets if asset.status != "Draft")
    if lost:
        message = f"Not in the registry: {'; '.join(lost[:10])}"
        return ConditionState("Ready", "False", "DependenciesUnresolved", message)
    message = "Synced; no asset has failed"
    if result.unresolved:
        message += f"; not in the registry yet: {'; '.join(result.unresolved[:10])}"
    return ConditionState("Ready", "True", "Synced", message)


def _unresolved(assets: Iterable[OwnedAsset]) -> list[str]:
    """Return the missing dependencies of assets, each with its dependent."""
    return sorted(
        f"{', '.join(asset.unresolved[:10])}, required by {asset.name}"
        for asset in assets
        if asset.unresolved
    )
