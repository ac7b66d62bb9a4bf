"""Write objects of the API server as kubectl does, with one request each.

A process of kubectl costs a tenth of a second of CPU time. A test
whose subject is kubectl itself, or what kubectl makes of a file, starts that process.
"""

import json
from typing import Any
from urllib.parse import urlencode

from reads import Object, UnknownKindError, known, request
from tradingbot_dev.control_plane.plane import ControlPlane

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CLIENT_SIDE = "kubectl-client-side-apply"
_FROM_THE_SERVER = {"uid", "resourceVersion"}


def create_as_applied(plane: ControlPlane, namespace: str, obj: Object) -> bool:
    """Create an object as `kubectl apply` does, with its annotation and field manager.

    Return False if kubectl has to apply the object: it exists, it was read from an API server, or
    its kind is not in the table of `reads`. AssertionError if the API server refuses it.
    """
    try:
        resource = known(obj["kind"])
    except UnknownKindError:
        return False
    meta = {"annotations": {}, **obj["metadata"], "namespace": namespace}
    # As kubectl writes it, so that kubectl finds the same object unchanged.
    kept = {**obj, "metadata": meta}
    applied = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    annotations = {**meta["annotations"], _LAST_APPLIED: applied}
    if obj["apiVersion"] != resource.version or _FROM_THE_SERVER & set(meta):
        return False
    path = resource.path(namespace)
    query = urlencode({"fieldManager": _CLIENT_SIDE, "fieldValidation": "Strict"})
    body = {**obj, "metadata": {**meta, "annotations": annotations}}
    status, said = request(plane, f"{path}?{query}", method="POST", body=body)
    if status == 409 and b'"AlreadyExists"' in said:
        return False
    assert status == 201, said
    return True


def patch_object(
    plane: ControlPlane,
    namespace: str,
    kind: str,
    name: str,
    patch: object,
    *,
    subresource: str = "",
    dry_run_as: str = "",
    seconds: float = 60,
) -> tuple[int, str]:
    """Merge a patch, an object or its JSON, as `kubectl patch` does. Return status and answer.

    With `dry_run_as`, a user, the patch is a dry run in that user's name.
    """
    query = {"fieldManager": "kubectl-patch"} | ({"dryRun": "All"} if dry_run_as else {})
    path = "/".join(filter(None, (known(kind).path(namespace), name, subresource)))
    headers = {"Content-Type": "application/merge-patch+json"}
    if dry_run_as:
        headers["Impersonate-User"] = dry_run_as
    body = patch if isinstance(patch, str) else json.dumps(patch)
    whole = f"{path}?{urlencode(query)}"
    status, said = request(
        plane, whole, method="PATCH", body=body, headers=headers, seconds=seconds
    )
    return status, said.decode()


def delete_object(
    plane: ControlPlane, namespace: str, kind: str, name: str, *, cascade: str = "background"
) -> None:
    """Delete an object as `kubectl delete --wait=false` does. It must exist."""
    options: dict[str, Any] = {"propagationPolicy": cascade.capitalize()}
    path = f"{known(kind).path(namespace)}/{name}"
    status, said = request(plane, path, method="DELETE", body=options)
    assert status in {200, 202}, said
