"""Find the control plane's binaries: in `KUBEBUILDER_ASSETS`, in a per-user cache, or build them.

`KUBEBUILDER_ASSETS` is the ecosystem's convention: a directory with `etcd` and `kube-apiserver`.
The other binaries (kube-controller-manager, kube-scheduler, kwok together with its `stages/`) come
from there too if they exist, otherwise from the cache.

The cache is `${XDG_CACHE_HOME:-~/.cache}/tradingbot/control-plane`. It has one directory for
each Go module, named by a hash of all inputs of the build. Files in it are always complete.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tradingbot_dev.errors import ToolMissingError
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.exclusive import exclusive
from tradingbot_dev.toolchain.targets import KWOK, REQUIRED, STAGES, TARGETS, Target

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"


@dataclass(frozen=True)
class Assets:
    """The paths of the binaries, and of the files that define how kwok changes nodes and pods."""

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
        """Put each complete binary at its path. Raises LocalClusterError."""


def find_assets(
    *,
    environment: Mapping[str, str] = os.environ,
    progress: Progress | None = None,
    build: Builder | None = None,
) -> Assets:
    """Return the paths of all binaries, after building those that are missing."""
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
    # The XDG specification says to ignore a relative path.
    named = Path(environment.get("XDG_CACHE_HOME", ""))
    home = Path(environment.get("HOME") or Path.home())
    return (named if named.is_absolute() else home / ".cache") / "tradingbot" / "control-plane"


def _given(directory: Path) -> dict[str, Path]:
    absent = [name for name in REQUIRED if not os.access(directory / name, os.X_OK)]
    if absent:
        raise ToolMissingError(
            f"{ASSETS_VARIABLE} is {directory}, which lacks {' and '.join(absent)}: "
            f"correct it, or unset it to build them"
        )
    found = {
        target.binary: (directory / target.binary).resolve()
        for target in TARGETS
        if os.access(directory / target.binary, os.X_OK)
    }
    if not (directory / STAGES).is_dir():
        found.pop(KWOK.binary, None)  # kwok needs its stages
    return found


def build_missing(
    wanted: Mapping[Target, Path], cache: Path, progress: Progress, build: Builder | None = None
) -> None:
    """Build the targets that are not at their path yet, in one process at a time."""
    if build is None:
        from tradingbot_dev.toolchain import gobuild  # noqa: PLC0415 - not needed if all are cached

        build = gobuild.build
    with only_builder(cache, progress):
        # Another process may have built some or all of them while this one waited.
        missing = {target: path for target, path in wanted.items() if not path.exists()}
        if missing:
            build(missing, cache=cache, progress=progress)


@contextmanager
def only_builder(cache: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of the cache, so that nothing is built twice."""
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "lock", progress, what="another build of the same binaries"):
        yield
