"""The hashed requirements: versions, hashes, and which package requires which."""

import re
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Pin:
    """One package of the lock file."""

    name: str
    version: str
    sha256: tuple[str, ...]
    """Of each file that may be installed: one for each platform and Python, and the sources."""
    required_by: tuple[str, ...]
    marker: str | None

    def applies(self, environment: dict[str, str]) -> bool:
        """Return whether the package is installed where the markers have these values."""
        if self.marker is None:
            return True
        marker = Requirement(f"{self.name} ; {self.marker}").marker
        return marker is not None and marker.evaluate(environment)


def read_pins(text: str) -> dict[str, Pin]:
    """Return the packages of a lock file that uv has written, by their names."""
    pins: dict[str, Pin] = {}
    # A package begins at the start of a line; its hashes and its comments are indented.
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        head = re.match(r"([A-Za-z0-9._-]+)==(\S+)(?: ; (.+?))? \\$", block, re.MULTILINE)
        if head is None:
            continue
        comment = "".join(re.findall(r"^ +#(.*)$", block, re.MULTILINE))
        parents = re.findall(r"([A-Za-z0-9._-]+)(?: \(pyproject\.toml\))?", comment)
        name = canonicalize_name(head[1])
        pins[name] = Pin(
            name=name,
            version=head[2],
            sha256=tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)),
            required_by=tuple(canonicalize_name(parent) for parent in parents if parent != "via"),
            marker=head[3],
        )
    return pins
