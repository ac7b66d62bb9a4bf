"""An `AssetRegistry` object, kept in step with the registry service."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter

from tradingbot_api.admission import KINDS, defaulted, review
from tradingbot_api.assetregistry import Asset, AssetRegistrySpec, DeletionPolicy
from tradingbot_api.model import JsonObject, ObjectMeta

from tradingbot_operator import FINALIZER
from tradingbot_operator.kube import KubernetesApi
from tradingbot_operator.recorder import WARNING, Recorder
from tradingbot_operator.registry_client import (
    RegistryClient,
    RegistryError,
    RegistryRefusedError,
)
from tradingbot_operator.settings import OperatorSettings
from tradingbot_operator.status import Finding, conditions
from tradingbot_operator.store import Store

RETRY_REFUSED = 10.0
RETRY_UNAVAILABLE = 5.0

Key = tuple[str, str]


@dataclass(frozen=True)
class CatalogueContext:
    """All that keeping catalogues needs from outside."""

    api: KubernetesApi
    store: Store
    recorder: Recorder
    client: RegistryClient | None
    settings: OperatorSettings
    clock: Callable[[], datetime]


@dataclass(frozen=True)
class Outcome:
    """What came of a sync: the assets as the registry has them, and what it refused."""

    assets: tuple[JsonObject, ...]
    problems: tuple[str, ...]
    reason: str = "Synced"


def ref_prefix(namespace: str, name: str) -> str:
    """The beginning of the references of all assets of one catalogue."""
    return f"crd/{namespace}/{name}."


def bodies(key: Key, spec: AssetRegistrySpec) -> dict[str, JsonObject]:
    """The registry's assets by reference, each after those that it depends on."""
    prefix = ref_prefix(*key)
    by_name = {asset.name: asset for asset in spec.assets}
    edges = {
        asset.name: [target for target in asset.depends_on if target in by_name]
        for asset in spec.assets
    }
    order = TopologicalSorter(edges).static_order()
    return {f"{prefix}{name}": _body(by_name[name], by_name.keys(), prefix) for name in order}


def _body(asset: Asset, names: Iterable[str], prefix: str) -> JsonObject:
    known = set(names)
    body = asset.model_dump(by_alias=True, mode="json", exclude_none=True)
    body["dependsOn"] = [
        f"{prefix}{target}" if target in known else target for target in asset.depends_on
    ]
    return {**body, "managedBy": "crd"}


def catalogue_status(
    meta: ObjectMeta, before: JsonObject, outcome: Outcome, declared: int, now: datetime
) -> JsonObject:
    """The status of a catalogue; a pure function of what came of its sync."""
    prefix = ref_prefix(meta.namespace, meta.name)
    assets = sorted(
        (
            {
                "name": asset["externalRef"].removeprefix(prefix),
                "id": asset["id"],
                "status": asset["status"],
                "effectiveStatus": asset["effectiveStatus"],
            }
            for asset in outcome.assets
        ),
        key=lambda one: str(one["name"]),
    )
    counts = {
        name.lower(): sum(one["status"] == name for one in assets)
        for name in ("Draft", "Active", "Inactive", "Failed")
    }
    synced = not outcome.problems
    message = (
        "; ".join(outcome.problems[:5])
        if outcome.problems
        else (f"the registry holds the {declared} assets that are declared")
    )
    degraded = [one["name"] for one in assets if one["effectiveStatus"] in {"Failed", "Degraded"}]
    if not synced:
        ready = Finding("Ready", "False", outcome.reason, "not synced")
    elif degraded:
        names = ", ".join(str(one) for one in degraded[:10])
        ready = Finding("Ready", "False", "AssetsDegraded", f"failed or degraded: {names}")
    else:
        ready = Finding("Ready", "True", "Synced", "synced, and no asset has failed")
    findings = (Finding("Synced", str(synced), outcome.reason, message), ready)
    return {
        "observedGeneration": meta.generation,
        "conditions": conditions(
            findings, before.get("conditions") or [], generation=meta.generation, now=now
        ),
        "assets": assets,
        "counts": {"total": len(assets), **counts},
    }


async def keep_catalogue(context: CatalogueContext, key: Key) -> float | None:
    """Bring the registry in step with a catalogue; seconds until it is to be compared again."""
    body = context.store.get("AssetRegistry", *key)
    if body is None:
        return None
    meta = ObjectMeta.model_validate(body["metadata"])
    if meta.deletion_timestamp is not None:
        return await _clean_up(context, meta, body)
    if FINALIZER not in meta.finalizers:
        await _set_finalizers(context, meta, [*meta.finalizers, FINALIZER])
    now = context.clock()
    effective = defaulted("AssetRegistry", body)
    invalid = review("AssetRegistry", effective, now=now).errors
    if invalid:
        fields = ", ".join(error.field for error in invalid)
        outcome = Outcome((), (f"the stored spec is invalid; mend {fields}",), "InvalidSpec")
        await _report(context, meta, body, outcome, declared=0)
        return None
    spec: AssetRegistrySpec = KINDS["AssetRegistry"].spec_parser.validate_python(effective["spec"])
    outcome = await _sync(context.client, key, spec)
    await _report(context, meta, body, outcome, declared=len(spec.assets))
    waits = {
        "Synced": context.settings.resync_interval,
        "RegistryUnavailable": RETRY_UNAVAILABLE,
        "RegistryOff": None,
    }
    return waits.get(outcome.reason, RETRY_REFUSED)


async def _sync(client: RegistryClient | None, key: Key, spec: AssetRegistrySpec) -> Outcome:
    """One pass: upsert in order of dependency, remove what is no longer declared, read back.

    What the registry refuses now it may accept in the next pass, once its neighbours have moved:
    an asset that goes Inactive waits for those that depend on it.
    """
    if client is None:
        return Outcome((), ("no registry is configured",), "RegistryOff")
    wanted, problems = bodies(key, spec), []
    try:
        for ref, asset in wanted.items():
            try:
                await client.upsert(ref, asset)
            except RegistryRefusedError as error:
                problems.append(f"{asset['name']}: {error}")
        held = await _held(client, key)
        stale = [asset for asset in held if asset["externalRef"] not in wanted]
        problems += await _delete(client, stale)
        if stale:
            held = await _held(client, key)
    except RegistryError as error:
        return Outcome((), (str(error),), "RegistryUnavailable")
    return Outcome(tuple(held), tuple(problems), "RegistryRefused" if problems else "Synced")


async def _held(client: RegistryClient, key: Key) -> list[JsonObject]:
    """The catalogue's assets as the registry has them."""
    return [asset async for asset in client.owned(ref_prefix(*key))]


async def _delete(client: RegistryClient, assets: list[JsonObject]) -> list[str]:
    """Delete assets, dependents first; what is refused then has dependents elsewhere."""
    refused = []
    for asset in _dependents_first(assets):
        try:
            await client.delete(asset["externalRef"])
        except RegistryRefusedError as error:
            refused.append(f"{asset['name']} can't be removed: {error}")
    return refused


def _dependents_first(assets: list[JsonObject]) -> list[JsonObject]:
    by_id = {asset["id"]: asset for asset in assets}
    edges = {
        one: [target for target in asset["dependsOn"] if target in by_id]
        for one, asset in by_id.items()
    }
    return [by_id[one] for one in reversed([*TopologicalSorter(edges).static_order()])]


async def _report(
    context: CatalogueContext,
    meta: ObjectMeta,
    body: JsonObject,
    outcome: Outcome,
    *,
    declared: int,
) -> None:
    before = body.get("status") or {}
    status = catalogue_status(meta, before, outcome, declared, context.clock())
    if outcome.reason in {"RegistryUnavailable", "InvalidSpec"}:
        # What the registry held when it last answered is still the best that is known.
        status |= {key: before[key] for key in ("assets", "counts") if key in before}
    if status != before:
        context.store.put(
            await context.api.merge(
                "AssetRegistry", meta.namespace, meta.name, {"status": status}, subresource="status"
            )
        )


async def _clean_up(context: CatalogueContext, meta: ObjectMeta, body: JsonObject) -> float | None:
    """Remove the catalogue's assets, or hand them over to people, and let it be deleted."""
    if FINALIZER not in meta.finalizers:
        return None
    asked = datetime.fromisoformat(meta.deletion_timestamp or "")
    waited = (context.clock() - asked).total_seconds()
    try:
        problems = await _let_go(context.client, meta, body)
    except RegistryError as error:
        problems = [str(error)]
    if problems and waited < context.settings.cleanup_timeout:
        return min(RETRY_UNAVAILABLE, max(0.5, waited / 2))
    if problems:
        message = f"assets were left in the registry: {'; '.join(problems[:5])}"
        await context.recorder.post(body, (WARNING, "AssetsLeftBehind", message), context.clock())
    await _set_finalizers(context, meta, [one for one in meta.finalizers if one != FINALIZER])
    return None


async def _let_go(client: RegistryClient | None, meta: ObjectMeta, body: JsonObject) -> list[str]:
    if client is None:
        return []
    held = await _held(client, (meta.namespace, meta.name))
    spec = body.get("spec")
    if isinstance(spec, dict) and spec.get("deletionPolicy") == DeletionPolicy.RETAIN:
        for asset in held:
            await client.release(asset)
        return []
    return await _delete(client, held)


async def _set_finalizers(
    context: CatalogueContext, meta: ObjectMeta, finalizers: list[str]
) -> None:
    metadata = {"finalizers": finalizers, "resourceVersion": meta.resource_version}
    context.store.put(
        await context.api.merge("AssetRegistry", meta.namespace, meta.name, {"metadata": metadata})
    )
