"""The PersistentVolumeClaim of a bot: it grows, never shrinks, and outlives the bot if asked to.

    retain: false    the claim has the bot as its owner, and is deleted with it
    retain: true     the claim has no owner, so that nothing deletes it with the bot: neither the
                     garbage collector nor `kubectl delete --cascade=foreground`, which deletes what
                     a bot owns before the operator has seen the deletion

The annotation BOT_UID says which bot a claim without an owner belongs to. A bot of the same name
that is created later has another uid: for it the claim can be adopted.
"""

from typing import Any

from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject
from tradingbot_api.pod_parts import Storage
from tradingbot_api.quantity import parse_quantity

from tradingbot_operator import BOT_UID
from tradingbot_operator.cluster.reading.untrusted import mapping, mappings


def claim(
    metadata: JsonObject, storage: Storage, *, uid: str, live: JsonObject | None
) -> JsonObject:
    """Return the claim. `metadata` is that of every child of the bot, `live` the existing claim.

    A retained claim may be larger than a bot that is created later asks for. It also keeps the
    class that an earlier bot chose if this one chooses none: an apply without the class would be
    refused as an attempt to remove it, and the claim would never be adopted.
    """
    annotations = {**metadata.get("annotations", {}), BOT_UID: uid}
    metadata = {**metadata, "annotations": annotations}
    if storage.retain:
        del metadata["ownerReferences"]
    spec: JsonObject = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": _larger(storage.size, live)}},
    }
    found = mapping((live or {}).get("spec")).get("storageClassName")
    class_name = storage.storage_class_name or found
    if isinstance(class_name, str):
        spec["storageClassName"] = class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec,
    }


def _larger(size: str, live: JsonObject | None) -> str:
    requests = mapping(mapping(mapping((live or {}).get("spec")).get("resources")).get("requests"))
    existing = requests.get("storage")
    if not isinstance(existing, str):
        return size
    wanted, found = parse_quantity(size), parse_quantity(existing)
    return existing if found is not None and wanted is not None and found > wanted else size


def belongs_to(child: JsonObject, uid: str) -> bool:
    """Return whether a child without an owner is the claim that the bot of that uid retains."""
    annotations = mapping(child["metadata"].get("annotations"))
    return child.get("kind") == "PersistentVolumeClaim" and annotations.get(BOT_UID) == uid


def release(live: JsonObject, declared: JsonObject) -> JsonObject | None:
    """Return the merge patch that removes bots from the owners of a retained claim, or None."""
    owners = live["metadata"].get("ownerReferences")
    if "ownerReferences" in declared["metadata"] or not owners:
        return None
    kept = [owner for owner in mappings(owners) if not _is_bot(owner)]
    if len(kept) == len(owners):
        return None
    metadata: JsonObject = {"ownerReferences": kept}
    if (version := live["metadata"].get("resourceVersion")) is not None:
        metadata["resourceVersion"] = version
    return {"metadata": metadata}


def _is_bot(owner: dict[str, Any]) -> bool:
    return owner.get("kind") == "TradingBot" and owner.get("apiVersion") == API_VERSION
