"""A real node: containerd, kubelet, kube-proxy, DNS, cert-manager. Pods run on it.

    with running_node() as node:
        node.kubectl("apply", "-k", "config/default")

Everything is in a network namespace and in one directory, and nothing of it is left afterwards. A
machine has one node at a time.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tradingbot_dev.control_plane.plane import ControlPlane, ensure
from tradingbot_dev.processes.guard import Guard
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product import manifests
from tradingbot_dev.progress import Progress, duration
from tradingbot_dev.toolchain.assets import Assets, find_assets

from tradingbot_node import addons, plane
from tradingbot_node.binaries import Binaries, find_binaries
from tradingbot_node.containerd import CONTAINERD, PAUSE, Containerd
from tradingbot_node.host import cgroups, leftovers, netns
from tradingbot_node.host.places import DIRECTORY, NODE_NAME
from tradingbot_node.host.prerequisites import network_plugins
from tradingbot_node.kubelet import KUBELET, Kubelet

START_SECONDS = 120.0
ADDON_SECONDS = 180
KEEP_VARIABLE = "TRADINGBOT_NODE_KEEP"
"""If set, the node outlives the run and the next run uses it, for work on the tests.
`python -m tradingbot_node down` removes it."""


@dataclass(frozen=True)
class Node:
    """The node and its control plane. Every method may be called in any state."""

    directory: Path
    assets: Assets
    binaries: Binaries
    network_plugins: Path

    @property
    def plane(self) -> ControlPlane:
        return plane.control_plane(leftovers.PLANE, self.assets)

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the administrator."""
        return self.plane.kubeconfig

    @property
    def containerd(self) -> Containerd:
        return Containerd(self.directory / "containerd", self.binaries, self.network_plugins)

    @property
    def kubelet(self) -> Kubelet:
        directory = self.directory / "kubelet"
        return Kubelet(directory, self.plane, self.binaries, runtime=self.containerd.socket)

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator; with `check`, raises CommandFailedError."""
        return self.plane.kubectl(*arguments, stdin=stdin, check=check)

    def ctr(self, *arguments: str) -> str:
        """Run `ctr`, the command line of containerd, on the pods' images and containers."""
        return self.containerd.ctr(*arguments)

    def start(self, *, seconds: float = START_SECONDS) -> None:
        """Start what is not running, and wait until the node is ready for pods."""
        netns.create()
        cgroups.create()
        plane.prepare(self.plane)
        self.containerd.prepare()
        self.kubelet.prepare()
        began = datetime.now(UTC)
        table = self.plane.table
        ensure(table, self.containerd.program)
        plane.start(self.plane, seconds=seconds)
        wait_until(
            self.containerd.ready,
            what=CONTAINERD,
            seconds=seconds,
            table=table,
            needs=(CONTAINERD,),
        )
        if PAUSE not in self.ctr("images", "list", "--quiet").split():
            self.containerd.import_pause()
        started = [ensure(table, program) for program in self.kubelet.programs]
        wait_until(
            lambda: self._ready(since=began if any(started) else None),
            what="the node",
            seconds=seconds,
            table=table,
            needs=(KUBELET, CONTAINERD),
        )

    def install_addons(self, *, seconds: int = ADDON_SECONDS) -> None:
        """Install DNS, volumes and cert-manager once, and wait until they are available."""
        done = self.directory / "addons-installed"
        if done.exists():
            return
        addons.import_images(self.containerd, self.binaries, directory=self.directory)
        addons.install(self._apply, self.binaries, volumes=self.directory / "volumes")
        for namespace, names in addons.DEPLOYMENTS.items():
            self.kubectl(
                *("wait", "--for=condition=Available", f"--timeout={seconds}s"),
                *("--namespace", namespace),
                *(f"deployment/{name}" for name in names),
                check=True,
            )
        # The API server trusts cert-manager's webhook some seconds after it is available.
        wait_until(self._takes_issuers, what="cert-manager", seconds=seconds)
        done.touch()

    def stop(self) -> None:
        """End every process at once and keep the files, as when a machine loses power."""
        leftovers.end_everything()
        # A restart of a machine removes these.
        shutil.rmtree(self.directory / "containerd" / "state", ignore_errors=True)

    def _takes_issuers(self) -> bool:
        issuer = manifests.text([addons.ISSUER])
        done = self.kubectl("create", "--dry-run=server", "--filename", "-", stdin=issuer)
        return done.returncode == 0

    def _apply(self, text: str) -> None:
        self.kubectl("apply", "--server-side", "--filename", "-", stdin=text, check=True)

    def _ready(self, *, since: datetime | None) -> bool:
        """Return whether the node has reported Ready since `since`: an earlier report is stored."""
        lease = self._object(f"lease/{NODE_NAME}", "--namespace=kube-node-lease")
        renewed = lease.get("spec", {}).get("renewTime")
        if renewed is None or (since is not None and datetime.fromisoformat(renewed) < since):
            return False
        conditions = self._object(f"node/{NODE_NAME}").get("status", {}).get("conditions", [])
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in conditions
        )

    def _object(self, *what: str) -> dict[str, Any]:
        """Return an object, or {} if it or the API server does not answer."""
        done = self.kubectl("get", *what, "--output=json")
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


def present_node(*, progress: Progress | None = None) -> Node:
    """Return the machine's only node, whether it runs or not."""
    return Node(
        directory=DIRECTORY,
        assets=find_assets(progress=progress),
        binaries=find_binaries(progress=progress),
        network_plugins=network_plugins(),
    )


@contextmanager
def running_node(*, progress: Progress | None = None) -> Iterator[Node]:
    """Run a node with its add-ons. Nothing of it is left, even after a SIGKILL."""
    shown = progress or Progress()
    with leftovers.only_one(shown):
        node = present_node(progress=shown)
        if os.environ.get(KEEP_VARIABLE):
            bring_up(node, shown)
            yield node
            return
        leftovers.remove()
        guard = Guard(run=DIRECTORY, directory=DIRECTORY, module=leftovers.__name__)
        try:
            bring_up(node, shown)
            yield node
        finally:
            guard.close()


def bring_up(node: Node, progress: Progress) -> None:
    """Start the node, install the add-ons, and report how long that took."""
    began = time.monotonic()
    progress.update("starting the node")
    node.start()
    ready = time.monotonic()
    progress.update("installing DNS and cert-manager")
    node.install_addons()
    spent = duration(time.monotonic() - ready)
    progress.step(f"node ready in {duration(ready - began)}, DNS and cert-manager {spent} later")
