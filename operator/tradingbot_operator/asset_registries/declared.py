"""The assets that an AssetRegistry declares, as the registry takes them."""

from collections.abc import Container, Mapping
from graphlib import CycleError, TopologicalSorter

from tradingbot_api.assetregistry import Asset, AssetRegistrySpec
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName


def ref_prefix(namespace: str, name: str) -> str:
    """Return the prefix of the references of its assets, such as `crd/default/feeds.`."""
    return f"crd/{namespace}/{name}."


def bodies(key: NamespacedName, spec: AssetRegistrySpec) -> dict[str, JsonObject]:
    """Return the declared assets by reference, each after those that it depends on.

    A dependency on an asset of the same AssetRegistry is written by its name or its reference in
    the spec, and is a reference here: in `default/feeds`, `prices` becomes
    `crd/default/feeds.prices`. References to others stay as they are.
    """
    prefix = ref_prefix(*key)
    by_name = {asset.name: asset for asset in spec.assets}
    edges = {
        asset.name: [name for name in _names(asset, prefix) if name in by_name]
        for asset in spec.assets
    }
    return {f"{prefix}{name}": _body(by_name[name], by_name, prefix) for name in _order(edges)}


def _names(asset: Asset, prefix: str) -> list[str]:
    """Return the dependencies of an asset, without the prefix of its own AssetRegistry."""
    return [target.removeprefix(prefix) for target in asset.depends_on]


def _order(edges: Mapping[str, list[str]]) -> list[str]:
    """Return the names, dependencies first.

    If a cycle leads through a reference to the AssetRegistry itself, which admission takes for one
    to another object, the order does not matter: the registry refuses the cycle and names it.
    """
    try:
        return [*TopologicalSorter(edges).static_order()]
    except CycleError:
        return [*edges]


def _body(asset: Asset, known: Container[str], prefix: str) -> JsonObject:
    body = asset.model_dump(by_alias=True, mode="json", exclude_none=True)
    targets = (f"{prefix}{name}" if name in known else name for name in _names(asset, prefix))
    return {**body, "dependsOn": [*dict.fromkeys(targets)], "managedBy": "crd"}
