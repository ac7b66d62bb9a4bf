"""Copy Swagger UI from npm's `swagger-ui-dist` into the registry: `make swagger-ui VERSION=5.35.0`.

npm checks what it downloads. `package.json` beside the files says which version they are, for the
SBOM, and has their digests, for a test.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[1] / "registry/tradingbot_registry/rest/swagger_ui"
PACKAGE = "swagger-ui-dist"
FILES = (
    "LICENSE",
    "NOTICE",
    "swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui.css",
)


def main(version: str) -> None:
    """Replace the files by those of this version."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["npm", "pack", "--silent", f"{PACKAGE}@{version}"], cwd=directory, check=True
        )
        (archive,) = Path(directory).glob("*.tgz")
        with tarfile.open(archive) as packed:
            contents = {name: packed.extractfile(f"package/{name}") for name in FILES}
            files = {name: file.read() for name, file in contents.items() if file is not None}
            stated = packed.extractfile("package/package.json")
            package = json.loads(stated.read() if stated else b"{}")
    for name, content in files.items():
        (DIRECTORY / name).write_bytes(content)
    about = {
        "name": package["name"],
        "version": package["version"],
        "license": package["license"],
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    (DIRECTORY / "package.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
