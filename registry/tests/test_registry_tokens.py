"""Tokens of a real API server, shown to a real registry over TLS."""

import json
from pathlib import Path

from registry_harness import ASSETS, serving
from test_registry_tls import issued, trusting
from tradingbot_dev.control_plane.plane import ControlPlane

READER = "registry-token-reader"
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": READER},
    "rules": [{"apiGroups": ["registry.trading.io"], "resources": ["assets"], "verbs": ["list"]}],
}


def bearer(plane: ControlPlane, *extra: str) -> dict[str, str]:
    issued_token = plane.kubectl("create", "token", READER, *extra, check=True).stdout.strip()
    return {"Authorization": f"Bearer {issued_token}"}


def test_only_a_token_that_is_for_the_registry_opens_it(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    plane = control_plane
    plane.kubectl("create", "serviceaccount", READER, check=True)
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(ROLE), check=True)
    subject = (f"--clusterrole={READER}", f"--serviceaccount=default:{READER}")
    plane.kubectl("create", "clusterrolebinding", READER, *subject, check=True)
    issued(tmp_path / "certs")
    settings = {
        "TRADINGBOT_REGISTRY_AUTH_MODE": "kubernetes",
        "TRADINGBOT_REGISTRY_CERT_DIR": str(tmp_path / "certs"),
        "KUBECONFIG": str(plane.kubeconfig),
    }
    with serving(tmp_path / "r.db", tmp_path / "log", tls=trusting(), **settings) as server:
        ours = bearer(plane, "--audience=tradingbot-registry")
        assert server.call("GET", ASSETS, **ours) == (200, [])
        for another in ((), ("--audience=tradingbot",)):
            status, problem = server.call("GET", ASSETS, **bearer(plane, *another))
            assert status == 401
            assert "--audience=tradingbot-registry" in problem["detail"]
    settings["TRADINGBOT_REGISTRY_ACCEPT_CLUSTER_TOKENS"] = "true"
    with serving(tmp_path / "r.db", tmp_path / "log", tls=trusting(), **settings) as server:
        assert server.call("GET", ASSETS, **bearer(plane)) == (200, [])
        foreign = bearer(plane, "--audience=tradingbot")
        assert server.call("GET", ASSETS, **foreign)[0] == 401
