"""buildah, with a storage of its own that goes when the work is done; nothing of the machine's.

Archives are in the form of `docker save`, which `ctr images import` and `docker load` take.
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
from tradingbot_dev.processes import tail

from tradingbot_node.commands import PATH


@dataclass(frozen=True)
class Buildah:
    """One storage. All that buildah says goes to `log`."""

    storage: Path
    log: Path

    def pull(self, archive: Path) -> None:
        """Takes the image of an archive into the storage, under the name that it has there."""
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
    ) -> None:
        """Builds on images of this storage only. `timestamp` (Unix seconds) is all files' time."""
        options = ["--isolation=chroot", "--network=host", "--pull-never"]
        options += [f"--build-arg={name}={value}" for name, value in build_args.items()]
        options += [f"--secret=id={name},src={path}" for name, path in secrets.items()]
        if timestamp is not None:
            options.append(f"--timestamp={timestamp}")
        self._run("build", *options, f"--tag={tag}", f"--file={dockerfile}", str(context))

    def save(self, tag: str, archive: Path) -> None:
        """Writes an image to an archive, which is there whole or not at all."""
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
                f"buildah {command} failed for {arguments[-1]}; all it said is in {self.log}",
                detail=tail(self.log),
            )


@contextmanager
def buildah(folder: Path, *, log: Path) -> Iterator[Buildah]:
    """A buildah with its storage in a folder that is made inside `folder`, and removed again."""
    demand_tools("buildah")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    with work_folder(folder, "storage-") as storage:
        yield Buildah(storage, log)


@contextmanager
def work_folder(folder: Path, prefix: str) -> Iterator[Path]:
    """A folder inside `folder` that goes again, and with it what a killed build left before.

    One build at a time works in a folder: whoever builds in the cache holds its lock.
    """
    for left in folder.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as path:
        yield Path(path)


def demand_tools(*programs: str) -> None:
    """Raises ToolMissingError where this is not Linux's root, or a program is missing."""
    if os.geteuid() != 0:
        raise ToolMissingError("container images are built as root: try again with sudo")
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if missing:
        raise ToolMissingError(
            f"{' and '.join(missing)} missing, to build container images; "
            f"on Debian and Ubuntu: apt-get install {' '.join(missing)}"
        )


def image_id(archive: Path) -> str:
    """The digest of the image's configuration, in which all its layers' digests are."""
    return str(_manifest(archive)["Config"]).removesuffix(".json")


def image_config(archive: Path) -> dict[str, object]:
    """The image's configuration: architecture, user, labels, environment, layers."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(str(_manifest(archive)["Config"]))
        assert file is not None
        config: dict[str, object] = json.load(file)
    return config


def unpack(archive: Path, folder: Path) -> None:
    """Lays the image's layers into `folder`, one over the other. Owners are kept, so as root."""
    layers = [str(layer) for layer in _layers(archive)]
    with tarfile.open(archive) as tar:
        for layer in layers:
            file = tar.extractfile(layer)
            with tarfile.open(fileobj=file) as content:
                content.extractall(folder, filter="fully_trusted")


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
