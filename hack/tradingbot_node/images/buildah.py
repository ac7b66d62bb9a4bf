"""Run buildah with a temporary storage, apart from that of the machine.

Archives have the format of `docker save`, which `ctr images import` and `docker load` accept.
"""

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.errors import BuildError, ToolMissingError
from tradingbot_dev.processes.table import tail

from tradingbot_node.host.commands import PATH


@dataclass(frozen=True)
class Buildah:
    """One storage. The output of buildah goes to `log`."""

    storage: Path
    log: Path

    def pull(self, archive: Path) -> None:
        """Import the image of an archive into the storage, under the name in the archive."""
        self._run("pull", f"docker-archive:{archive}")

    def build(
        self,
        tag: str,
        *,
        context: Path,
        dockerfile: Path,
        build_args: Mapping[str, str],
        secrets: Mapping[str, Path],
        timestamp: int | None,
        target: str | None = None,
    ) -> None:
        """Build from images of this storage only. `timestamp`: the time of all files."""
        options = ["--isolation=chroot", "--network=host", "--pull-never"]
        options += [f"--build-arg={name}={value}" for name, value in build_args.items()]
        options += [f"--secret=id={name},src={path}" for name, path in secrets.items()]
        if timestamp is not None:
            options.append(f"--timestamp={timestamp}")
        if target is not None:
            options.append(f"--target={target}")
        self._run("build", *options, f"--tag={tag}", f"--file={dockerfile}", str(context))

    def save(self, tag: str, archive: Path) -> None:
        """Write an image to an archive, atomically."""
        draft = archive.with_name(f"{archive.name}.{os.getpid()}.draft")
        try:
            self._run("push", tag, f"docker-archive:{draft}:{tag}")
            draft.replace(archive)
        finally:
            draft.unlink(missing_ok=True)

    def _run(self, command: str, *arguments: str) -> None:
        places = [f"--root={self.storage / 'root'}", f"--runroot={self.storage / 'run'}"]
        temporary = self.storage / "tmp"
        temporary.mkdir(exist_ok=True)
        with self.log.open("a") as log:
            done = subprocess.run(
                ["buildah", *places, "--storage-driver=vfs", command, *arguments],
                env={**os.environ, "PATH": PATH, "TMPDIR": str(temporary)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise BuildError(
                f"buildah {command} failed for {arguments[-1]}; its output is in {self.log}",
                detail=tail(self.log),
            )


@contextmanager
def buildah(directory: Path, *, log: Path) -> Iterator[Buildah]:
    """Create a storage in a temporary directory inside `directory`."""
    demand_tools("buildah")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    with work_directory(directory, "storage-") as storage:
        yield Buildah(storage, log)


@contextmanager
def work_directory(directory: Path, prefix: str) -> Iterator[Path]:
    """Create a temporary directory inside `directory`, and remove those that killed builds left.

    One build at a time works in `directory`: the caller holds the lock of the cache.
    """
    for left in directory.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=prefix) as path:
        yield Path(path)


def demand_tools(*programs: str) -> None:
    """Raise ToolMissingError unless this is root and the programs are installed."""
    if os.geteuid() != 0:
        raise ToolMissingError("building container images needs root: try again with sudo")
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if missing:
        raise ToolMissingError(
            f"building container images needs {' and '.join(missing)}; "
            f"on Debian and Ubuntu: apt-get install {' '.join(missing)}"
        )


def image_id(archive: Path) -> str:
    """Return the digest of the image's configuration, which has the digests of all layers."""
    return str(_manifest(archive)["Config"]).removesuffix(".json")


def image_config(archive: Path) -> dict[str, object]:
    """Return the image's configuration: architecture, user, labels, environment, layers."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(str(_manifest(archive)["Config"]))
        assert file is not None
        config: dict[str, object] = json.load(file)
    return config


def unpack(archive: Path, directory: Path) -> None:
    """Extract the image's layers into `directory`. Owners are kept, which needs root."""
    layers = [str(layer) for layer in _layers(archive)]
    with tarfile.open(archive) as tar:
        for layer in layers:
            file = tar.extractfile(layer)
            with tarfile.open(fileobj=file) as content:
                content.extractall(directory, filter="fully_trusted")


def _layers(archive: Path) -> Iterable[object]:
    layers = _manifest(archive)["Layers"]
    assert isinstance(layers, list)
    return layers


def _manifest(archive: Path) -> dict[str, object]:
    with tarfile.open(archive) as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        manifest: list[dict[str, object]] = json.load(file)
    return manifest[0]
