"""What makes the machine a node: the kubelet, and kube-proxy for Services."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from tradingbot_dev.controlplane import ControlPlane
from tradingbot_dev.processes import Program

from tradingbot_node.binaries import Binaries
from tradingbot_node.commands import PATH
from tradingbot_node.netns import ENTER
from tradingbot_node.places import CGROUP, DNS_SERVICE_IP, NODE_IP, NODE_NAME, PODS

KUBELET = "kubelet"
KUBE_PROXY = "kube-proxy"


@dataclass(frozen=True)
class Kubelet:
    """The two programs, and their files in a folder of the node's."""

    folder: Path
    plane: ControlPlane
    binaries: Binaries
    runtime: Path
    """containerd's socket."""

    @property
    def programs(self) -> tuple[Program, ...]:
        environment = {"PATH": PATH}
        return (
            Program(KUBELET, (*ENTER, *self._kubelet()), environment=environment),
            Program(KUBE_PROXY, (*ENTER, *self._kube_proxy()), environment=environment),
        )

    def prepare(self) -> None:
        """Writes the configuration, and makes the folders that must be there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resolver.write_text("")
        self._config.write_text(yaml.safe_dump(self._settings()))

    def _kubelet(self) -> tuple[str, ...]:
        return (
            str(self.binaries.kubelet),
            f"--config={self._config}",
            f"--kubeconfig={self.plane.client_kubeconfig(KUBELET)}",
            f"--root-dir={self.folder}",
            f"--cert-dir={self.folder / 'pki'}",
            f"--hostname-override={NODE_NAME}",
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
            # What the machine has set for connections stays as it is.
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
            "containerRuntimeEndpoint": f"unix://{self.runtime}",
            "clusterDNS": [DNS_SERVICE_IP],
            "clusterDomain": "cluster.local",
            # Not the machine's: its name servers can't be reached from here.
            "resolvConf": str(self._resolver),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            # The machine's own processes are none of this kubelet's business.
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "failCgroupV1": False,
            # A full disk is the machine's matter too; images are not here twice, so none may go.
            "evictionHard": {**never, "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%"},
            "imageGCHighThresholdPercent": 100,
            # How soon a changed Secret or ConfigMap is in a pod; a minute is usual.
            "syncFrequency": "5s",
            "podLogsDir": str(self.folder / "log"),
            "volumePluginDir": str(self.folder / "volume-plugins"),
            "shutdownGracePeriod": "0s",
        }

    @property
    def _config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def _resolver(self) -> Path:
        return self.folder / "resolv.conf"
