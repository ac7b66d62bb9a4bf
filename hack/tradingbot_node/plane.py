"""The node's control plane: the one of `make up`, inside the namespace, with what a node needs."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

from tradingbot_dev import components
from tradingbot_dev.assets import Assets
from tradingbot_dev.controlplane import ControlPlane, ensure
from tradingbot_dev.kubeconfig import write_kubeconfig
from tradingbot_dev.pki import ADMIN, CLIENTS, Pki
from tradingbot_dev.ports import Ports
from tradingbot_dev.processes import Program

from tradingbot_node.kubelet import KUBE_PROXY, KUBELET
from tradingbot_node.netns import ENTER
from tradingbot_node.places import API_SERVICE_IP, NO_PROXY, NODE_IP, NODE_NAME

FIRST_PORT = 6443
"""Its usual one, for the API server. In a namespace of one's own every port is free."""

_NODE_CLIENTS = {
    KUBELET: (f"system:node:{NODE_NAME}", "system:nodes"),
    KUBE_PROXY: ("system:kube-proxy", None),
}


def control_plane(folder: Path, assets: Assets) -> ControlPlane:
    """The control plane that is kept in this folder."""
    return ControlPlane(
        directory=folder,
        ports=Ports.from_base(FIRST_PORT),
        assets=assets,
        temporary=True,
        audit=True,
        host=NODE_IP,
    )


def prepare(plane: ControlPlane) -> None:
    """Makes certificates and kubeconfigs, those of the node's programs too."""
    pki = Pki(
        plane.pki.directory,
        addresses=(NODE_IP, API_SERVICE_IP),
        clients={**CLIENTS, **_NODE_CLIENTS},
    )
    plane.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    pki.ensure(now=dt.datetime.now(dt.UTC))
    plane.prepare()
    for client in _NODE_CLIENTS:
        write_kubeconfig(
            plane.client_kubeconfig(client),
            server=plane.server,
            ca=pki.ca,
            certificate=pki.certificate(client),
            key=pki.key(client),
            user=client,
        )


def start(plane: ControlPlane, *, seconds: float) -> None:
    """Starts what is not running, and returns when the API server is ready."""
    (etcd, apiserver), (controllers, scheduler, _kwok) = components.start_order(plane)
    apiserver = replace(apiserver, command=(*apiserver.command, *_on_a_node(plane)))
    for program in (etcd, apiserver):
        ensure(plane.table, _inside(program))
    plane.await_api(seconds=seconds)
    for program in (controllers, scheduler):
        ensure(plane.table, _inside(program))


def _on_a_node(plane: ControlPlane) -> tuple[str, ...]:
    """Flags of the API server. Where one is there already, the later one counts."""
    return (
        "--bind-address=0.0.0.0",
        # Pods reach it through the Service `kubernetes`, which needs an address for that.
        f"--advertise-address={NODE_IP}",
        "--endpoint-reconciler-type=lease",
        # For logs, exec and port-forward.
        f"--kubelet-client-certificate={plane.pki.certificate(ADMIN)}",
        f"--kubelet-client-key={plane.pki.key(ADMIN)}",
        "--kubelet-preferred-address-types=InternalIP",
        # These two add to what is there: a kubelet reads the Secrets of its own pods only.
        "--authorization-mode=Node",
        "--enable-admission-plugins=NodeRestriction",
    )


def _inside(program: Program) -> Program:
    """The same in the namespace, where its ports are in nobody's way."""
    return replace(
        program,
        command=(*ENTER, *program.command),
        environment={**program.environment, "NO_PROXY": NO_PROXY, "no_proxy": NO_PROXY},
        ports=(),
    )
