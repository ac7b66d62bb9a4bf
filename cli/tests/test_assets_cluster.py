"""`tradingbot assets` through the service proxy of a real API server, with tokens that it issues.

The registry listens on an address of this machine that is not loopback: the API server proxies to
no loopback address, and to none that is not of a pod.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from in_process import run_here
from issued import authority, serving
from test_assets_command import address
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_dev.processes.waiting import wait_until

NAMESPACE = "assets-command"
SERVICE = "https:tradingbot-registry:8090"
EDITOR, USER = "asset-editor", "assets-user"
ASSET = "externalRef: team/a/b\nname: b\ntype: Other\n"


def own_address() -> str | None:
    """The address of this machine that it would send from, if it has one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    return None if found.startswith("127.") else found


def objects(host: str, port: int) -> list[object]:
    """A Service that leads to the registry, as if it ran in a pod, and two accounts.

    The editor may edit assets and nothing else; the user may reach the registry, issue tokens of
    the editor, and nothing else.
    """
    meta = {"name": "tradingbot-registry", "namespace": NAMESPACE}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": USER, "namespace": NAMESPACE},
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["services/proxy"],
                "resourceNames": [SERVICE],
                "verbs": ["get", "update", "delete"],
            },
            {
                "apiGroups": [""],
                "resources": ["serviceaccounts/token"],
                "resourceNames": [EDITOR],
                "verbs": ["create"],
            },
        ],
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"name": "https", "port": 8090, "targetPort": port}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            # Nothing runs it: the process beside this test has its address.
            "spec": {"schedulerName": "none", "containers": [{"name": "c", "image": "none"}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": meta | {"labels": {"kubernetes.io/service-name": "tradingbot-registry"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "targetRef": {"kind": "Pod"} | meta}],
            "ports": [{"name": "https", "port": port}],
        },
        *(
            {"apiVersion": "v1", "kind": "ServiceAccount"}
            | {"metadata": {"name": name, "namespace": NAMESPACE}}
            for name in (EDITOR, USER)
        ),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": EDITOR},
            "rules": [
                {
                    "apiGroups": ["registry.trading.io"],
                    "resources": ["assets"],
                    "verbs": ["get", "list", "create", "update", "delete"],
                }
            ],
        },
        role,
    ]


@dataclass(frozen=True)
class Cluster:
    """A registry behind the API server, and the kubeconfig of a user."""

    plane: ControlPlane
    kubeconfig: Path
    log: Path

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if "TRADINGBOT" not in name}
        environment = kept | {"KUBECONFIG": str(self.kubeconfig)}
        return run_here("assets", *arguments, "-n", NAMESPACE, environment=environment, stdin=stdin)

    def done(self, *arguments: str, stdin: str = "") -> str:
        ended = self.run(*arguments, "--service-account", EDITOR, stdin=stdin)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout


@pytest.fixture(scope="module")
def cluster(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    host = own_address()
    if host is None:
        pytest.skip("this machine has no address but loopback, and the API server refuses that")
    directory = tmp_path_factory.mktemp("assets")
    begin = datetime.now(UTC) - timedelta(hours=1)
    certificate = serving(authority("ca", begin=begin), host, begin=begin)
    (directory / "tls.crt").write_bytes(certificate.pem)
    (directory / "tls.key").write_bytes(certificate.key_pem)
    log = directory / "log"
    command = ["registry", f"--host={host}", "--port=0", f"--cert-dir={directory}"]
    kept = {name: value for name, value in os.environ.items() if "TRADINGBOT" not in name}
    settings = {
        "TRADINGBOT_REGISTRY_DATABASE_URL": f"sqlite:///{directory / 'r.db'}",
        "TRADINGBOT_REGISTRY_AUTH_MODE": "kubernetes",
        "KUBECONFIG": str(control_plane.kubeconfig),
    }
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "tradingbot_cli", *command],
            env=kept | settings,
            stderr=stream,
        )
    try:
        port = int(address(process, log).rpartition(":")[2])
        kubectl = control_plane.kubectl
        text = "\n---\n".join(json.dumps(each) for each in objects(host, port))
        kubectl("apply", "-f", "-", stdin=text, check=True)
        # The API server proxies to the addresses of pods alone.
        status = json.dumps({"status": {"podIP": host, "podIPs": [{"ip": host}]}})
        pod = ("pod", "tradingbot-registry", "-n", NAMESPACE, "--subresource=status", "-p", status)
        kubectl("patch", *pod, check=True)
        subject = (f"--clusterrole={EDITOR}", f"--serviceaccount={NAMESPACE}:{EDITOR}")
        kubectl("create", "clusterrolebinding", EDITOR, *subject, check=True)
        subject = (f"--role={USER}", f"--serviceaccount={NAMESPACE}:{USER}", "-n", NAMESPACE)
        kubectl("create", "rolebinding", USER, *subject, check=True)
        kubeconfig = control_plane.service_account_kubeconfig(USER, namespace=NAMESPACE)
        found = Cluster(control_plane, kubeconfig, log)
        wait_until(
            lambda: found.run("list", "--service-account", EDITOR).returncode == 0,
            what="the registry behind the API server",
        )
        yield found
    finally:
        process.kill()
        process.wait()


def test_assets_are_applied_listed_and_deleted_by_the_rights_of_the_kubeconfig(
    cluster: Cluster,
) -> None:
    assert cluster.done("apply", "-f", "-", stdin=ASSET) == "team/a/b: created\n"
    assert cluster.done("apply", "-f", "-", stdin=ASSET) == "team/a/b: unchanged\n"
    (asset,) = json.loads(cluster.done("list", "-o", "json"))
    assert asset["name"] == "b"
    assert cluster.done("graph", "team/a/b", "-o", "dot").startswith("digraph")
    assert cluster.done("delete", "team/a/b") == "team/a/b: deleted\n"
    assert cluster.done("list", "-o", "name") == ""


def test_a_token_of_another_kind_comes_from_a_file(cluster: Cluster, tmp_path: Path) -> None:
    create = ("create", "token", EDITOR, "-n", NAMESPACE, "--audience=tradingbot-registry")
    file = tmp_path / "token"
    file.write_text(cluster.plane.kubectl(*create, check=True).stdout)
    ended = cluster.run("list", "-o", "name", "--token-file", str(file))
    assert (ended.returncode, ended.stderr) == (0, "")
    token = file.read_text().strip()
    assert token not in cluster.log.read_text()


def test_without_a_token_the_registry_refuses_though_the_api_server_knows_the_caller(
    cluster: Cluster,
) -> None:
    """The credentials of the kubeconfig end at the API server."""
    ended = cluster.run("list")
    assert ended.returncode == 1
    assert "log in with Authorization: Bearer" in ended.stderr


def test_what_the_api_server_refuses_is_one_line(cluster: Cluster) -> None:
    for arguments, said in (
        (("list", "--service", "https:another:1"), "services/proxy"),
        (("list", "--service-account", USER), "no token of ServiceAccount"),
        (("list", "--context", "absent"), "there is no absent"),
    ):
        ended = cluster.run(*arguments)
        assert ended.returncode in {1, 2}
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert said in ended.stderr
