"""Helm, which nothing but the tests of `charts/` needs: so `make up` does not build it.

It comes from `KUBEBUILDER_ASSETS`, if it is there, else from the cache of the control plane's
binaries, and is built into it if need be.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from tradingbot_dev.assets import ASSETS_VARIABLE, Builder, Target, build_missing, cache_directory
from tradingbot_dev.progress import Progress

HELM = Target("helm", Path(__file__).parents[1] / "helm", "helm.sh/helm/v4/cmd/helm")
TITLE = "Helm, once, for the tests, 2 to 3 minutes on 2 cores"


def find_helm(
    *,
    environment: Mapping[str, str] = os.environ,
    progress: Progress | None = None,
    build: Builder | None = None,
) -> Path:
    """The path of Helm, which is built first if it is nowhere yet. Raises LocalClusterError."""
    given = Path(environment.get(ASSETS_VARIABLE, "")) / HELM.binary
    if given.is_absolute() and os.access(given, os.X_OK):
        return given
    cache = cache_directory(environment)
    path = cache / HELM.key / HELM.binary
    if not path.exists():
        build_missing({HELM: path}, cache, progress or Progress(), build or _build)
    return path


def _build(missing: Mapping[Target, Path], *, cache: Path, progress: Progress) -> None:
    from tradingbot_dev import gobuild  # noqa: PLC0415 - not needed once it is built

    gobuild.build(missing, cache=cache, progress=progress, title=TITLE)
