"""Pin every requirement with hashes, for all platforms and Python versions: `make lock`.

The files have packages and hashes and nothing else: no index, no path, no command line. So they
are the same on every machine.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUTS = {
    "requirements.txt": ["pyproject.toml"],
    "requirements-dev.txt": ["pyproject.toml", "--extra", "dev"],
    "strategies/requirements.txt": ["strategies/pyproject.toml"],
    "exchange/clients/requirements.txt": ["exchange/clients/requirements.in"],
    "bench/peers/fastapi/requirements.txt": ["bench/peers/fastapi/requirements.in"],
    "bench/peers/wsgi/requirements.txt": ["bench/peers/wsgi/requirements.in"],
    "hack/control-plane/go-requirements.txt": [
        "hack/control-plane/go-requirements.in",
        "--no-annotate",  # an annotation would name that file, and nothing else needs Go
    ],
}
OPTIONS = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header")


def main(arguments: list[str]) -> int:
    """Write the lock files. With `--upgrade` every version is the newest one.

    Without it only the versions that no longer fit change.
    """
    uv = str(Path(sys.executable).with_name("uv"))
    for output, source in OUTPUTS.items():
        command = [uv, "pip", "compile", "--quiet", *OPTIONS, *arguments, "-o", output, *source]
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
