"""The URL paths and label selectors of the kinds that the operator uses."""

from collections.abc import Mapping
from urllib.parse import quote

from tradingbot_api import API_VERSION

from tradingbot_operator import BOT_LABEL, MANAGED_BY

_RESOURCES = {
    "TradingBot": f"apis/{API_VERSION}/namespaces/{{}}/tradingbots",
    "AssetRegistry": f"apis/{API_VERSION}/namespaces/{{}}/assetregistries",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Service": "api/v1/namespaces/{}/services",
    "PersistentVolumeClaim": "api/v1/namespaces/{}/persistentvolumeclaims",
    "NetworkPolicy": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Secret": "api/v1/namespaces/{}/secrets",
    "ReplicaSet": "apis/apps/v1/namespaces/{}/replicasets",
    "Pod": "api/v1/namespaces/{}/pods",
    "Event": "api/v1/namespaces/{}/events",
    "Lease": "apis/coordination.k8s.io/v1/namespaces/{}/leases",
}


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """Return the path of an object, or of all objects in a namespace or (empty) everywhere."""
    path = _RESOURCES[kind]
    path = path.format(_segment(namespace)) if namespace else path.replace("namespaces/{}/", "")
    return f"{path}/{_segment(name)}" if name else path


def _segment(name: str) -> str:
    """Quote a name as one segment of a path. Some names come from objects, and may be any text.

    Raises ValueError for a segment that would lead to another path even when quoted.
    """
    if name in {".", ".."}:
        raise ValueError(f"{name!r} can't be the name of an object")
    return quote(name, safe="")


def labels_of(kind: str) -> Mapping[str, str]:
    """Return the labels by which a kind is listed and watched; an empty value matches any.

    Pods are selected by the label that their ReplicaSet selects them by: a pod that loses any other
    label goes on trading for the bot.
    """
    return {BOT_LABEL: ""} if kind == "Pod" else MANAGED_BY


def selector_of(labels: Mapping[str, str]) -> str:
    """Return labels as a selector in the form of the API server."""
    return ",".join(f"{key}={value}" if value else key for key, value in labels.items())


def api_version_of(kind: str) -> str:
    """Return the API group and version of a kind: the items of a list have neither."""
    return _RESOURCES[kind].split("/", 1)[1].split("/namespaces/")[0]
