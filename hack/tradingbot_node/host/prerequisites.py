"""Check whether this machine can have a node: root, programs of the system, the kernel."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError, ToolMissingError
from tradingbot_dev.progress import Progress

from tradingbot_node.host import cgroups
from tradingbot_node.host.commands import PATH, NodeImpossibleError, run

# Debian's directory, and that of an unpacked release.
_NETWORK_PLUGINS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_NEEDED_PLUGINS = ("ptp", "host-local", "loopback")


@dataclass(frozen=True)
class Program:
    """A required program, and its Debian package."""

    name: str
    package: str


PROGRAMS = (
    Program("ip", "iproute2"),
    Program("nsenter", "util-linux"),
    Program("mount", "mount"),
    Program("nft", "nftables"),
    Program("runc", "runc"),
    Program("buildah", "buildah"),
    Program("debootstrap", "debootstrap"),
)
PLUGINS_PACKAGE = "containernetworking-plugins"


def demand_node(progress: Progress) -> None:
    """Install missing packages if possible, and try what a node needs from the kernel.

    Raises NodeImpossibleError if the machine does not allow a node, and ToolMissingError with what
    to install.
    """
    if sys.platform != "linux":
        raise NodeImpossibleError("a node needs Linux")
    if os.geteuid() != 0:
        raise NodeImpossibleError("a node needs root: namespaces, mounts, control groups")
    _demand_programs(progress)
    _demand_kernel()


def network_plugins() -> Path:
    """Return the directory of the CNI plugins. Raises ToolMissingError."""
    for directory in _NETWORK_PLUGINS:
        if all(os.access(directory / plugin, os.X_OK) for plugin in _NEEDED_PLUGINS):
            return directory
    raise ToolMissingError(f"install {PLUGINS_PACKAGE}")


def missing_packages() -> list[str]:
    """Return the Debian packages of what is missing."""
    packages = [
        program.package for program in PROGRAMS if shutil.which(program.name, path=PATH) is None
    ]
    try:
        network_plugins()
    except ToolMissingError:
        packages.append(PLUGINS_PACKAGE)
    return packages


def _demand_programs(progress: Progress) -> None:
    packages = missing_packages()
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise ToolMissingError(f"install {', '.join(packages)} (the names of Debian packages)")
    progress.step(f"installing {', '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "--quiet", environment=quiet)
    options = ("--yes", "--quiet", "--no-install-recommends")
    run("apt-get", "install", *options, *packages, environment=quiet)
    if left := missing_packages():
        raise ToolMissingError(f"{', '.join(left)} were installed but lack the needed programs")


def _demand_kernel() -> None:
    """Try each feature in a way that leaves no trace."""
    try:
        cgroups.create()
    except OSError as error:
        raise NodeImpossibleError(f"could not create control groups: {error}") from error
    finally:
        with suppress(OSError):  # a running node keeps its groups
            cgroups.remove(seconds=0)
    with tempfile.TemporaryDirectory() as directory:
        for what, command in _trials(Path(directory)):
            try:
                run(*command)
            except CommandFailedError as error:
                said = " ".join(error.detail.split())
                raise NodeImpossibleError(f"could not create a {what}: {said}") from error


def _trials(directory: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each feature, and a command that succeeds only if the machine allows it."""
    name = f"trial-{os.getpid()}"
    network = ("unshare", "--net", "sh", "-ec")
    yield "network namespace", ("sh", "-ec", f"ip netns add {name}; ip netns del {name}")
    yield "veth pair", (*network, "ip link add one type veth peer name other")
    # The features that kube-proxy's rules use.
    rules = "add table ip t; add chain ip t c { type nat hook output priority 0; }; "
    rules += "add map ip t m { type ipv4_addr . inet_service : verdict; }; "
    rules += "add rule ip t c ip daddr . tcp dport vmap @m; add rule ip t c fib daddr type local"
    yield "packet filter (nftables)", (*network, f"nft '{rules}'")
    for part in ("lower", "upper", "work", "merged"):
        (directory / part).mkdir()
    layers = f"lowerdir={directory}/lower,upperdir={directory}/upper,workdir={directory}/work"
    overlay = f"mount -t overlay overlay -o {layers} {directory}/merged"
    yield "overlay file system", ("unshare", "--mount", "sh", "-ec", overlay)
