"""Tokens and roles of a real API server, shown to a real registry over TLS."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry_harness import ASSETS, Server, serving
from test_registry_tls import issued, trusting
from tradingbot_dev.control_plane.plane import ControlPlane

READER = "registry-token-reader"


def role(kind: str, name: str, *verbs: str) -> str:
    """A role on assets. `kubectl create` refuses a resource that the API server does not have."""
    rule = {"apiGroups": ["registry.trading.io"], "resources": ["assets"], "verbs": list(verbs)}
    return json.dumps(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "rules": [rule],
        }
    )


def bearer(plane: ControlPlane, *extra: str, name: str = READER) -> dict[str, str]:
    issued_token = plane.kubectl("create", "token", name, *extra, check=True).stdout.strip()
    return {"Authorization": f"Bearer {issued_token}"}


@contextmanager
def guarded(plane: ControlPlane, directory: Path, **settings: str) -> Iterator[Server]:
    """A registry that asks this control plane."""
    certificates = directory / "certs"
    if not certificates.exists():
        issued(certificates)
    settings |= {
        "TRADINGBOT_REGISTRY_AUTH_MODE": "kubernetes",
        "TRADINGBOT_REGISTRY_CERT_DIR": str(certificates),
        "KUBECONFIG": str(plane.kubeconfig),
    }
    with serving(directory / "r.db", directory / "log", tls=trusting(), **settings) as server:
        yield server


def test_only_a_token_that_is_for_the_registry_opens_it(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    plane = control_plane
    plane.kubectl("create", "serviceaccount", READER, check=True)
    plane.kubectl("apply", "-f", "-", stdin=role("ClusterRole", READER, "list"), check=True)
    subject = (f"--clusterrole={READER}", f"--serviceaccount=default:{READER}")
    plane.kubectl("create", "clusterrolebinding", READER, *subject, check=True)
    with guarded(plane, tmp_path) as server:
        ours = bearer(plane, "--audience=tradingbot-registry")
        assert server.call("GET", ASSETS, **ours) == (200, [])
        for another in ((), ("--audience=tradingbot",)):
            status, problem = server.call("GET", ASSETS, **bearer(plane, *another))
            assert status == 401
            assert "--audience=tradingbot-registry" in problem["detail"]
    lenient = {"TRADINGBOT_REGISTRY_ACCEPT_CLUSTER_TOKENS": "true"}
    with guarded(plane, tmp_path, **lenient) as server:
        assert server.call("GET", ASSETS, **bearer(plane)) == (200, [])
        foreign = bearer(plane, "--audience=tradingbot")
        assert server.call("GET", ASSETS, **foreign)[0] == 401


def test_a_role_in_a_namespace_opens_the_assets_of_that_namespace(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    plane = control_plane
    tenant, owner, namespace = "registry-tenant", "registry-owner", "registry-ours"
    plane.kubectl("create", "namespace", namespace, check=True)
    for name in (tenant, owner):
        plane.kubectl("create", "serviceaccount", name, check=True)
    subject = f"--serviceaccount=default:{tenant}"
    plane.kubectl("apply", "-f", "-", stdin=role("ClusterRole", owner, "*"), check=True)
    bound = (f"--clusterrole={owner}", f"--serviceaccount=default:{owner}")
    plane.kubectl("create", "clusterrolebinding", owner, *bound, check=True)
    here = ("-n", namespace)
    allowed = role("Role", tenant, "get", "list")
    plane.kubectl(*here, "apply", "-f", "-", stdin=allowed, check=True)
    plane.kubectl(*here, "create", "rolebinding", tenant, f"--role={tenant}", subject, check=True)
    audience = "--audience=tradingbot-registry"
    with guarded(plane, tmp_path) as server:
        admin, reader = (bearer(plane, audience, name=name) for name in (owner, tenant))
        ids = {}
        for ref in (f"crd/{namespace}/a", "crd/theirs/a"):
            body = {"name": "a", "type": "Other"}
            status, asset = server.call("PUT", f"{ASSETS}/by-ref/{ref}", body, **admin)
            assert status == 201
            ids[ref] = asset["id"]
        ours, theirs = ids.values()
        paths = ("assets", "facets", "graph", "changes", f"assets/{ours}/dependents")
        for path in (f"/api/v1/{name}" for name in paths):
            assert server.call("GET", f"{path}?namespace={namespace}", **reader)[0] == 200, path
            assert server.call("GET", f"{path}?namespace=theirs", **reader)[0] == 403, path
            assert server.call("GET", path, **reader)[0] == 403, path
        status, listed = server.call("GET", f"{ASSETS}?namespace={namespace}", **reader)
        assert [asset["id"] for asset in listed] == [ours]
        for path in (ours, f"{ours}/changes", f"by-ref/crd/{namespace}/a"):
            assert server.call("GET", f"{ASSETS}/{path}", **reader)[0] == 200, path
        for path in (theirs, f"{theirs}/changes", "by-ref/crd/theirs/a"):
            status, problem = server.call("GET", f"{ASSETS}/{path}", **reader)
            assert (status, problem["type"]) == (403, "urn:tradingbot:problem:forbidden"), path
        assert len(server.call("GET", ASSETS, **admin)[1]) == 2
