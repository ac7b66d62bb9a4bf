"""The operator in Go: built once, kept where the other Go programs of the benchmarks are."""

import sys
from pathlib import Path

from tradingbot_dev import gobuild
from tradingbot_dev.assets import cache_directory
from tradingbot_dev.gotoolchain import find_go
from tradingbot_dev.progress import Progress

from bench.peer import MODULE, SourceTarget


def build_go_operator() -> tuple[Path, str]:
    """Its path, after building it if it is not in the cache yet, and the version of Go."""
    cache, progress = cache_directory(), Progress(stream=sys.stderr)
    cache.mkdir(parents=True, exist_ok=True)
    target = SourceTarget("operator", MODULE, "./operator")
    path = cache / target.key / target.binary
    if not path.exists():
        title = "the operator in Go, once"
        gobuild.build({target: path}, cache=cache, progress=progress, title=title)
    go = find_go({MODULE}, cache=cache, progress=progress)
    return path, ".".join(map(str, go.version))
