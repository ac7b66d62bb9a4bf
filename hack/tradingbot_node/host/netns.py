"""The network namespace of the node, with its own interfaces, packet filters and addresses.

A veth pair joins it to the machine, for kubectl and the tests. It cannot reach other networks: it
has no default route, and the machine forwards nothing for it.
"""

from contextlib import suppress
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError

from tradingbot_node.host.commands import run
from tradingbot_node.host.places import CABLE, MACHINE_IP, NAMESPACE, NODE_IP, PREFIX, SERVICES

_PATH = Path("/run/netns") / NAMESPACE

# nsenter and not `ip netns exec`, which puts another /sys over the one with the cgroups.
ENTER = ("nsenter", f"--net={_PATH}")


def create() -> None:
    """Create the namespace with its veth pair, unless it exists. Replace an incomplete one."""
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
    """Return whether the namespace and its veth pair exist."""
    return _PATH.exists() and (Path("/sys/class/net") / CABLE).exists()


def remove() -> None:
    """Remove the namespace and the veth pair."""
    for command in (("ip", "netns", "del", NAMESPACE), ("ip", "link", "del", CABLE)):
        with suppress(CommandFailedError):  # it does not exist
            run(*command)


def _connect() -> None:
    run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
    run("ip", "address", "add", f"{MACHINE_IP}/{PREFIX}", "dev", CABLE)
    run("ip", "link", "set", CABLE, "up")
    run(*ENTER, "ip", "link", "set", "lo", "up")
    run(*ENTER, "ip", "address", "add", f"{NODE_IP}/{PREFIX}", "dev", "eth0")
    run(*ENTER, "ip", "link", "set", "eth0", "up")
    # A packet to a Service needs a route before kube-proxy's rules translate its address.
    run(*ENTER, "ip", "route", "add", SERVICES, "via", MACHINE_IP, "src", NODE_IP)
