"""Pins every requirement anew, with hashes, for all platforms and Pythons: `make lock`.

The files name packages and hashes and nothing else: no index, no path, no command line, so that
they are the same whoever makes them.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUTS = {
    "requirements.txt": ["pyproject.toml"],
    "requirements-dev.txt": ["pyproject.toml", "--extra", "dev"],
    "hack/control-plane/go-requirements.txt": [
        "hack/control-plane/go-requirements.in",
        "--no-annotate",  # it would name that file, and nothing else needs Go
    ],
}
OPTIONS = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header")


def main(arguments: list[str]) -> int:
    """`--upgrade` takes the newest of everything; otherwise only what has to change changes."""
    uv = str(Path(sys.executable).with_name("uv"))
    for output, source in OUTPUTS.items():
        command = [uv, "pip", "compile", "--quiet", *OPTIONS, *arguments, "-o", output, *source]
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
