"""What runs the pods' containers: containerd with runc, in a folder of the node's."""

from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError
from tradingbot_dev.processes import Program

from tradingbot_node.archive import write_image
from tradingbot_node.binaries import Binaries
from tradingbot_node.commands import PATH, run
from tradingbot_node.netns import ENTER
from tradingbot_node.places import NO_PROXY, PODS

CONTAINERD = "containerd"
PAUSE = "localhost/pause:node"
_CRI = ("--namespace", "k8s.io")

_CONFIG = """\
version = 3
root = "{folder}/root"
state = "{folder}/state"

[grpc]
address = "{socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
# Where this machine's own root may not lower a score (in many containers), runc would die of it.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{folder}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
Root = "{folder}/state/runc"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

[plugins."io.containerd.shim.v1.manager"]
socket_dir = "{sockets}"

# It would listen beside that of another containerd.
[plugins."io.containerd.nri.v1.nri"]
disable = true
"""

# Every pod has a cable of its own to the node, which routes between them. So answers pass the
# rules that turned a Service's address to a pod's, which with a bridge takes a kernel module.
_NETWORK = """\
{{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {{
      "type": "ptp",
      "ipam": {{
        "type": "host-local",
        "dataDir": "{folder}/addresses",
        "ranges": [[{{"subnet": "{pods}"}}]],
        "routes": [{{"dst": "0.0.0.0/0"}}]
      }}
    }}
  ]
}}
"""


@dataclass(frozen=True)
class Containerd:
    """One containerd: its folder, its programs."""

    folder: Path
    binaries: Binaries
    network_plugins: Path

    @property
    def socket(self) -> Path:
        return self.folder / "state" / "containerd.sock"

    @property
    def program(self) -> Program:
        command = (*ENTER, str(self.binaries.containerd), f"--config={self._config}")
        return Program(CONTAINERD, command, environment={"PATH": PATH, "NO_PROXY": NO_PROXY})

    def prepare(self) -> None:
        """Writes its configuration and that of the pods' network."""
        (self.folder / "cni").mkdir(parents=True, exist_ok=True)
        self._config.write_text(
            _CONFIG.format(
                folder=self.folder,
                socket=self.socket,
                # A socket's whole path may have 107 characters, and its name has 64.
                sockets=self.folder.parent / "s",
                pause=PAUSE,
                plugins=self.network_plugins,
            )
        )
        network = _NETWORK.format(folder=self.folder, pods=PODS)
        (self.folder / "cni" / "pods.conflist").write_text(network)

    def ready(self) -> bool:
        """Whether it answers."""
        return self.socket.is_socket() and self._answers()

    def ctr(self, *arguments: str) -> str:
        """What containerd's own command line says, in the kubelet's namespace."""
        return run(str(self.binaries.ctr), f"--address={self.socket}", *_CRI, *arguments)

    def import_image(self, archive: Path) -> None:
        """Takes up the images of an archive, by the names that stand in it."""
        self.ctr("images", "import", str(archive))

    def import_pause(self) -> None:
        """The image that holds each pod's namespaces."""
        archive = self.folder / "pause.tar"
        write_image(archive, name=PAUSE, programs={"pause": self.binaries.pause})
        self.import_image(archive)
        archive.unlink()

    @property
    def _config(self) -> Path:
        return self.folder / "config.toml"

    def _answers(self) -> bool:
        try:
            self.ctr("version")
        except CommandFailedError:
            return False
        return True
