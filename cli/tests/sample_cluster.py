"""What the doctor is shown: the whole product on a real control plane, to be broken part by part.

Webhooks, operator and registry run on this machine, and the webhooks are called by URL. The
Deployments are there as well, and "run" on the simulated node.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from issued import Issued
from tradingbot_cli.doctor.collect import needed
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE, ensure
from tradingbot_dev.processes.table import Program
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until
from tradingbot_dev.product import manifests
from tradingbot_dev.product.manifests import OVERLAY, Manifests
from tradingbot_dev.product.system import System, temporary_system, tradingbot_path

PATIENCE = STUCK_SECONDS
PAUSE = 0.5
"""Seconds between two runs of the doctor, each of which takes a third of a second of CPU time."""
ACCOUNT = "doctor"
REGISTRY = "registry-outside"
RUNNING = ("Deployment", "Service", "PersistentVolumeClaim")
# libyaml's, where PyYAML has it: the definitions are long.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class SampleCluster:
    """The whole product, and a user who may read it and do nothing else."""

    system: System
    kubeconfig: Path
    registry: Program

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.system.plane.kubectl(*arguments, stdin=stdin, check=True).stdout

    def rendered(self) -> list[dict[str, Any]]:
        return [
            manifest
            for manifest in yaml.load_all(self.kubectl("kustomize", str(OVERLAY)), _LOADER)
            if manifest
        ]

    def trust(self, ca: bytes) -> None:
        """Put this into the caBundle of both configurations, which come back if they were gone."""
        manifest = Manifests.render(lambda folder: self.kubectl("kustomize", str(folder)))
        self.system.apply(manifests.text(manifest.webhooks_at(self.system.webhooks_url, ca=ca)))

    @contextmanager
    def serving(self, one: Issued, *, ca: bytes) -> Iterator[None]:
        """While the webhooks serve this certificate, and the API server trusts this authority."""
        files = [self.system.certificates / name for name in ("tls.crt", "tls.key")]
        before = [file.read_bytes() for file in files]
        try:
            for file, content in zip(files, (one.pem, one.key_pem), strict=True):
                file.write_bytes(content)
            self.trust(ca)
            yield
        finally:
            for file, content in zip(files, before, strict=True):
                file.write_bytes(content)
            self.trust((self.system.certificates / "ca.crt").read_bytes())

    def begin_registry(self) -> None:
        ensure(self.system.plane.table, self.registry)
        port = self.registry.ports[0]
        table = self.system.plane.table
        wait_until(
            lambda: listens(port), what=REGISTRY, seconds=PATIENCE, table=table, needs=(REGISTRY,)
        )


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((own_address(), port)) == 0


def own_address() -> str:
    """An address of this machine that is not loopback, which no EndpointSlice may hold."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only picks a way
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


def doctors_kubeconfig(system: System) -> Path:
    """Of an account with exactly the rights that the doctor says that it needs."""
    rules = [
        {
            "apiGroups": [right.group],
            "resources": [right.resource],
            "verbs": [right.verb],
            **({"resourceNames": [right.name]} if right.name else {}),
        }
        for right in needed(SYSTEM_NAMESPACE)
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": ACCOUNT},
        "rules": rules,
    }
    system.apply(json.dumps(role))
    kubectl = system.plane.kubectl
    kubectl("create", "serviceaccount", ACCOUNT, "-n", "default", check=True)
    bound = (f"--clusterrole={ACCOUNT}", f"--serviceaccount=default:{ACCOUNT}")
    kubectl("create", "clusterrolebinding", ACCOUNT, *bound, check=True)
    return system.plane.service_account_kubeconfig(ACCOUNT, namespace="default")


def running(cluster: SampleCluster, address: str, port: int) -> list[dict[str, Any]]:
    """What runs in pods elsewhere; the registry's Service leads to the one on this machine."""
    found = [manifest for manifest in cluster.rendered() if manifest["kind"] in RUNNING]
    for manifest in found:
        if (manifest["kind"], manifest["metadata"]["name"]) == ("Service", "tradingbot-registry"):
            del manifest["spec"]["selector"]
    return [
        *found,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "registry"},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/nowhere"},
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "tradingbot-registry-outside",
                "namespace": SYSTEM_NAMESPACE,
                "labels": {"kubernetes.io/service-name": "tradingbot-registry"},
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [address],
                    "conditions": {"ready": True},
                    "targetRef": {"kind": "Pod", "namespace": SYSTEM_NAMESPACE, "name": REGISTRY},
                }
            ],
            "ports": [{"name": "https", "port": port}],
        },
    ]


def stand_for_a_pod(cluster: SampleCluster, address: str) -> None:
    """The API server connects to addresses of pods only: one that no scheduler takes, says ours."""
    container = {
        "name": "registry",
        "image": "example.invalid/registry:1",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": REGISTRY, "namespace": SYSTEM_NAMESPACE},
        "spec": {
            "schedulerName": "nobody",
            "containers": [container],
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }
    cluster.system.apply(json.dumps(pod))
    status = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
    cluster.kubectl(
        *("patch", "pod", REGISTRY, "-n", SYSTEM_NAMESPACE),
        *("--subresource=status", "--type=merge", "-p", json.dumps(status)),
    )


def all_available(cluster: SampleCluster) -> bool:
    listed = cluster.kubectl("get", "deployments", "-n", SYSTEM_NAMESPACE, "-o", "json")
    return all(
        deployment["status"].get("availableReplicas") == deployment["spec"]["replicas"]
        and deployment["status"].get("updatedReplicas") == deployment["spec"]["replicas"]
        for deployment in json.loads(listed)["items"]
    )


@contextmanager
def installed() -> Iterator[SampleCluster]:
    """The product on a control plane of its own, ready to be diagnosed."""
    address = own_address()
    with temporary_system(environment={"TRADINGBOT_OPERATOR_LEADER_ELECTION": "true"}) as system:
        with socket.socket() as free:
            free.bind((address, 0))
            port = free.getsockname()[1]
        registry = Program(
            name=REGISTRY,
            command=(
                *(tradingbot_path(), "registry", f"--host={address}", f"--port={port}"),
                "--auth-mode=kubernetes",
                f"--cert-dir={system.certificates}",
                f"--database-url=sqlite:///{system.plane.directory / 'outside.db'}",
            ),
            environment={"KUBECONFIG": str(system.plane.kubeconfig)},
            ports=(port,),
        )
        one = SampleCluster(system, doctors_kubeconfig(system), registry)
        one.begin_registry()
        system.apply(manifests.text(running(one, address, port)))
        stand_for_a_pod(one, address)
        wait_until(lambda: all_available(one), what="the Deployments", seconds=PATIENCE)
        yield one
