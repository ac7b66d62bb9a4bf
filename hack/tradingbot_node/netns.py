"""The node's network namespace: bridges, packet filters and addresses that leave the machine alone.

A cable of two ends (veth) joins it to the machine, for kubectl and the tests. It has no way out: no
default route, and the machine forwards nothing for it.
"""

from contextlib import suppress
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError

from tradingbot_node.commands import run
from tradingbot_node.places import CABLE, MACHINE_IP, NAMESPACE, NODE_IP, PREFIX, SERVICES

_PATH = Path("/run/netns") / NAMESPACE

# nsenter and not `ip netns exec`, which puts another /sys over the one with the cgroups.
ENTER = ("nsenter", f"--net={_PATH}")


def create() -> None:
    """Makes it, with its cable. A part of one that is there already is replaced."""
    if exists():
        return
    remove()
    run("ip", "netns", "add", NAMESPACE)
    try:
        _connect()
    except BaseException:
        remove()
        raise


def exists() -> bool:
    """Whether it is there, with its cable."""
    return _PATH.exists() and (Path("/sys/class/net") / CABLE).exists()


def remove() -> None:
    """Also the cable, which goes with either of its ends."""
    for command in (("ip", "netns", "del", NAMESPACE), ("ip", "link", "del", CABLE)):
        with suppress(CommandFailedError):  # not there
            run(*command)


def _connect() -> None:
    run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
    run("ip", "address", "add", f"{MACHINE_IP}/{PREFIX}", "dev", CABLE)
    run("ip", "link", "set", CABLE, "up")
    run(*ENTER, "ip", "link", "set", "lo", "up")
    run(*ENTER, "ip", "address", "add", f"{NODE_IP}/{PREFIX}", "dev", "eth0")
    run(*ENTER, "ip", "link", "set", "eth0", "up")
    # A packet to a Service has to have a route before kube-proxy's rules turn it to a pod.
    run(*ENTER, "ip", "route", "add", SERVICES, "via", MACHINE_IP, "src", NODE_IP)
