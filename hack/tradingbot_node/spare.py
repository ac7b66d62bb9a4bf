"""A second node, to be lost: a containerd and a kubelet of its own beside those of the first one.

Both are in one network namespace, so that pods reach each other and kube-proxy serves both.

    with spare_node(node) as spare:
        spare.import_image(archive)
        spare.lose()
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.control_plane.plane import ensure
from tradingbot_dev.processes.waiting import wait_until

from tradingbot_node.cluster import START_SECONDS, Node
from tradingbot_node.containerd import Containerd
from tradingbot_node.host import cgroups
from tradingbot_node.host.places import SPARE
from tradingbot_node.kubelet import Kubelet


@dataclass(frozen=True)
class SpareNode:
    """The second node of a cluster."""

    first: Node

    @property
    def name(self) -> str:
        return SPARE.name

    @property
    def containerd(self) -> Containerd:
        binaries, plugins = self.first.binaries, self.first.network_plugins
        return Containerd(self._directory / "containerd", binaries, plugins, SPARE)

    @property
    def kubelet(self) -> Kubelet:
        directory, plane = self._directory / "kubelet", self.first.plane
        runtime = self.containerd.socket
        return Kubelet(directory, plane, self.first.binaries, runtime=runtime, place=SPARE)

    @property
    def logs(self) -> Path:
        """The directory of the logs of its pods, which has one for each container."""
        return self._directory / "kubelet" / "log"

    def start(self, *, seconds: float = START_SECONDS) -> None:
        """Start it, and wait until it is ready for pods."""
        table = self.first.plane.table
        cgroups.create_spare()
        self.containerd.prepare()
        self.kubelet.prepare()
        ensure(table, self.containerd.program)
        wait_until(self.containerd.ready, what="the second containerd", seconds=seconds)
        self.containerd.import_pause()
        ensure(table, self.kubelet.program)
        wait_until(self._ready, what="the second node", seconds=seconds)

    def lose(self) -> None:
        """Let the kubelet stand still: nothing reaches the node any more, and its pods go on."""
        self._send(signal.SIGSTOP)

    def find(self) -> None:
        """Let the kubelet go on."""
        self._send(signal.SIGCONT)

    def remove(self) -> None:
        """End the node. Its pods must have ended."""
        self.find()
        self.first.kubectl("delete", "node", self.name, "--ignore-not-found")
        self.first.plane.table.stop(self.kubelet.program.name, self.containerd.name)

    def _send(self, number: signal.Signals) -> None:
        kubelet = self.first.plane.table.running(self.kubelet.program.name)
        if kubelet is not None:
            kubelet.send(number)

    def _ready(self) -> bool:
        done = self.first.kubectl("get", "node", self.name, "--output=json")
        found = json.loads(done.stdout)["status"]["conditions"] if done.returncode == 0 else []
        return any(each["type"] == "Ready" and each["status"] == "True" for each in found)

    @property
    def _directory(self) -> Path:
        return self.first.directory / "spare"


@contextmanager
def spare_node(node: Node) -> Iterator[SpareNode]:
    """Run a second node beside `node`."""
    spare = SpareNode(node)
    spare.start()
    try:
        yield spare
    finally:
        spare.remove()
