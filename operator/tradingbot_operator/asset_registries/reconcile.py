"""Reconcile one AssetRegistry: sync the assets that it declares to the registry."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter

from tradingbot_api.admission.review import KINDS, defaulted, review
from tradingbot_api.assetregistry import AssetRegistrySpec, DeletionPolicy
from tradingbot_api.model import JsonObject, ObjectMeta
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator import FINALIZER, UNREADABLE
from tradingbot_operator.asset_registries.declared import bodies, ref_prefix
from tradingbot_operator.asset_registries.status import SyncResult, registry_status
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.client import KubernetesApi
from tradingbot_operator.cluster.events import WARNING, Recorder
from tradingbot_operator.registry_client import (
    OwnedAsset,
    RegistryClient,
    RegistryError,
    RegistryRefusedError,
)
from tradingbot_operator.settings import OperatorSettings

RETRY_REFUSED = 10.0
RETRY_UNAVAILABLE = 5.0
KEPT = ("assets", "counts")
"""The parts of a status that stay as they were if the assets could not be read."""
UNRESOLVED_INTERVAL = 30.0
"""Seconds between two passes while a dependency is missing. The registry resolves it at once when
it appears; this is for the status."""


@dataclass(frozen=True)
class AssetRegistryContext:
    """The dependencies of a reconcile; a test passes others."""

    api: KubernetesApi
    store: Store
    recorder: Recorder
    client: RegistryClient | None
    settings: OperatorSettings
    clock: Callable[[], datetime]


async def reconcile_asset_registry(
    context: AssetRegistryContext, key: NamespacedName
) -> float | None:
    """Reconcile one AssetRegistry. Returns the seconds until the next timed reconcile, or None."""
    body = context.store.get("AssetRegistry", *key)
    if body is None and context.store.version("AssetRegistry", *key) is not None:
        body = await context.api.get("AssetRegistry", *key)  # too large for the cache
    if body is None:
        return None
    meta = ObjectMeta.model_validate(body["metadata"])
    if meta.deletion_timestamp is not None:
        return await _clean_up(context, meta, body)
    if FINALIZER not in meta.finalizers:
        await _set_finalizers(context, meta, [*meta.finalizers, FINALIZER])
    if UNREADABLE in body:
        message = f"The object cannot be read: {body[UNREADABLE]}"
        await _report(context, meta, body, SyncResult((), (message,), "Unreadable"), declared=0)
        return None
    now = context.clock()
    effective = defaulted("AssetRegistry", body)
    invalid = review("AssetRegistry", effective, now=now).errors
    if invalid:
        fields = ", ".join(error.field for error in invalid)
        result = SyncResult((), (f"The stored spec is invalid; fix {fields}",), "InvalidSpec")
        await _report(context, meta, body, result, declared=0)
        return None
    spec: AssetRegistrySpec = KINDS["AssetRegistry"].spec_parser.validate_python(effective["spec"])
    result = await _sync(context.client, key, spec)
    await _report(context, meta, body, result, declared=len(spec.assets))
    interval = context.settings.resync_interval
    waits = {
        "Synced": min(UNRESOLVED_INTERVAL, interval) if result.unresolved else interval,
        "RegistryUnavailable": RETRY_UNAVAILABLE,
        "RegistryOff": None,
    }
    return waits.get(result.reason, RETRY_REFUSED)


async def _sync(
    client: RegistryClient | None, key: NamespacedName, spec: AssetRegistrySpec
) -> SyncResult:
    """Make one pass: upsert dependencies first, delete what is no longer declared, read back.

    What the registry refuses in this pass it may accept in the next. Example: an asset may become
    Inactive only after its dependents of the same AssetRegistry, which come later in the pass. An
    asset that can't be Active yet, since a dependency is missing, is stored all the same.
    """
    if client is None:
        return SyncResult((), ("No registry is configured",), "RegistryOff")
    wanted = bodies(key, spec)
    problems: list[str] = []
    waiting: list[str] = []
    try:
        for ref, asset in wanted.items():
            try:
                await _upsert(client, key, ref, asset)
            except RegistryRefusedError as error:
                if error.waits_for:
                    needed = ", ".join(error.waits_for[:10])
                    waiting.append(f"{asset['name']} can become Active after {needed}")
                    problems += await _upsert_inactive(client, key, ref, asset)
                else:
                    problems.append(f"{asset['name']}: {error}")
        held = await _held(client, key)
        stale = [asset for asset in held if asset.external_ref not in wanted]
        problems += await _delete(client, stale)
        if stale:
            held = await _held(client, key)
    except RegistryError as error:
        return SyncResult((), (str(error),), "RegistryUnavailable")
    return SyncResult(
        tuple(held),
        tuple(problems),
        "RegistryRefused" if problems else "DependenciesUnresolved" if waiting else "Synced",
        tuple(waiting),
    )


async def _upsert(client: RegistryClient, key: NamespacedName, ref: str, asset: JsonObject) -> None:
    """Upsert an asset. Assets of others that depend on it never block the change."""
    await client.upsert(ref, asset, blocked_by_prefix=ref_prefix(*key))


async def _upsert_inactive(
    client: RegistryClient, key: NamespacedName, ref: str, asset: JsonObject
) -> list[str]:
    """Upsert an asset that can't be Active yet with the status that it has, Draft if it is new.

    Returns what the registry refuses, except for an Active asset that is to depend on a missing
    one: it stays as it is, which the caller reports.
    """
    try:
        await _upsert(client, key, ref, {k: v for k, v in asset.items() if k != "status"})
    except RegistryRefusedError as error:
        return [] if error.waits_for else [f"{asset['name']}: {error}"]
    return []


async def _held(client: RegistryClient, key: NamespacedName) -> list[OwnedAsset]:
    """Return the assets of an AssetRegistry as the registry has them."""
    return [asset async for asset in client.owned(ref_prefix(*key))]


async def _delete(client: RegistryClient, assets: list[OwnedAsset]) -> list[str]:
    """Delete assets, dependents first. Assets of others keep an unresolved reference to them."""
    refused = []
    for asset in _dependents_first(assets):
        try:
            await client.delete(asset.external_ref)
        except RegistryRefusedError as error:
            refused.append(f"Could not delete {asset.name}: {error}")
    return refused


def _dependents_first(assets: list[OwnedAsset]) -> list[OwnedAsset]:
    by_id = {asset.id: asset for asset in assets}
    edges = {
        id_: [target for target in asset.depends_on if target in by_id]
        for id_, asset in by_id.items()
    }
    return [by_id[id_] for id_ in reversed([*TopologicalSorter(edges).static_order()])]


async def _report(
    context: AssetRegistryContext,
    meta: ObjectMeta,
    body: JsonObject,
    result: SyncResult,
    *,
    declared: int,
) -> None:
    before = body.get("status") or {}
    status = registry_status(meta, before, result, declared, context.clock())
    if result.reason in {"RegistryUnavailable", "InvalidSpec"}:
        # Keep the assets of the last sync: the registry still has them.
        status |= {key: before[key] for key in KEPT if key in before}
    if UNREADABLE in body:
        # Its stored status is not known, and a merge patch keeps what it omits.
        status = {key: value for key, value in status.items() if key not in KEPT}
    if status != before:
        context.store.put(
            await context.api.merge(
                "AssetRegistry", meta.namespace, meta.name, {"status": status}, subresource="status"
            )
        )


async def _clean_up(
    context: AssetRegistryContext, meta: ObjectMeta, body: JsonObject
) -> float | None:
    """Delete the assets, or release them to users, and remove the finalizer."""
    if FINALIZER not in meta.finalizers:
        return None
    asked = datetime.fromisoformat(meta.deletion_timestamp or "")
    waited = (context.clock() - asked).total_seconds()
    try:
        problems = await _release_or_delete(context.client, meta, body)
    except RegistryError as error:
        problems = [str(error)]
    if problems and waited < context.settings.cleanup_timeout:
        return min(RETRY_UNAVAILABLE, max(0.5, waited / 2))
    if problems:
        message = f"Assets were left in the registry: {'; '.join(problems[:5])}"
        await context.recorder.post(body, (WARNING, "AssetsLeftBehind", message), context.clock())
    await _set_finalizers(context, meta, [name for name in meta.finalizers if name != FINALIZER])
    return None


async def _release_or_delete(
    client: RegistryClient | None, meta: ObjectMeta, body: JsonObject
) -> list[str]:
    if client is None:
        return []
    held = await _held(client, NamespacedName(meta.namespace, meta.name))
    spec = body.get("spec")
    if isinstance(spec, dict) and spec.get("deletionPolicy") == DeletionPolicy.RETAIN:
        for asset in held:
            await client.release(asset)
        return []
    return await _delete(client, held)


async def _set_finalizers(
    context: AssetRegistryContext, meta: ObjectMeta, finalizers: list[str]
) -> None:
    metadata = {"finalizers": finalizers, "resourceVersion": meta.resource_version}
    context.store.put(
        await context.api.merge("AssetRegistry", meta.namespace, meta.name, {"metadata": metadata})
    )
