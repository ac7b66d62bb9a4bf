"""Create `.venv` from the lock file: `make install`, which every other target runs first.

Standard library only, and written so that an old Python can run it: the old Python has to report
which version is needed. A stamp in `.venv` says that the environment is complete. It is removed
before the first change and written after the last, so the next run repairs an interrupted one.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements-dev.txt"
STAMP = "installed"
OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
# Measured: 470 MB installed, and pip unpacks beside that.
NEEDED_BYTES = 1_000_000_000


class CannotInstallError(RuntimeError):
    """Raised with one line: why no environment was created, and what to do."""


def problem(
    *, version: tuple[int, ...], has: set[str], found: list[str], free_bytes: int
) -> str | None:
    """Return in one line why no environment can be created here, or None.

    `has`: which of `venv` and `ensurepip` can be imported. `found`: the newer Pythons on the PATH.
    """
    mine = ".".join(str(part) for part in version[:2])
    if version[:2] < OLDEST:
        do = f"run: make up PYTHON={found[0]}" if found else "install one, then: make up PYTHON=..."
        return f"Python 3.11 or later is needed, and this is {mine}; {do}"
    if not {"venv", "ensurepip"} <= has:
        return (
            f"Python's venv module is missing; on Debian and Ubuntu: apt install python{mine}-venv"
        )
    if free_bytes < NEEDED_BYTES:
        return (
            f"{free_bytes / 1e9:.1f} GB are free on this disk, "
            f"and .venv needs up to {NEEDED_BYTES / 1e9:.0f} GB: free some space"
        )
    return None


def wanted_stamp(root: Path) -> str:
    """Return the stamp of an up-to-date environment."""
    digest = hashlib.sha256()
    for name in (LOCK, "pyproject.toml", "strategies/pyproject.toml"):
        digest.update((root / name).read_bytes())
    digest.update(str(root).encode())  # an editable install names its directory
    return digest.hexdigest()


def install(root: Path, python: str) -> bool:
    """Bring `.venv` up to date with `python`. Return whether anything was done."""
    venv = root / ".venv"
    stamp = venv / STAMP
    if stamp.exists() and stamp.read_text() == wanted_stamp(root) and _runs(venv):
        return False
    with _alone(root):
        if stamp.exists() and stamp.read_text() == wanted_stamp(root) and _runs(venv):
            return False  # another process installed it while this one waited
        stamp.unlink(missing_ok=True)
        if not _runs(venv):
            _run([python, "-m", "venv", "--clear", str(venv)], root)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        options = ["install", "--quiet", "--require-hashes"]
        _run([*pip, *options, "-r", LOCK], root)
        own = ["install", "--quiet", "--no-deps", "--no-build-isolation"]
        _run([*pip, *own, "--editable", ".", "--editable", "./strategies"], root)
        stamp.write_text(wanted_stamp(root))
    return True


def _runs(venv: Path) -> bool:
    """Whether the environment's Python starts, is new enough, and has pip."""
    check = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    try:
        done = subprocess.run(
            [str(venv / "bin" / "python"), "-c", check], capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def _run(command: list[str], root: Path) -> None:
    done = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        what = " ".join(part for part in command[1:] if not part.startswith("--disable"))
        raise CannotInstallError(
            f"this command failed, see above: python {what}; run the same target again to continue"
        )


class _alone:  # noqa: N801 - reads as a phrase: with _alone(root)
    """One installation at a time in a checkout. The kernel releases the lock with the process."""

    def __init__(self, root: Path) -> None:
        self._descriptor = os.open(root / "hack", os.O_RDONLY)

    def __enter__(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def main() -> int:
    if (ROOT / ".venv" / STAMP).exists():
        found = None  # it was possible before; pip reports what is missing now
    else:
        found = problem(
            version=sys.version_info[:3],
            has={name for name in ("venv", "ensurepip") if importlib.util.find_spec(name)},
            found=[name for name in NEWER if shutil.which(name)],
            free_bytes=shutil.disk_usage(ROOT).free,
        )
    if found is not None:
        print(f"error: {found}", file=sys.stderr)
        return 1
    began = time.monotonic()
    try:
        if not (ROOT / ".venv" / STAMP).exists():
            print("installing the pinned Python packages into .venv: about a minute", flush=True)
        if install(ROOT, sys.executable):
            print(f".venv is ready after {time.monotonic() - began:.0f} s", flush=True)
    except CannotInstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run the same target again to continue", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
