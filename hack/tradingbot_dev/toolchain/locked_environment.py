"""Python environments of other requirements than those of `.venv`, one for each lock file.

An environment is in `${XDG_CACHE_HOME:-~/.cache}/tradingbot/NAME`, in a directory that is named by
a hash of the lock file and the Python. A directory with such a name is complete.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.assets import cache_directory
from tradingbot_dev.toolchain.exclusive import exclusive


@dataclass(frozen=True)
class LockedEnvironment:
    """The environment of a lock file. `contents` says in messages what it has."""

    name: str
    lock: Path
    contents: str

    def directory(self, environment: Mapping[str, str] = os.environ) -> Path:
        """Return where the environment of this lock file and this Python is, or will be."""
        digest = hashlib.sha256(self.lock.read_bytes())
        digest.update(f"{sys.base_prefix} {sys.version}".encode())  # the environment links to it
        cache = cache_directory(environment).with_name(self.name)
        return cache / digest.hexdigest()[:16]

    def python(self, environment: Mapping[str, str] = os.environ) -> Path:
        """Return the path of the environment's Python, whether it exists or not."""
        return self.directory(environment) / "bin" / "python"

    def install(self, *, progress: Progress, environment: Mapping[str, str] = os.environ) -> bool:
        """Create the environment unless it exists. Return whether it was created.

        Raises CommandFailedError if pip fails.
        """
        target = self.directory(environment)
        if target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target.parent / "lock", progress, what="another installation of the same"):
            if target.exists():
                return False
            progress.step(f"installing {self.contents}: about a minute, the first time")
            with tempfile.TemporaryDirectory(dir=target.parent, prefix="new-") as draft:
                environment_draft = Path(draft) / target.name
                self._create(environment_draft)
                # Only scripts have the path of their environment in them, and none is used.
                environment_draft.rename(target)
        return True

    def _create(self, target: Path) -> None:
        venv.create(target, symlinks=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", str(target / "bin" / "python")),
                *("--disable-pip-version-check", "install", "--quiet", "--require-hashes"),
                *("--requirement", str(self.lock)),
            ],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailedError(
                f"could not install {self.contents}; run the same command to try again",
                detail=done.stderr.strip(),
            )
