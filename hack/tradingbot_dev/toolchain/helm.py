"""Find Helm. Only the tests of `charts/` need it, so `make up` does not build it.

It comes from `KUBEBUILDER_ASSETS` if it exists there, otherwise from the cache of the control
plane's binaries, and is built first if it is missing.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.assets import (
    ASSETS_VARIABLE,
    Builder,
    build_missing,
    cache_directory,
)
from tradingbot_dev.toolchain.targets import Target

HELM = Target("helm", Path(__file__).parents[2] / "helm", "helm.sh/helm/v4/cmd/helm")
TITLE = "Helm, once, for the tests, 2 to 3 minutes on 2 cores"


def find_helm(
    *,
    environment: Mapping[str, str] = os.environ,
    progress: Progress | None = None,
    build: Builder | None = None,
) -> Path:
    """Return the path of Helm, after building it if it is missing. Raises LocalClusterError."""
    given = Path(environment.get(ASSETS_VARIABLE, "")) / HELM.binary
    if given.is_absolute() and os.access(given, os.X_OK):
        return given
    cache = cache_directory(environment)
    path = cache / HELM.key / HELM.binary
    if not path.exists():
        build_missing({HELM: path}, cache, progress or Progress(), build or _build)
    return path


def _build(missing: Mapping[Target, Path], *, cache: Path, progress: Progress) -> None:
    from tradingbot_dev.toolchain import gobuild  # noqa: PLC0415 - not needed if it is cached

    gobuild.build(missing, cache=cache, progress=progress, title=TITLE)
