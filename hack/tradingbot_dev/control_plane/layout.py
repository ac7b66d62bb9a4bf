"""What the command lines of one control plane are made from: its directory, ports and binaries."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from tradingbot_dev.control_plane.pki import ADMIN, Pki
from tradingbot_dev.control_plane.ports import LOOPBACK, Ports
from tradingbot_dev.pods.images import without_local_pods
from tradingbot_dev.toolchain.assets import Assets


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The directory of a control plane with the files in it, its ports, and its binaries."""

    directory: Path
    ports: Ports
    assets: Assets
    temporary: bool = False
    """Whether the state is removed at the end, so that etcd need not sync it to the disk."""
    audit: bool = False
    """Whether the API server writes an audit log."""
    local_pods: bool = False
    """Whether pods of the images in `pods.images` run as processes."""
    host: str = LOOPBACK
    """The address of the API server. Another one must be in its certificate: see `Pki`."""

    @property
    def pki(self) -> Pki:
        return Pki(self.directory / "pki")

    @property
    def server(self) -> str:
        return f"https://{self.host}:{self.ports.kube_apiserver}"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the administrator."""
        return self.directory / "kubeconfig"

    def client_kubeconfig(self, client: str) -> Path:
        """Return the path of the kubeconfig of a client in the PKI."""
        if client == ADMIN:
            return self.kubeconfig
        return self.directory / "kubeconfigs" / f"{client}.yaml"

    @property
    def stages(self) -> tuple[Path, ...]:
        """The files that define how kwok changes nodes and pods."""
        if not self.local_pods:
            return self.assets.kwok_stages
        # Another content has another path, so that kwok is started again.
        texts = self.stage_texts
        digest = hashlib.sha256("".join(texts.values()).encode()).hexdigest()[:16]
        return tuple(self.directory / "kwok-stages" / digest / name for name in texts)

    @cached_property
    def stage_texts(self) -> dict[str, str]:
        """The content of each stage file of a control plane with local pods."""
        return {
            path.name: json.dumps(without_local_pods(yaml.safe_load(path.read_text())))
            for path in self.assets.kwok_stages
        }

    @property
    def run(self) -> Path:
        """The directory of the pid files."""
        return self.directory / "run"

    @property
    def log(self) -> Path:
        """The directory of the logs."""
        return self.directory / "log"

    @property
    def audit_policy(self) -> Path:
        return self.directory / "audit-policy.json"

    @property
    def audit_log(self) -> Path:
        return self.log / "audit.log"
