"""The kubelet, and kube-proxy for Services."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_dev.processes.table import Program

from tradingbot_node.binaries import Binaries
from tradingbot_node.host.commands import PATH
from tradingbot_node.host.netns import ENTER
from tradingbot_node.host.places import (
    DNS_SERVICE_IP,
    FIRST,
    NODE_IP,
    NODE_NAME,
    PODS,
    Place,
)

KUBELET = "kubelet"
KUBE_PROXY = "kube-proxy"


@dataclass(frozen=True)
class Kubelet:
    """The two programs and their files."""

    directory: Path
    plane: ControlPlane
    binaries: Binaries
    runtime: Path
    """The socket of containerd."""
    place: Place = FIRST

    @property
    def program(self) -> Program:
        name = f"{KUBELET}{self.place.suffix}"
        return Program(name, (*ENTER, *self._kubelet()), environment={"PATH": PATH})

    @property
    def programs(self) -> tuple[Program, ...]:
        proxy = Program(KUBE_PROXY, (*ENTER, *self._kube_proxy()), environment={"PATH": PATH})
        return (self.program, proxy)

    def prepare(self) -> None:
        """Write the configuration, and create the directories."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._resolver.write_text("")
        self._config.write_text(yaml.safe_dump(self._settings()))

    def _kubelet(self) -> tuple[str, ...]:
        return (
            str(self.binaries.kubelet),
            f"--config={self._config}",
            f"--kubeconfig={self._kubeconfig}",
            f"--root-dir={self.directory}",
            f"--cert-dir={self.directory / 'pki'}",
            f"--hostname-override={self.place.name}",
            f"--node-ip={NODE_IP}",
        )

    def _kube_proxy(self) -> tuple[str, ...]:
        return (
            str(self.binaries.kube_proxy),
            f"--kubeconfig={self.plane.client_kubeconfig(KUBE_PROXY)}",
            "--proxy-mode=nftables",
            f"--hostname-override={NODE_NAME}",
            f"--cluster-cidr={PODS}",
            "--metrics-bind-address=127.0.0.1:10249",
            "--healthz-bind-address=127.0.0.1:10256",
            # Keep the machine's settings for connections.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
            "--oom-score-adj=0",
        )

    def _settings(self) -> dict[str, object]:
        never = dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available"), "0%")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.plane.pki.ca)},
            },
            "authorization": {"mode": "Webhook"},
            "port": self.place.port,
            "healthzPort": self.place.port - 2,
            "containerRuntimeEndpoint": f"unix://{self.runtime}",
            "clusterDNS": [DNS_SERVICE_IP],
            "clusterDomain": "cluster.local",
            # The machine's name servers cannot be reached from the namespace.
            "resolvConf": str(self._resolver),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.place.cgroup}",
            # This kubelet does not limit the machine's own processes.
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "failCgroupV1": False,
            # A full disk does not evict pods. Images cannot be pulled again, so none is collected.
            "evictionHard": {**never, "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%"},
            "imageGCHighThresholdPercent": 100,
            # How soon a changed Secret or ConfigMap is in a pod. The default is a minute.
            "syncFrequency": "5s",
            "podLogsDir": str(self.directory / "log"),
            "volumePluginDir": str(self.directory / "volume-plugins"),
            "shutdownGracePeriod": "0s",
        }

    @property
    def _kubeconfig(self) -> Path:
        """Of the node's own client certificate. Another node has none, and takes that of the
        administrator: what it may do is not what it is for."""
        first = self.place is FIRST
        return self.plane.client_kubeconfig(KUBELET) if first else self.plane.kubeconfig

    @property
    def _config(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def _resolver(self) -> Path:
        return self.directory / "resolv.conf"
