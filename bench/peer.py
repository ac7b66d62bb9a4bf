"""The Go programs of `peers/go`: built once, kept where the control plane's binaries are."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev import gobuild
from tradingbot_dev.assets import Target, cache_directory
from tradingbot_dev.gotoolchain import find_go
from tradingbot_dev.progress import Progress

MODULE = Path(__file__).parent / "peers" / "go"
PINNED = ("sigs.k8s.io/controller-runtime", "k8s.io/apimachinery")


@dataclass(frozen=True)
class SourceTarget(Target):
    """A binary whose source is here: it decides over the cache's key, as go.mod does."""

    @property
    def key(self) -> str:
        digest = hashlib.sha256(super().key.encode())
        for source in sorted(self.module.rglob("*.go")):
            digest.update(source.read_bytes())
        return f"bench-{self.module.name}-{digest.hexdigest()[:16]}"


@dataclass(frozen=True)
class GoPrograms:
    """The webhook in Go, and the load generator."""

    webhook: Path
    load: Path
    go_version: str


def build_go_programs() -> GoPrograms:
    """Builds what is not in the cache yet."""
    cache, progress = cache_directory(), Progress(stream=sys.stderr)
    cache.mkdir(parents=True, exist_ok=True)
    targets: list[Target] = [
        SourceTarget(name, MODULE, f"./{name}") for name in ("webhook", "load")
    ]
    paths = {target: cache / target.key / target.binary for target in targets}
    missing = {target: path for target, path in paths.items() if not path.exists()}
    go = find_go({MODULE}, cache=cache, progress=progress)
    if missing:
        title = "the webhook in Go and the load generator, once"
        gobuild.build(missing, cache=cache, progress=progress, title=title)
    webhook, load = paths.values()
    return GoPrograms(webhook, load, ".".join(map(str, go.version)))


def pinned_versions() -> dict[str, str]:
    """The versions that go.mod pins of what the peer stands on."""
    lines = (line.split() for line in (MODULE / "go.mod").read_text().splitlines())
    return {words[0]: words[1] for words in lines if len(words) > 1 and words[0] in PINNED}
