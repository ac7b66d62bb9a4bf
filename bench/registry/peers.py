"""The peers: FastAPI in an environment of its own, axum built once into the user's cache."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError, ToolMissingError
from tradingbot_dev.progress import Progress
from tradingbot_dev.toolchain.assets import cache_directory
from tradingbot_dev.toolchain.exclusive import exclusive
from tradingbot_dev.toolchain.locked_environment import LockedEnvironment

PEERS = Path(__file__).parents[1] / "peers"
FASTAPI = PEERS / "fastapi"
AXUM = PEERS / "axum"
AXUM_PROGRAM = "registry-peer"
PYTHON_PACKAGES = LockedEnvironment(
    "bench", FASTAPI / "requirements.txt", "the packages of the FastAPI service"
)
WSGI_SERVERS = LockedEnvironment("bench", PEERS / "wsgi" / "requirements.txt", "WSGI servers")
PINNED = ("fastapi", "sqlalchemy", "uvicorn", "cheroot", "granian", "gunicorn", "waitress")
CRATES = ("axum", "sqlx", "tokio")


@dataclass(frozen=True)
class Peers:
    """The programs of the peers."""

    python: Path
    """The Python that has FastAPI."""
    axum: dict[str, Path]
    """The service in Rust, by the kind of its database."""
    rust: str

    def versions(self) -> dict[str, str]:
        """Return the pinned versions of what was measured."""
        locks = [environment.lock.read_text() for environment in (PYTHON_PACKAGES, WSGI_SERVERS)]
        pins = re.findall(r"^([a-z0-9-]+)==(\S+)", "\n".join(locks), re.MULTILINE)
        crates = tomllib.loads((AXUM / "Cargo.lock").read_text())["package"]
        return {name: version for name, version in pins if name in PINNED} | {
            crate["name"]: crate["version"] for crate in crates if crate["name"] in CRATES
        }


def prepared_peers() -> Peers:
    """Return the peers, installed and built. Raises ToolMissingError or CommandFailedError."""
    progress = Progress(stream=sys.stderr)
    PYTHON_PACKAGES.install(progress=progress)
    WSGI_SERVERS.install(progress=progress)
    return Peers(
        PYTHON_PACKAGES.python(),
        {kind: _built(kind, progress) for kind in ("sqlite", "postgres")},
        _run([_cargo(), "--version"]).split()[1],
    )


def _built(feature: str, progress: Progress) -> Path:
    """Return the service for that database, which is built once for each source."""
    digest = hashlib.sha256(_run([_cargo(), "--version"]).encode())
    for source in sorted((*AXUM.glob("Cargo.*"), *AXUM.glob("src/*.rs"))):
        digest.update(source.read_bytes())
    cache = cache_directory().with_name("bench")
    program = cache / f"axum-{digest.hexdigest()[:16]}" / feature
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "axum.lock", progress, what="another build of the same"):
        if not program.exists():
            progress.step(f"building the axum service for {feature}: some minutes, the first time")
            target = cache / "axum-target"
            _run(
                [
                    *(_cargo(), "build", "--quiet", "--release", "--locked"),
                    *("--no-default-features", "--features", feature),
                    *("--manifest-path", str(AXUM / "Cargo.toml"), "--target-dir", str(target)),
                ]
            )
            program.parent.mkdir(exist_ok=True)
            draft = program.with_suffix(".new")
            shutil.copy2(target / "release" / AXUM_PROGRAM, draft)
            draft.rename(program)
    return program


def _cargo() -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), str(Path.home() / ".cargo" / "bin")))
    found = shutil.which("cargo", path=path)
    if found is None:
        raise ToolMissingError(
            "cargo is missing, which builds a peer of the registry: install Rust 1.85 or later"
        )
    return found


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise CommandFailedError(
            f"{Path(command[0]).name} {command[1]} failed", detail=done.stderr.strip()
        )
    return done.stdout
