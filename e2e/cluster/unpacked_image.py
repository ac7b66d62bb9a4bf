"""An image unpacked, to examine its files and to run its commands confined, without a node."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tradingbot_node.images.buildah import image_config, unpack

USER = 65532
# Made when the image is built, so that no package has them.
GENERATED = {
    *("etc/group", "etc/passwd", "etc/nsswitch.conf"),
    *("etc/ld.so.cache", "etc/ld.so.conf", "etc/ssl/certs/ca-certificates.crt"),
}
# A root that can't be written, /tmp as Kubernetes mounts it, and what every runtime provides. The
# mounts are gone when the command ends.
CONFINE = """
set -e
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
exec chroot --userspec="$user" --groups= "$root" "$@"
"""


@dataclass(frozen=True)
class Image:
    """The image unpacked, and its configuration."""

    root: Path
    config: dict[str, Any]
    archive: Path

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command in it: as its user, with its environment, with no way to write to it."""
        # A runtime makes these, and mounts on them.
        for name in ("dev", "proc"):
            (self.root / name).mkdir(exist_ok=True)
        environment = dict(line.split("=", 1) for line in self.config["Env"])
        confined = ["sh", "-c", CONFINE, "sh", str(self.root), self.config["User"], *command]
        try:
            return subprocess.run(
                ["unshare", "--mount", "--propagation=private", *confined],
                input=stdin,
                env={"HOME": "/tmp"}
                | environment
                | {"PATH": f"{environment['PATH']}:/usr/sbin:/bin"},
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            for name in ("dev", "proc"):
                (self.root / name).rmdir()

    def entrypoint(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs its program, as in a container with these `args`."""
        return self.run(*self.config["Entrypoint"], *arguments, stdin=stdin)

    def python(self, code: str) -> str:
        done = self.run("/opt/tradingbot/bin/python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """All that is in it, directories too, relative to its root."""
        return tuple(path.relative_to(self.root) for path in sorted(self.root.rglob("*")))

    def debian_packages(self) -> set[str]:
        status = self.root / "var/lib/dpkg/status.d"
        return {path.name for path in status.iterdir() if path.suffix != ".md5sums"}

    def distributions(self) -> set[str]:
        """The directories of the Python packages' metadata."""
        return {path.name for path in self.root.rglob("*.dist-info")}


Unpacked = Callable[[str], Image]
"""The image of a name. All tests of a worker share one copy of its files."""


def unpacked_archive(archive: Path, directory: Path) -> Image:
    """Unpack the image of an archive below `directory`."""
    root = directory / "root"
    unpack(archive, root)
    config = image_config(archive)["config"]
    assert isinstance(config, dict)
    return Image(root, config, archive)
