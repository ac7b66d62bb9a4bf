"""containerd with runc, which runs the containers of the pods."""

from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError
from tradingbot_dev.processes.table import Program

from tradingbot_node.binaries import Binaries
from tradingbot_node.host.commands import PATH, run
from tradingbot_node.host.netns import ENTER
from tradingbot_node.host.places import FIRST, NO_PROXY, Place
from tradingbot_node.images.archive import write_image

CONTAINERD = "containerd"
PAUSE = "localhost/pause:node"
_CRI = ("--namespace", "k8s.io")

_CONFIG = """\
version = 3
root = "{directory}/root"
state = "{directory}/state"

[grpc]
address = "{socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
# runc fails where root may not lower a score, as in many containers.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{directory}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
Root = "{directory}/state/runc"

[plugins."io.containerd.internal.v1.opt"]
path = "{directory}/opt"

[plugins."io.containerd.shim.v1.manager"]
socket_dir = "{sockets}"

# Its socket would collide with that of another containerd.
[plugins."io.containerd.nri.v1.nri"]
disable = true
"""

# Every pod has its own veth pair, and the node routes between them. So answers pass the rules that
# translate Service addresses; with a bridge this would need a kernel module.
_NETWORK = """\
{{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {{
      "type": "ptp",
      "ipam": {{
        "type": "host-local",
        "dataDir": "{directory}/addresses",
        "ranges": [[{{"subnet": "{pods}"}}]],
        "routes": [{{"dst": "0.0.0.0/0"}}]
      }}
    }}
  ]
}}
"""


@dataclass(frozen=True)
class Containerd:
    """One containerd: its directory and programs."""

    directory: Path
    binaries: Binaries
    network_plugins: Path
    place: Place = FIRST

    @property
    def name(self) -> str:
        """The name of the program."""
        return f"{CONTAINERD}{self.place.suffix}"

    @property
    def socket(self) -> Path:
        return self.directory / "state" / "containerd.sock"

    @property
    def program(self) -> Program:
        command = (*ENTER, str(self.binaries.containerd), f"--config={self._config}")
        return Program(self.name, command, environment={"PATH": PATH, "NO_PROXY": NO_PROXY})

    def prepare(self) -> None:
        """Write the configuration of containerd and of the pods' network."""
        (self.directory / "cni").mkdir(parents=True, exist_ok=True)
        self._config.write_text(
            _CONFIG.format(
                directory=self.directory,
                socket=self.socket,
                # The path of a socket is limited to 107 characters, and the name has 64.
                sockets=self.directory.parent / "s",
                pause=PAUSE,
                plugins=self.network_plugins,
            )
        )
        network = _NETWORK.format(directory=self.directory, pods=self.place.pods)
        (self.directory / "cni" / "pods.conflist").write_text(network)

    def ready(self) -> bool:
        """Return whether containerd answers."""
        return self.socket.is_socket() and self._answers()

    def ctr(self, *arguments: str) -> str:
        """Return the output of `ctr` in the kubelet's namespace."""
        return run(str(self.binaries.ctr), f"--address={self.socket}", *_CRI, *arguments)

    def import_image(self, archive: Path) -> None:
        """Import the images of an archive under the names in it."""
        self.ctr("images", "import", str(archive))

    def import_pause(self) -> None:
        """Import the image of the container that holds each pod's namespaces."""
        archive = self.directory / "pause.tar"
        write_image(archive, name=PAUSE, programs={"pause": self.binaries.pause})
        self.import_image(archive)
        archive.unlink()

    @property
    def _config(self) -> Path:
        return self.directory / "config.toml"

    def _answers(self) -> bool:
        try:
            self.ctr("version")
        except CommandFailedError:
            return False
        return True
