"""Which ports a pod listens on, as the kernel sees it, and which it says it does."""

from pathlib import Path

from person import Object
from tradingbot_node.cluster import Node

Port = tuple[str, int]
_LISTENS = "0A"
_UNCONNECTED = "07"
_TABLES = {"tcp": _LISTENS, "tcp6": _LISTENS, "udp": _UNCONNECTED, "udp6": _UNCONNECTED}


def declared_ports(pod: Object) -> set[Port]:
    return {
        (port.get("protocol", "TCP"), port["containerPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }


def listening_ports(node: Node, pod: Object) -> set[Port]:
    """Also those on loopback only. All containers of a pod share one network."""
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    net = Path(f"/proc/{_process(node, container)}/net")
    return {
        (protocol[:3].upper(), int(local.rpartition(":")[2], 16))
        for protocol, state in _TABLES.items()
        for local, remote, found in map(_columns, (net / protocol).read_text().splitlines()[1:])
        # A UDP socket that is connected is a client's.
        if found == state and int(remote.rpartition(":")[2], 16) == 0
    }


def _columns(line: str) -> tuple[str, str, str]:
    _, local, remote, state, *_ = line.split()
    return local, remote, state


def _process(node: Node, container: str) -> int:
    """The pid of the container's first process, as this machine counts."""
    for line in node.ctr("tasks", "list").splitlines()[1:]:
        name, pid, *_ = line.split()
        if name == container:
            return int(pid)
    raise AssertionError(f"no task for container {container}")
