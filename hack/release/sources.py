"""What git knows of this checkout: the tracked files, the commit and its time."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from release.errors import ReleaseError


@contextmanager
def tracked_copy(root: Path) -> Iterator[Path]:
    """Copy the tracked files to a temporary directory.

    What is built from the copy can't contain leftovers of earlier builds or untracked files.
    """
    with TemporaryDirectory(prefix="tradingbot-sources-") as directory:
        for name in git(root, "ls-files", "-z").split("\0"):
            source = root / name
            if name and source.is_file():
                copy = Path(directory, name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy)
        yield Path(directory)


def commit(root: Path) -> str:
    """Return the commit that is checked out."""
    return git(root, "rev-parse", "HEAD").strip()


def commit_time(root: Path) -> datetime:
    """Return the commit's time: the date of everything that is built from the commit."""
    return datetime.fromtimestamp(int(git(root, "log", "-1", "--format=%ct")), UTC)


def git(root: Path, *arguments: str) -> str:
    """Return the output of a git command. Raises ReleaseError."""
    return output("git", "-C", str(root), *arguments)


def output(*command: str, environment: dict[str, str] | None = None) -> str:
    """Return what a command prints. Raises ReleaseError with what it says when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        raise ReleaseError(f"{command[0]} can't be run: {error.strerror}") from error
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
