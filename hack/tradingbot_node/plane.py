"""The control plane of the node: that of `make up` in the namespace, with settings for a node."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

from tradingbot_dev.control_plane import components
from tradingbot_dev.control_plane.kubeconfig import write_kubeconfig
from tradingbot_dev.control_plane.pki import ADMIN, CLIENTS, Pki
from tradingbot_dev.control_plane.plane import ControlPlane, ensure
from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.processes.table import Program
from tradingbot_dev.toolchain.assets import Assets

from tradingbot_node.host.netns import ENTER
from tradingbot_node.host.places import API_SERVICE_IP, NO_PROXY, NODE_IP, NODE_NAME
from tradingbot_node.kubelet import KUBE_PROXY, KUBELET

FIRST_PORT = 6443
"""The usual port of the API server. In the namespace every port is free."""

_NODE_CLIENTS = {
    KUBELET: (f"system:node:{NODE_NAME}", "system:nodes"),
    KUBE_PROXY: ("system:kube-proxy", None),
}


def control_plane(directory: Path, assets: Assets) -> ControlPlane:
    """Return the control plane that is in this directory."""
    return ControlPlane(
        directory=directory,
        ports=Ports.from_base(FIRST_PORT),
        assets=assets,
        temporary=True,
        audit=True,
        host=NODE_IP,
    )


def prepare(plane: ControlPlane) -> None:
    """Create certificates and kubeconfigs, also those of the node's programs."""
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
    """Start what is not running, and wait until the API server is ready."""
    # kube-proxy forwards Services.
    waves = components.start_order(plane, forwards_services=True)
    (etcd, apiserver), (controllers, scheduler, _kwok) = waves
    apiserver = replace(apiserver, command=(*apiserver.command, *_on_a_node(plane)))
    for program in (etcd, apiserver):
        ensure(plane.table, _inside(program))
    plane.await_api(seconds=seconds)
    for program in (controllers, scheduler):
        ensure(plane.table, _inside(program))


def _on_a_node(plane: ControlPlane) -> tuple[str, ...]:
    """Return flags of the API server. They override earlier ones."""
    return (
        "--bind-address=0.0.0.0",
        # Pods reach the API server through the Service `kubernetes`, which needs an address.
        f"--advertise-address={NODE_IP}",
        "--endpoint-reconciler-type=lease",
        # For logs, exec and port-forward.
        f"--kubelet-client-certificate={plane.pki.certificate(ADMIN)}",
        f"--kubelet-client-key={plane.pki.key(ADMIN)}",
        "--kubelet-preferred-address-types=InternalIP",
        # These two add to earlier flags: a kubelet reads the Secrets of its own pods only.
        "--authorization-mode=Node",
        "--enable-admission-plugins=NodeRestriction",
    )


def _inside(program: Program) -> Program:
    """Return the program in the namespace, where its ports collide with none."""
    return replace(
        program,
        command=(*ENTER, *program.command),
        environment={**program.environment, "NO_PROXY": NO_PROXY, "no_proxy": NO_PROXY},
        ports=(),
    )
