"""Build the Go programs of `peers/go` once, into the cache of the control plane's binaries."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain import gobuild
from tradingbot_dev.toolchain.assets import cache_directory
from tradingbot_dev.toolchain.gotoolchain import find_go
from tradingbot_dev.toolchain.targets import Target

MODULE = Path(__file__).parents[1] / "peers" / "go"
PINNED = ("sigs.k8s.io/controller-runtime", "k8s.io/apimachinery")


@dataclass(frozen=True)
class SourceTarget(Target):
    """A binary whose source is in this repository, so its source is part of the cache key."""

    @property
    def key(self) -> str:
        digest = hashlib.sha256(super().key.encode())
        for source in sorted(self.module.rglob("*.go")):
            digest.update(source.read_bytes())
        return f"bench-{self.module.name}-{digest.hexdigest()[:16]}"


def build(names: Sequence[str], *, title: str) -> tuple[list[Path], str]:
    """Build the programs that are not in the cache yet.

    Returns the path of each program and the version of Go.
    """
    cache, progress = cache_directory(), Progress(stream=sys.stderr)
    cache.mkdir(parents=True, exist_ok=True)
    targets: list[Target] = [SourceTarget(name, MODULE, f"./{name}") for name in names]
    paths = {target: cache / target.key / target.binary for target in targets}
    missing = {target: path for target, path in paths.items() if not path.exists()}
    go = find_go({MODULE}, cache=cache, progress=progress)
    if missing:
        gobuild.build(missing, cache=cache, progress=progress, title=title)
    return list(paths.values()), ".".join(map(str, go.version))


def pinned_versions() -> dict[str, str]:
    """Return the versions of the peer's main dependencies, from go.mod."""
    lines = (line.split() for line in (MODULE / "go.mod").read_text().splitlines())
    return {words[0]: words[1] for words in lines if len(words) > 1 and words[0] in PINNED}
