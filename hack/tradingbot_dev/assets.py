"""Where the control plane's binaries are: `KUBEBUILDER_ASSETS`, a per-user cache, or built.

`KUBEBUILDER_ASSETS` is the ecosystem's convention: a folder with `etcd` and `kube-apiserver`.
What else is needed is taken from there if it is there (kube-controller-manager, kube-scheduler,
kwok together with its `stages/`), and from the cache otherwise.

The cache is `${XDG_CACHE_HOME:-~/.cache}/tradingbot/control-plane`. It has a folder a Go module,
named after the hash of all that decides what is built. A file in it is always a whole one.
"""

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tradingbot_dev.errors import ToolMissingError
from tradingbot_dev.exclusive import exclusive
from tradingbot_dev.progress import Progress

MODULES = Path(__file__).parents[1] / "control-plane"
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
STAGES = "stages"
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Target:
    """One binary, and the package of a pinned Go module that it is built from."""

    binary: str
    module: Path
    package: str

    @property
    def link_flags(self) -> str:
        """`-ldflags`: stripped, and knowing its version, which Kubernetes compares."""
        flags = "-s -w"
        pinned = re.search(r"\bk8s\.io/kubernetes v(\d+)\.(\d+)\.\d+", self._go_mod())
        if pinned and self.package.startswith("k8s.io/kubernetes/"):
            version = pinned[0].split()[1]
            flags += f" -X {_VERSION}.gitVersion={version}"
            flags += f" -X {_VERSION}.gitMajor={pinned[1]} -X {_VERSION}.gitMinor={pinned[2]}"
        return flags

    @property
    def key(self) -> str:
        """Names the module's folder in the cache: another pin, flag or machine, another folder."""
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
DEMANDED = ("etcd", "kube-apiserver")


@dataclass(frozen=True)
class Assets:
    """The binaries, and the files that tell kwok how nodes and pods live."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kwok: Path

    @property
    def kwok_stages(self) -> tuple[Path, ...]:
        return tuple(sorted((self.kwok.parent / STAGES).glob("*.yaml")))


class Builder(Protocol):
    """Builds the missing targets, each to its path. `gobuild.build` is the real one."""

    def __call__(self, missing: Mapping[Target, Path], *, cache: Path, progress: Progress) -> None:
        """Puts each binary, whole, at its path; raises BuildError or one of its siblings."""


def find_assets(
    *,
    environment: Mapping[str, str] = os.environ,
    progress: Progress | None = None,
    build: Builder | None = None,
) -> Assets:
    """Finds all binaries, building first what is nowhere yet."""
    given = environment.get(ASSETS_VARIABLE)
    paths: dict[str, Path] = _given(Path(given)) if given else {}
    wanted = {
        target: cache_directory(environment) / target.key / target.binary
        for target in TARGETS
        if target.binary not in paths
    }
    if any(not path.exists() for path in wanted.values()):
        build_missing(wanted, cache_directory(environment), progress or Progress(), build)
    paths |= {target.binary: path for target, path in wanted.items()}
    return Assets(**{name.replace("-", "_"): path for name, path in paths.items()})


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    # The XDG specification says to ignore a relative one.
    named = Path(environment.get("XDG_CACHE_HOME", ""))
    home = Path(environment.get("HOME") or Path.home())
    return (named if named.is_absolute() else home / ".cache") / "tradingbot" / "control-plane"


def _given(folder: Path) -> dict[str, Path]:
    absent = [name for name in DEMANDED if not os.access(folder / name, os.X_OK)]
    if absent:
        raise ToolMissingError(
            f"{ASSETS_VARIABLE} is {folder}, where there is no {' and no '.join(absent)}: "
            f"correct it, or unset it to have them built"
        )
    found = {
        target.binary: (folder / target.binary).resolve()
        for target in TARGETS
        if os.access(folder / target.binary, os.X_OK)
    }
    if not (folder / STAGES).is_dir():
        found.pop(KWOK.binary, None)  # of no use without them
    return found


def build_missing(
    wanted: Mapping[Target, Path], cache: Path, progress: Progress, build: Builder | None = None
) -> None:
    """Builds those that are not at their path yet, one process at a time."""
    if build is None:
        from tradingbot_dev import gobuild  # noqa: PLC0415 - a warm start needs none of it

        build = gobuild.build
    with only_builder(cache, progress):
        # Another builder may have made some, or all, while this one waited.
        missing = {target: path for target, path in wanted.items() if not path.exists()}
        if missing:
            build(missing, cache=cache, progress=progress)


@contextmanager
def only_builder(cache: Path, progress: Progress) -> Iterator[None]:
    """Held by one process at a time, so that nothing is built twice."""
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "lock", progress, what="another build of the same"):
        yield
