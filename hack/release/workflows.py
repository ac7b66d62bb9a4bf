"""Lints the workflows of the forge: actionlint for mistakes, zizmor for weaknesses.

actionlint is a Go program. It is built from a pinned module, as Helm is: some seconds, once. It has
a cache of its own, beside the control plane's, so that a lint never waits for a control plane that
is being built.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.assets import build_missing, cache_directory
from tradingbot_dev.toolchain.gobuild import build
from tradingbot_dev.toolchain.targets import Target

WORKFLOWS = Path(".github") / "workflows"
ACTIONLINT = Target(
    "actionlint",
    Path(__file__).parents[1] / "actionlint",
    "github.com/rhysd/actionlint/cmd/actionlint",
)
TITLE = "actionlint, once, for `make lint`: some seconds"


def lint_workflows(root: Path) -> int:
    """Run both programs and return the exit code of the first one that finds something."""
    files = [str(path.relative_to(root)) for path in sorted((root / WORKFLOWS).glob("*.yml"))]
    # Without shellcheck and pyflakes, which actionlint runs where a machine happens to have them.
    for command in (
        [str(find_actionlint()), "-shellcheck=", "-pyflakes=", *files],
        [str(Path(sys.executable).with_name("zizmor")), "--offline", "--quiet", ".github"],
    ):
        done = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


def find_actionlint() -> Path:
    """Return the path of actionlint, which is built if it is not in the cache."""
    cache = cache_directory(os.environ).with_name("lint")
    path = cache / ACTIONLINT.key / ACTIONLINT.binary
    if not path.exists():
        build_missing({ACTIONLINT: path}, cache, Progress(), partial(build, title=TITLE))
    return path
