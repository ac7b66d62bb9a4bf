"""Test the simulated exchanges, the gateway and the strategies with real clients.

Run by `make test-clients`.

The clients have an environment of their own, outside the repository: it is 1.4 GB, and versions of
packages that the clients need are not those of the product. The directory is named after the lock
file and the Python, so all checkouts of a user share it, and a changed lock file makes a new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from flakes import LIST_VARIABLE

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = Path("exchange", "clients")
LOCK = CLIENTS / "requirements.txt"
SUITES = {
    **{name: CLIENTS / name for name in ("freqtrade", "binance", "faults", "coinbase", "nautilus")},
    "strategies": Path("strategies", "clients"),
    "gateway": Path("gateway", "clients"),
}
"""The directories of the suites by name, the slowest first: several run at once."""
WITHOUT_WHEELS = ("sdnotify",)
STAMP = "installed"
NEEDED_BYTES = 2_500_000_000
"""Measured: 1.4 GB installed; pip downloads and unpacks beside that."""
UNUSED_SECONDS = 14 * 24 * 3600
"""An environment of another lock file that nobody used for so long is removed."""
AT_ONCE = 3
"""Together they compute for 80 seconds, and wait for the rest of the time."""
STUCK_SECONDS = 3600
"""A suite that takes longer is stuck. Each takes less than three minutes. In CI, a failed test
waits for the first pass of the other runs before it runs again: for more than 1200 seconds."""
NOTHING_COLLECTED = 5
"""Exit code of pytest when the selection of TESTS matches nothing in a suite."""


class CannotTestError(RuntimeError):
    """Raised with one line: why the clients can't be installed, and what to do."""


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of all clients' environments. `environment`: `os.environ`."""
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification: a relative path is to be ignored
        base = Path(environment["HOME"]) / ".cache"
    return base / "tradingbot" / "clients"


def environment_name(lock: bytes, python: str) -> str:
    """Return the name of the environment of a lock file. `python`: its version, as `3.13.0`."""
    return f"{python}-{hashlib.sha256(lock).hexdigest()[:16]}"


def environment(root: Path, cache: Path) -> Path:
    """Return the clients' environment, which is installed first if it is missing or incomplete.

    Several processes may call this at once: one installs, and the others wait for it. A stamp is
    written last, so the next run repairs an installation that was interrupted.
    """
    venv = cache / environment_name((root / LOCK).read_bytes(), platform.python_version())
    stamp = venv / STAMP
    if not stamp.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with alone(cache):
            if not stamp.exists():
                install(root, venv)
                stamp.touch()
                remove_unused(cache, now=time.time())
    stamp.touch()  # for remove_unused
    return venv


def install(root: Path, venv: Path) -> None:
    """Create the environment from wheels; what has none is built afterwards.

    A build takes the pinned setuptools of the environment, not one that pip would download for it.
    """
    free = shutil.disk_usage(venv.parent).free
    if free < NEEDED_BYTES:
        raise CannotTestError(
            f"{free / 1e9:.1f} GB are free beside {venv}, "
            f"and the clients need up to {NEEDED_BYTES / 1e9:.0f} GB: free some space"
        )
    print(f"installing the pinned clients into {venv}: some minutes", flush=True)
    run([sys.executable, "-m", "venv", "--clear", str(venv)])
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    pip += ["--quiet", "--require-hashes", "--no-deps"]  # the lock file has the dependencies
    wheels, sources = venv / "wheels.txt", venv / "sources.txt"
    for file, content in zip((wheels, sources), parted((root / LOCK).read_text()), strict=True):
        file.write_text(content)
    run([*pip, "--only-binary", ":all:", "-r", str(wheels)])
    run([*pip, "--no-build-isolation", "-r", str(sources)])


def parted(lock: str) -> tuple[str, str]:
    """Return a lock file in two: packages with wheels, and those of WITHOUT_WHEELS."""
    parts: tuple[list[str], list[str]] = ([], [])
    found = False
    for line in lock.splitlines(keepends=True):
        if not line.startswith(" "):  # a requirement; the others are its hashes and comments
            found = line.partition("==")[0] in WITHOUT_WHEELS
        parts[found].append(line)
    return "".join(parts[0]), "".join(parts[1])


def run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        what = shlex.join(command[1:])
        raise CannotTestError(f"this command failed, see above: python {what}")


def remove_unused(cache: Path, *, now: float) -> None:
    """Remove environments that nobody used for long, and those that were never completed.

    The caller has the lock, so no other process installs one of them.
    """
    for venv in cache.iterdir():
        stamp = venv / STAMP
        if not stamp.exists() or stamp.stat().st_mtime < now - UNUSED_SECONDS:
            shutil.rmtree(venv)


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """One installation at a time for a user. The kernel releases the lock with the process."""
    descriptor = os.open(cache, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def selected(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split TESTS into suites and arguments of pytest. All suites if none is named."""
    suites = [argument for argument in arguments if argument in SUITES]
    return suites or list(SUITES), [each for each in arguments if each not in SUITES]


def test(suite: str, arguments: list[str], *, root: Path, venv: Path) -> int:
    """Run a suite, print what it said when it has ended, and return pytest's exit code."""
    began = time.monotonic()
    here = root / SUITES[suite]
    program = str(root / ".venv" / "bin" / "tradingbot")
    # In CI, a failed test runs a second time, alone.
    runner = "flakes" if os.environ.get(LIST_VARIABLE) else "pytest"
    with subprocess.Popen(
        [str(venv / "bin" / "python"), "-m", runner, "-q", *arguments, str(here)],
        cwd=here,
        env={
            **os.environ,
            "TRADINGBOT_EXCHANGE_COMMAND": shlex.join([program, "exchange"]),
            "TRADINGBOT_GATEWAY_COMMAND": shlex.join([program, "gateway"]),
            "PYTHONPATH": str(root / "hack"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=STUCK_SECONDS)
        except subprocess.TimeoutExpired:
            # A client that waits for a stream without an end; its exchange has to go with it.
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            said += f"error: not ended after {STUCK_SECONDS} s\n"
    print(f"-- {suite}: {time.monotonic() - began:.0f} s\n{said}", flush=True)
    return process.returncode


def main(arguments: list[str]) -> int:
    """Run the suites, some at once. `arguments`: suites to run, and arguments of pytest."""
    suites, others = selected(arguments)
    try:
        venv = environment(ROOT, cache_directory(os.environ))
    except CannotTestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(lambda suite: test(suite, others, root=ROOT, venv=venv), suites))
    # A selection, such as `-k stop`, may match nothing in some suites, but not in all of them.
    fine = {0, NOTHING_COLLECTED} if others and 0 in codes else {0}
    failed = [suite for suite, code in zip(suites, codes, strict=True) if code not in fine]
    if failed:
        print(f"error: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
