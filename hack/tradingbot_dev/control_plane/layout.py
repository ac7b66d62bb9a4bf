"""What the command lines of one control plane are made from: its directory, ports and binaries."""

from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.control_plane.pki import ADMIN, Pki
from tradingbot_dev.control_plane.ports import LOOPBACK, Ports
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
