"""How each part of the control plane is run: its command line, and nothing that happens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tradingbot_dev import pki
from tradingbot_dev.processes import Program

if TYPE_CHECKING:
    from pathlib import Path

    from tradingbot_dev.controlplane import ControlPlane

ETCD = "etcd"
KUBE_APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"

# Those in one line are stopped at the same time. The API server flushes to etcd as it stops.
STOP_ORDER = ((KWOK, SCHEDULER, CONTROLLER_MANAGER), (KUBE_APISERVER,), (ETCD,))

NODE_NAME = "simulated"
_FAKE = "kwok.x-k8s.io/node"


def start_order(plane: ControlPlane) -> tuple[tuple[Program, ...], ...]:
    """Those in one wave start together, and the next wave when the API server is ready.

    It waits for etcd by itself. The others end at once if the roles they need are not made yet.
    """
    return (
        (_etcd(plane), _apiserver(plane)),
        (_controllers(plane), _scheduler(plane), _kwok(plane)),
    )


def _etcd(plane: ControlPlane) -> Program:
    client = f"https://127.0.0.1:{plane.ports.etcd_client}"
    peer = f"https://127.0.0.1:{plane.ports.etcd_peer}"
    files = plane.pki
    command = [
        str(plane.assets.etcd),
        "--name=local",
        f"--data-dir={plane.directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        # Any user of this machine reaches loopback, and etcd holds every Secret.
        "--client-cert-auth",
        f"--trusted-ca-file={files.ca}",
        f"--cert-file={files.certificate(pki.ETCD)}",
        f"--key-file={files.key(pki.ETCD)}",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={files.ca}",
        f"--peer-cert-file={files.certificate(pki.ETCD)}",
        f"--peer-key-file={files.key(pki.ETCD)}",
        "--auto-compaction-retention=1h",
        "--log-level=warn",
    ]
    if plane.temporary:
        command.append("--unsafe-no-fsync")
    return Program(ETCD, tuple(command), ports=(plane.ports.etcd_client, plane.ports.etcd_peer))


def _apiserver(plane: ControlPlane) -> Program:
    files = plane.pki
    command = [
        str(plane.assets.kube_apiserver),
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={plane.ports.kube_apiserver}",
        # The default one refuses to publish a loopback address, and ends the process.
        "--endpoint-reconciler-type=none",
        f"--etcd-servers=https://127.0.0.1:{plane.ports.etcd_client}",
        f"--etcd-cafile={files.ca}",
        f"--etcd-certfile={files.certificate(pki.SERVER)}",
        f"--etcd-keyfile={files.key(pki.SERVER)}",
        f"--tls-cert-file={files.certificate(pki.SERVER)}",
        f"--tls-private-key-file={files.key(pki.SERVER)}",
        f"--client-ca-file={files.ca}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={files.service_account_public_key}",
        f"--service-account-signing-key-file={files.service_account_key}",
        # Room for every bot's Service: a /24 is full at 250.
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        # Off by default, but on in OpenShift: what sets blockOwnerDeletion must have the right to.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        "--profiling=false",
    ]
    if plane.audit:
        command += [
            f"--audit-policy-file={audit_policy(plane)}",
            f"--audit-log-path={audit_log(plane)}",
            "--audit-log-mode=blocking-strict",
        ]
    return Program(KUBE_APISERVER, tuple(command), ports=(plane.ports.kube_apiserver,))


def _controllers(plane: ControlPlane) -> Program:
    files = plane.pki
    kubeconfig = plane.client_kubeconfig(pki.CONTROLLER_MANAGER)
    command = (
        str(plane.assets.kube_controller_manager),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={plane.ports.controller_manager}",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={files.service_account_key}",
        f"--root-ca-file={files.ca}",
        # The defaults, 20 and 30, are for clusters that many clients share.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    )
    return Program(CONTROLLER_MANAGER, command, ports=(plane.ports.controller_manager,))


def _scheduler(plane: ControlPlane) -> Program:
    kubeconfig = plane.client_kubeconfig(pki.SCHEDULER)
    command = (
        str(plane.assets.kube_scheduler),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={plane.ports.scheduler}",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    )
    return Program(SCHEDULER, command, ports=(plane.ports.scheduler,))


def _kwok(plane: ControlPlane) -> Program:
    command = (
        str(plane.assets.kwok),
        f"--kubeconfig={plane.kubeconfig}",
        *(f"--config={stage}" for stage in plane.assets.kwok_stages),
        f"--manage-nodes-with-annotation-selector={_FAKE}=fake",
        "--node-lease-duration-seconds=40",
        "--cidr=10.244.0.0/16",
        "--node-ip=127.0.0.1",
        f"--server-address=127.0.0.1:{plane.ports.kwok}",
    )
    return Program(KWOK, command, ports=(plane.ports.kwok,))


def node(*, pods: int) -> dict[str, Any]:
    """The Node object that kwok animates, with room for so many pods of up to 1 CPU and 1 GiB."""
    room = {"cpu": str(pods), "memory": f"{pods}Gi", "pods": str(pods)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE_NAME,
            "annotations": {_FAKE: "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {
                "kubernetes.io/hostname": NODE_NAME,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "type": "kwok",
            },
        },
        "status": {"capacity": room, "allocatable": room},
    }


def audit_policy(plane: ControlPlane) -> Path:
    return plane.directory / "audit-policy.json"


def audit_log(plane: ControlPlane) -> Path:
    return plane.table.log / "audit.log"


def write_audit_policy(plane: ControlPlane) -> None:
    """Who did what to which object, once it is done; no bodies, so no Secret's content.

    Except for questions of who may do what: they hold no more than that.
    """
    if not plane.audit:
        return
    questions = {"group": "authorization.k8s.io", "resources": ["subjectaccessreviews"]}
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "RequestResponse", "resources": [questions]},
            {"level": "Metadata"},
        ],
    }
    audit_policy(plane).write_text(json.dumps(policy))
