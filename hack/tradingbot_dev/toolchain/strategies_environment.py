"""The Python environment of the strategies: what their image has, for pods that run as processes.

Their requirements are locked apart from those of the development tools, which have no client of an
exchange. The environment is in `${XDG_CACHE_HOME:-~/.cache}/tradingbot/strategies`, in a directory
that is named by a hash of the lock file and the Python. A directory with such a name is complete.
The packages of this checkout are not installed into it: `PACKAGES` has their directories.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.assets import cache_directory
from tradingbot_dev.toolchain.exclusive import exclusive

_ROOT = Path(__file__).resolve().parents[3]
LOCK = _ROOT / "strategies" / "requirements.txt"
PACKAGES = os.pathsep.join(str(_ROOT / name) for name in ("strategies", "exchange", "api"))
"""The value of PYTHONPATH with which the environment finds the code of this checkout."""


def directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where the environment of this lock file and this Python is, or will be."""
    digest = hashlib.sha256(LOCK.read_bytes())
    digest.update(f"{sys.base_prefix} {sys.version}".encode())  # the environment links to it
    cache = cache_directory(environment).with_name("strategies")
    return cache / digest.hexdigest()[:16]


def python(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the environment's Python, whether it exists or not."""
    return directory(environment) / "bin" / "python"


def install(*, progress: Progress, environment: Mapping[str, str] = os.environ) -> bool:
    """Create the environment unless it exists. Return whether it was created.

    Raises CommandFailedError if pip fails.
    """
    target = directory(environment)
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(target.parent / "lock", progress, what="another installation of the same"):
        if target.exists():
            return False
        progress.step("installing the packages of the strategies: about a minute, the first time")
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="new-") as draft:
            environment_draft = Path(draft) / target.name
            _create(environment_draft)
            # Only scripts have the path of their environment in them, and none is used.
            environment_draft.rename(target)
    return True


def _create(target: Path) -> None:
    venv.create(target, symlinks=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(target / "bin" / "python")),
            *("--disable-pip-version-check", "install", "--quiet", "--require-hashes"),
            *("--requirement", str(LOCK)),
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailedError(
            "could not install the packages of the strategies; run the same command to try again",
            detail=done.stderr.strip(),
        )
