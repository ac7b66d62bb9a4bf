"""Whether this machine can have a node: root, programs of the system, what the kernel allows."""

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

from tradingbot_node import cgroups
from tradingbot_node.commands import PATH, NodeImpossibleError, run

# Debian's place, and that of those who unpack a release.
_NETWORK_PLUGINS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_NEEDED_PLUGINS = ("ptp", "host-local", "loopback")


@dataclass(frozen=True)
class Program:
    """A program that must be there, and Debian's package of it."""

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
    """Installs what is missing, where that is possible, and tries what a node takes.

    Raises NodeImpossibleError where there can be none, and ToolMissingError with what to install.
    """
    if sys.platform != "linux":
        raise NodeImpossibleError("a node takes Linux")
    if os.geteuid() != 0:
        raise NodeImpossibleError("a node takes root: namespaces, mounts, control groups")
    _demand_programs(progress)
    _demand_kernel()


def network_plugins() -> Path:
    """The folder of the CNI plugins. Raises ToolMissingError."""
    for folder in _NETWORK_PLUGINS:
        if all(os.access(folder / plugin, os.X_OK) for plugin in _NEEDED_PLUGINS):
            return folder
    raise ToolMissingError(f"install {PLUGINS_PACKAGE}")


def missing_packages() -> list[str]:
    """Debian's packages of what is not there."""
    packages = [one.package for one in PROGRAMS if shutil.which(one.name, path=PATH) is None]
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
        raise ToolMissingError(f"install {', '.join(packages)} (so they are called in Debian)")
    progress.step(f"installing {', '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "--quiet", environment=quiet)
    options = ("--yes", "--quiet", "--no-install-recommends")
    run("apt-get", "install", *options, *packages, environment=quiet)
    if left := missing_packages():
        raise ToolMissingError(f"{', '.join(left)} were installed, and do not have what is needed")


def _demand_kernel() -> None:
    """Tries each thing for real, where it leaves no trace."""
    try:
        cgroups.create()
    except OSError as error:
        raise NodeImpossibleError(f"control groups can't be made here: {error}") from error
    finally:
        with suppress(OSError):  # those of a node that runs stay
            cgroups.remove(seconds=0)
    with tempfile.TemporaryDirectory() as folder:
        for what, command in _trials(Path(folder)):
            try:
                run(*command)
            except CommandFailedError as error:
                said = " ".join(error.detail.split())
                raise NodeImpossibleError(f"there can be no {what} here: {said}") from error


def _trials(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What it is, and a command that ends well only where it can be."""
    name = f"trial-{os.getpid()}"
    network = ("unshare", "--net", "sh", "-ec")
    yield "network namespace", ("sh", "-ec", f"ip netns add {name}; ip netns del {name}")
    yield "virtual cable", (*network, "ip link add one type veth peer name other")
    # What kube-proxy's rules are made of.
    rules = "add table ip t; add chain ip t c { type nat hook output priority 0; }; "
    rules += "add map ip t m { type ipv4_addr . inet_service : verdict; }; "
    rules += "add rule ip t c ip daddr . tcp dport vmap @m; add rule ip t c fib daddr type local"
    yield "packet filter (nftables)", (*network, f"nft '{rules}'")
    for part in ("lower", "upper", "work", "merged"):
        (folder / part).mkdir()
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    overlay = f"mount -t overlay overlay -o {layers} {folder}/merged"
    yield "overlay file system", ("unshare", "--mount", "sh", "-ec", overlay)
