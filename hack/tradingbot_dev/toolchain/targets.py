"""The binaries of the control plane, and the pinned Go modules that they are built from."""

import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parents[2] / "control-plane"
STAGES = "stages"
"""The directory beside kwok with the files that define how nodes and pods change."""
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Target:
    """One binary, and the package of a pinned Go module that it is built from."""

    binary: str
    module: Path
    package: str

    @property
    def link_flags(self) -> str:
        """Return the `-ldflags`: no symbols, and the version, which Kubernetes compares."""
        flags = "-s -w"
        pinned = re.search(r"\bk8s\.io/kubernetes v(\d+)\.(\d+)\.\d+", self._go_mod())
        if pinned and self.package.startswith("k8s.io/kubernetes/"):
            version = pinned[0].split()[1]
            flags += f" -X {_VERSION}.gitVersion={version}"
            flags += f" -X {_VERSION}.gitMajor={pinned[1]} -X {_VERSION}.gitMinor={pinned[2]}"
        return flags

    @property
    def key(self) -> str:
        """Return the name of the module's directory in the cache.

        It depends on the pinned versions, the flags and the platform.
        """
        decisive = [self._go_mod(), (self.module / "go.sum").read_text(), self.link_flags]
        decisive += [sys.platform, platform.machine()]
        digest = hashlib.sha256("\0".join(decisive).encode()).hexdigest()
        return f"{self.module.name}-{digest[:16]}"

    def _go_mod(self) -> str:
        return (self.module / "go.mod").read_text()


_KUBERNETES = MODULES / "kubernetes"
ETCD = Target("etcd", MODULES / "etcd", "go.etcd.io/etcd/server/v3")
KWOK = Target("kwok", MODULES / "kwok", "sigs.k8s.io/kwok/cmd/kwok")
TARGETS = (
    ETCD,
    Target("kube-apiserver", _KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver"),
    Target("kube-controller-manager", _KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Target("kube-scheduler", _KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler"),
    KWOK,
)
REQUIRED = ("etcd", "kube-apiserver")
"""The binaries that a directory in `KUBEBUILDER_ASSETS` must have."""
