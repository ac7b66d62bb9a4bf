"""Writes the SBOM of an image archive or of an unpacked image."""

import json
import tarfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from release.errors import ReleaseError
from release.sbom.bill import Bill, bill_of
from release.sbom.contents import read_contents
from release.sbom.cyclonedx_json import cyclonedx_json
from release.sbom.requirements import read_pins
from release.sbom.spdx_json import spdx_json
from release.versions import project_version


def write_sbom(root: Path, image: Path, into: Path, *, created: datetime) -> list[Path]:
    """Write the SBOM of an image archive, as `docker save` makes it, in both formats."""
    with unpacked(image) as directory:
        bill = image_bill(root, directory, created=created)
    into.mkdir(parents=True, exist_ok=True)
    suffix = f"-{bill.architecture}" if bill.architecture else ""
    written = []
    for name, text in (("cdx", cyclonedx_json(bill)), ("spdx", spdx_json(bill))):
        path = into / f"sbom{suffix}.{name}.json"
        path.write_text(text, "utf-8")
        written.append(path)
    return written


def image_bill(root: Path, directory: Path, *, created: datetime) -> Bill:
    """Return the bill of an unpacked image that was built from the checkout at `root`."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return bill_of(
        read_contents(directory),
        read_pins((root / "requirements.txt").read_text("utf-8")),
        version=project_version(root),
        created=created,
        licence=project["license"],
    )


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Unpack the regular files of an image archive, without root. Raises ReleaseError."""
    if not archive.is_file():
        raise ReleaseError(f"{archive} is not there: make it with `docker save` or `buildah push`")
    with TemporaryDirectory(prefix="tradingbot-image-") as directory:
        try:
            with tarfile.open(archive) as tar:
                for layer in _layers(tar):
                    with tarfile.open(fileobj=tar.extractfile(layer)) as content:
                        content.extractall(directory, filter=_regular)
        except (tarfile.TarError, KeyError) as error:
            raise ReleaseError(
                f"{archive} is not an image archive as `docker save` makes it: {error}"
            ) from error
        yield Path(directory)


def _layers(tar: tarfile.TarFile) -> list[str]:
    file = tar.extractfile("manifest.json")
    assert file is not None
    layers: list[str] = json.load(file)[0]["Layers"]
    return layers


def _regular(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """Links are left out: they may lead outside, and no package is identified by one."""
    return tarfile.data_filter(member, path) if member.isreg() or member.isdir() else None
