"""The command line of each component of the control plane. Nothing here has an effect."""

import sys
from pathlib import Path
from typing import Any

from tradingbot_dev.control_plane import pki
from tradingbot_dev.control_plane.layout import Layout
from tradingbot_dev.processes.table import Program

ETCD = "etcd"
KUBE_APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"
LOCAL_PODS = "local-pods"

# Each group is stopped at once. The API server writes to etcd as it stops.
STOP_ORDER = ((LOCAL_PODS, KWOK, SCHEDULER, CONTROLLER_MANAGER), (KUBE_APISERVER,), (ETCD,))

NODE_NAME = "simulated"
RARE_COLLECTIONS = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
"""The API server of a test lives for minutes. Go collects its garbage less often, while it has
less than a gigabyte: this saves a sixth of the CPU time of its start, and takes 100 MB."""
_FAKE = "kwok.x-k8s.io/node"


def start_order(
    layout: Layout, *, forwards_services: bool = False
) -> tuple[tuple[Program, ...], ...]:
    """Return the programs in waves. The second wave starts when the API server is ready.

    `forwards_services`: whether something forwards Services, which needs their endpoints.

    The API server waits for etcd by itself. The others exit if the roles that they need do not
    exist yet.
    """
    local_pods = (_local_pods(layout),) if layout.local_pods else ()
    return (
        (_etcd(layout), _apiserver(layout)),
        (
            _controllers(layout, endpoints=forwards_services),
            _scheduler(layout),
            _kwok(layout),
            *local_pods,
        ),
    )


def _etcd(layout: Layout) -> Program:
    client = f"https://127.0.0.1:{layout.ports.etcd_client}"
    peer = f"https://127.0.0.1:{layout.ports.etcd_peer}"
    files = layout.pki
    command = [
        str(layout.assets.etcd),
        "--name=local",
        f"--data-dir={layout.directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        # Every user of this machine can reach loopback, and etcd holds every Secret.
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
    if layout.temporary:
        command.append("--unsafe-no-fsync")
    return Program(ETCD, tuple(command), ports=(layout.ports.etcd_client, layout.ports.etcd_peer))


def _apiserver(layout: Layout) -> Program:
    files = layout.pki
    command = [
        str(layout.assets.kube_apiserver),
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={layout.ports.kube_apiserver}",
        # The default reconciler refuses to publish a loopback address and ends the process.
        "--endpoint-reconciler-type=none",
        f"--etcd-servers=https://127.0.0.1:{layout.ports.etcd_client}",
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
        # Off by default and on in OpenShift: setting blockOwnerDeletion takes a permission.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        "--profiling=false",
    ]
    if layout.local_pods:
        command += [
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={files.ca}",
            f"--kubelet-client-certificate={files.certificate(pki.SERVER)}",
            f"--kubelet-client-key={files.key(pki.SERVER)}",
        ]
    if layout.audit:
        command += [
            f"--audit-policy-file={layout.audit_policy}",
            f"--audit-log-path={layout.audit_log}",
            "--audit-log-mode=blocking-strict",
        ]
    environment = RARE_COLLECTIONS if layout.temporary else {}
    ports = (layout.ports.kube_apiserver,)
    return Program(KUBE_APISERVER, tuple(command), environment, ports=ports)


def _controllers(layout: Layout, *, endpoints: bool) -> Program:
    files = layout.pki
    kubeconfig = layout.client_kubeconfig(pki.CONTROLLER_MANAGER)
    controllers: tuple[str, ...] = ()
    if not endpoints:
        # The addresses of local pods are on loopback, which endpoints may not be. Of the requests
        # of the end-to-end tests, the endpoints of Services made one in twelve.
        controllers = ("--controllers=*,-endpoints-controller,-endpointslice-controller",)
    command = (
        str(layout.assets.kube_controller_manager),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={layout.ports.controller_manager}",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={files.service_account_key}",
        f"--root-ca-file={files.ca}",
        # The defaults, 20 and 30, are for clusters with many clients.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
        *controllers,
    )
    return Program(CONTROLLER_MANAGER, command, ports=(layout.ports.controller_manager,))


def _scheduler(layout: Layout) -> Program:
    kubeconfig = layout.client_kubeconfig(pki.SCHEDULER)
    command = (
        str(layout.assets.kube_scheduler),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={layout.ports.scheduler}",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    )
    return Program(SCHEDULER, command, ports=(layout.ports.scheduler,))


def _kwok(layout: Layout) -> Program:
    command = (
        str(layout.assets.kwok),
        f"--kubeconfig={layout.kubeconfig}",
        *(f"--config={stage}" for stage in layout.stages),
        f"--manage-nodes-with-annotation-selector={_FAKE}=fake",
        "--node-lease-duration-seconds=40",
        "--cidr=10.244.0.0/16",
        "--node-ip=127.0.0.1",
        f"--server-address=127.0.0.1:{layout.ports.kwok}",
    )
    return Program(KWOK, command, ports=(layout.ports.kwok,))


def _local_pods(layout: Layout) -> Program:
    files = layout.pki
    command = (
        *(sys.executable, "-m", "tradingbot_dev.pods"),
        f"--state={layout.directory}",
        f"--node={NODE_NAME}",
        f"--server={layout.server}",
        f"--port={layout.ports.kubelet}",
        f"--ca={files.ca}",
        f"--certificate={files.certificate(pki.ADMIN)}",
        f"--key={files.key(pki.ADMIN)}",
        f"--serving-certificate={files.certificate(pki.SERVER)}",
        f"--serving-key={files.key(pki.SERVER)}",
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return Program(LOCAL_PODS, command, environment, ports=(layout.ports.kubelet,))


def node(*, pods: int) -> dict[str, Any]:
    """Return the Node that kwok simulates, with room for `pods` pods of 1 CPU and 1 GiB."""
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


def audit_policy() -> dict[str, Any]:
    """Return the policy: who did what to which object, once the request is done, without bodies.

    Without bodies the log has no content of Secrets. SubjectAccessReviews are recorded whole: they
    hold a user and a permission and nothing else.
    """
    reviews = {"group": "authorization.k8s.io", "resources": ["subjectaccessreviews"]}
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "RequestResponse", "resources": [reviews]},
            {"level": "Metadata"},
        ],
    }
