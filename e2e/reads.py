"""Read objects of the API server as `kubectl get -o json` does, with one request for each kind.

Tests read in a loop while they wait. A process of kubectl costs twenty times as much CPU time as a
request on a connection that is kept. For the same reason, the namespace of a test comes from here.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tradingbot_dev.control_plane.pki import ADMIN
from tradingbot_dev.control_plane.plane import ControlPlane
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

Object = dict[str, Any]


class Resource(NamedTuple):
    version: str
    kind: str
    names: frozenset[str]

    @property
    def plural(self) -> str:
        name = self.kind.lower()
        return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"

    @property
    def root(self) -> str:
        return f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"

    def path(self, namespace: str) -> str:
        """Return the path of the collection."""
        return f"{self.root}/namespaces/{namespace}/{self.plural}"


def _resource(version: str, kind: str, *short: str) -> Resource:
    found = Resource(version, kind, frozenset())
    return found._replace(names=frozenset({kind.lower(), found.plural, *short}))


_RESOURCES = (
    _resource("trading.io/v1", "TradingBot", "tbot"),
    _resource("trading.io/v1", "AssetRegistry", "areg"),
    _resource("apps/v1", "Deployment"),
    _resource("apps/v1", "ReplicaSet"),
    _resource("v1", "Pod"),
    _resource("v1", "Service"),
    _resource("v1", "ConfigMap"),
    _resource("v1", "Event"),
    _resource("v1", "Secret"),
    _resource("v1", "ResourceQuota"),
    _resource("v1", "PersistentVolumeClaim", "pvc"),
    _resource("networking.k8s.io/v1", "NetworkPolicy"),
    _resource("policy/v1", "PodDisruptionBudget"),
)


class NoAnswerError(AssertionError):
    """Raised if the API server does not answer a request."""


class UnknownKindError(LookupError):
    """Raised for a kind that is not in the table above."""


def read_object(plane: ControlPlane, namespace: str, kind: str, name: str) -> Object | None:
    """Return the stored object, or None. AssertionError if the API server does not answer."""
    resource = known(kind)
    path = f"{resource.path(namespace)}/{name}"
    status, body = request(plane, path)
    if status == 404 and b'"Status"' in body:  # without, the kind itself is unknown
        return None
    assert status == 200, body
    return dict(json.loads(body))


def read_items(
    plane: ControlPlane, namespace: str, kinds: str, *, labels: str = "", fields: str = ""
) -> Iterator[Object]:
    """Yield the stored objects of the kinds, which are separated by commas; else as above."""
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    query = urlencode({name: value for name, value in chosen.items() if value})
    for resource in [known(kind) for kind in kinds.split(",")]:
        status, body = request(plane, f"{resource.path(namespace)}?{query}")
        assert status == 200, body
        for item in json.loads(body)["items"]:
            yield {"apiVersion": resource.version, "kind": resource.kind, **item}


def create_namespace(plane: ControlPlane, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    status, said = request(plane, "/api/v1/namespaces", method="POST", body=body)
    assert status == 201, said


def delete_all(plane: ControlPlane, namespace: str, kinds: str) -> None:
    """Delete the objects of the kinds as `kubectl delete --all --wait=false` does."""
    for resource in [known(kind) for kind in kinds.split(",")]:
        options = {"propagationPolicy": "Background"}
        path = resource.path(namespace)
        status, said = request(plane, path, method="DELETE", body=options)
        assert status in (200, 404), said  # 404: the kind is not served, as after an uninstall


def without_managed_fields(obj: Object) -> Object:
    """Return the object as kubectl shows it."""
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": meta}


def known(kind: str) -> Resource:
    """Return what the API server calls a kind, by any of its names."""
    found = next((resource for resource in _RESOURCES if kind.lower() in resource.names), None)
    if found is None:
        raise UnknownKindError(kind)
    return found


def request(
    plane: ControlPlane,
    path: str,
    *,
    method: str = "GET",
    body: Object | str | None = None,
    headers: Mapping[str, str] = MappingProxyType({"Content-Type": "application/json"}),
    seconds: float = 60,
) -> tuple[int, bytes]:
    """Return status and body of an answer. NoAnswerError if there is none."""
    text = body if isinstance(body, str | None) else json.dumps(body)
    try:
        answer = _connections(plane).request(
            method, plane.server + path, body=text, headers=headers, timeout=Timeout(seconds)
        )
    except HTTPError as error:
        raise NoAnswerError(f"the API server does not answer: {error}") from error
    return answer.status, answer.data


@lru_cache(maxsize=4)
def _connections(plane: ControlPlane) -> PoolManager:
    return PoolManager(
        ca_certs=str(plane.pki.ca),
        cert_file=str(plane.pki.certificate(ADMIN)),
        key_file=str(plane.pki.key(ADMIN)),
        # A kept connection to an API server that was restarted fails once.
        retries=Retry(1, redirect=0, status=0),
    )
