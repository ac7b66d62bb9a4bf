"""Copy the files of npm packages that the registry serves, or its tests use: `make npm-files`.

npm checks what it downloads. `package.json` beside the files says which version they are, for the
SBOM, and has their digests, for a test. For another version, change it here and run the command.
"""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

REGISTRY = Path(__file__).resolve().parents[1] / "registry"
SERVED = REGISTRY / "tradingbot_registry/rest/npm"
TESTED_WITH = REGISTRY / "tests/npm"


@dataclass(frozen=True)
class Package:
    """Files of one version of a package, and the directory that they are copied to."""

    name: str
    version: str
    directory: Path
    files: tuple[str, ...]


PACKAGES = (
    Package(
        "swagger-ui-dist",
        "5.35.0",
        SERVED / "swagger-ui-dist",
        (
            "LICENSE",
            "NOTICE",
            "swagger-ui-bundle.js",
            "swagger-ui-bundle.js.LICENSE.txt",
            "swagger-ui.css",
        ),
    ),
    Package("preact", "11.2.0", SERVED / "preact", ("LICENSE", "dist/preact.mjs")),
    Package(
        "@dagrejs/dagre",
        "3.1.3",
        SERVED / "dagre",
        ("LICENSE", "dist/dagre.esm.js", "dist/dagre.esm.js.LEGAL.txt"),
    ),
    Package(
        "axe-core",
        "4.14.1",
        TESTED_WITH / "axe-core",
        ("LICENSE", "LICENSE-3RD-PARTY.txt", "axe.min.js"),
    ),
)


def copy(package: Package) -> None:
    """Replace the files of a package by those of its version."""
    with tempfile.TemporaryDirectory() as directory:
        wanted = f"{package.name}@{package.version}"
        subprocess.run(["npm", "pack", "--silent", wanted], cwd=directory, check=True)
        (archive,) = Path(directory).glob("*.tgz")
        with tarfile.open(archive) as packed:
            contents = {name: packed.extractfile(f"package/{name}") for name in package.files}
            files = {
                Path(name).name: file.read() for name, file in contents.items() if file is not None
            }
            stated = packed.extractfile("package/package.json")
            manifest = json.loads(stated.read() if stated else b"{}")
    package.directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (package.directory / name).write_bytes(content)
    about = {
        "name": manifest["name"],
        "version": manifest["version"],
        "license": manifest["license"],
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    text = json.dumps(about, indent=2) + "\n"
    (package.directory / "package.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for each in PACKAGES:
        copy(each)
