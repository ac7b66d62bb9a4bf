"""The programs of a node beside the control plane: pinned Go modules, built once.

They are in the same cache as the control plane's binaries. `make up` needs and builds none of them.
"""

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain import gobuild
from tradingbot_dev.toolchain.assets import build_missing, cache_directory
from tradingbot_dev.toolchain.gotoolchain import find_go
from tradingbot_dev.toolchain.targets import MODULES, Target

NODE = MODULES.parent / "node"
TITLE = "the programs of a node, once, 6 to 12 minutes on 2 cores"
_CONTAINERD = "github.com/containerd/containerd/v2/cmd"
_CERT_MANAGER = "github.com/cert-manager/cert-manager"
_CRDS = "cert-manager-crds.yaml"


@dataclass(frozen=True)
class OwnTarget(Target):
    """A binary whose main package is in this repository, so its source is part of the cache key."""

    @property
    def key(self) -> str:
        digest = hashlib.sha256(super().key.encode())
        for source in sorted(self.module.rglob("*.go")):
            digest.update(source.read_bytes())
        return f"{self.module.name}-{digest.hexdigest()[:16]}"


def _cert_manager(command: str) -> Target:
    package = f"{_CERT_MANAGER}/cmd/{command}"
    return Target(f"cert-manager-{command}", NODE / "cert-manager", package)


TARGETS = (
    Target("containerd", NODE / "containerd", f"{_CONTAINERD}/containerd"),
    # containerd expects its shim beside itself.
    Target(
        "containerd-shim-runc-v2", NODE / "containerd", f"{_CONTAINERD}/containerd-shim-runc-v2"
    ),
    Target("ctr", NODE / "containerd", f"{_CONTAINERD}/ctr"),
    Target("kubelet", MODULES / "kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
    Target("kube-proxy", MODULES / "kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
    OwnTarget("pause", NODE / "containerd", "./pause"),
    OwnTarget("coredns", NODE / "coredns", "."),
    _cert_manager("controller"),
    _cert_manager("cainjector"),
    _cert_manager("webhook"),
)


@dataclass(frozen=True)
class Binaries:
    """The paths of the programs."""

    containerd: Path
    containerd_shim_runc_v2: Path
    ctr: Path
    kubelet: Path
    kube_proxy: Path
    pause: Path
    coredns: Path
    cert_manager_controller: Path
    cert_manager_cainjector: Path
    cert_manager_webhook: Path

    @property
    def cert_manager_crds(self) -> Path:
        """The custom resource definitions of cert-manager, from its Go module."""
        return self.cert_manager_controller.with_name(_CRDS)


def find_binaries(
    *, environment: Mapping[str, str] = os.environ, progress: Progress | None = None
) -> Binaries:
    """Return all paths, after building those that are missing. Raises LocalClusterError."""
    cache, shown = cache_directory(environment), progress or Progress()
    wanted = {target: cache / target.key / target.binary for target in TARGETS}
    if any(not path.exists() for path in wanted.values()):
        build_missing(wanted, cache, shown, functools.partial(gobuild.build, title=TITLE))
    paths = {target.binary.replace("-", "_"): path for target, path in wanted.items()}
    binaries = Binaries(**paths)
    if not binaries.cert_manager_crds.exists():
        _copy_crds(binaries.cert_manager_crds, cache, shown)
    return binaries


def _copy_crds(path: Path, cache: Path, progress: Progress) -> None:
    """Copy the CRDs into the cache, so that a start does not need Go's module cache."""
    module = NODE / "cert-manager"
    go = find_go({module}, cache=cache, progress=progress)
    home = Path(go.run("list", "-m", "-f", "{{.Dir}}", _CERT_MANAGER, directory=module))
    texts = [source.read_text() for source in sorted((home / "deploy" / "crds").glob("*.yaml"))]
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text("---\n".join(_without_templates(text) for text in texts))
    draft.replace(path)


def _without_templates(text: str) -> str:
    """Remove the lines that a Helm chart fills in: the files are also part of one."""
    return "".join(line for line in text.splitlines(keepends=True) if "{{" not in line)
