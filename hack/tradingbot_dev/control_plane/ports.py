"""The TCP ports on 127.0.0.1 that the processes listen on, and which process holds a port."""

import os
import random
import socket
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from tradingbot_dev.errors import LocalClusterError, PortTakenError

BASE_VARIABLE = "TRADINGBOT_LOCAL_PORT_BASE"
DEFAULT_BASE = 24680
LOOPBACK = "127.0.0.1"
CLOSING_SECONDS = 1.0
_LISTEN = "0A"
_claims: list[socket.socket] = []


@dataclass(frozen=True)
class Ports:
    """One port for each listener, in this order from a base."""

    kube_apiserver: int
    etcd_client: int
    etcd_peer: int
    controller_manager: int
    scheduler: int
    kwok: int
    webhooks: int
    webhooks_health: int
    operator_health: int
    registry: int
    kubelet: int
    binance: int
    binance_control: int
    coinbase: int
    coinbase_control: int

    @classmethod
    def from_base(cls, base: int) -> "Ports":
        return cls(*range(base, base + len(fields(cls))))

    @classmethod
    def from_environment(cls) -> "Ports":
        """Return the ports of `make up`: from TRADINGBOT_LOCAL_PORT_BASE, or 24680 to 24694."""
        text = os.environ.get(BASE_VARIABLE, str(DEFAULT_BASE))
        highest = 65535 - len(fields(cls))
        if not text.isdecimal() or not 1024 <= int(text) <= highest:
            raise LocalClusterError(
                f"{BASE_VARIABLE} is {text!r}; set it to a number from 1024 to {highest}"
            )
        return cls.from_base(int(text))

    @classmethod
    def free(cls) -> "Ports":
        """Return consecutive ports that are free and that no other caller gets.

        They are below the range that the kernel uses for outgoing connections (32768 and up), so
        that none is taken between this check and the moment when a process binds it. They are also
        clear of the ports of `make up`. This process holds the port before them as long as it
        runs, which keeps a concurrent test run off these ports.
        """
        size = len(fields(cls)) + 1
        starts = range(10_000, 20_000 - size, size)
        for start in random.SystemRandom().sample(starts, len(starts)):
            claim = _listening(start)
            if claim is None:
                continue
            ports = cls.from_base(start + 1)
            if all(map(is_free, astuple(ports))):
                _claims.append(claim)
                return ports
            claim.close()
        raise PortTakenError(f"no {size} free TCP ports in a row from {starts.start} to 19999")


def _listening(port: int) -> socket.socket | None:
    """Return a listener on this port, or None if another process listens on it."""
    listener = socket.socket()
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError:
        listener.close()
        return None
    return listener


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without this option closed connections (TIME_WAIT) would look like a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def demand_free(port: int, *, needed_by: str) -> None:
    """Raise PortTakenError, with the process that holds the port if /proc shows it.

    A process that was killed just now may still be closing its sockets, so retry for a second.
    """
    deadline = time.monotonic() + CLOSING_SECONDS
    while not is_free(port):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    else:
        return
    holder = _holder(port)
    who = f"by {holder}" if holder else "by a process of another user"
    raise PortTakenError(
        f"port {port}, which {needed_by} needs, is taken {who}: stop it, or choose other ports "
        f"with {BASE_VARIABLE}=NUMBER make up"
    )


def _holder(port: int) -> str | None:
    """Return `name (pid 123)` of the process that listens on this port, if this user owns it."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if any(_link(descriptor) in sockets for descriptor in (entry / "fd").iterdir()):
                return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
        except OSError:
            continue  # another user's, or it ended meanwhile
    return None


def _link(descriptor: Path) -> str:
    """Return the target of a file descriptor, or "" if it was closed meanwhile."""
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes
