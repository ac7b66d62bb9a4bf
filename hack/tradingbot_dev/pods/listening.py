"""Whether a container can listen on its ports at the address of its pod."""

import errno
import socket
from typing import Any

JsonObject = dict[str, Any]


def taken_port(container: JsonObject, address: str) -> str:
    """Return why a port of a container is not free at this address; empty if all are.

    A process that listens on all addresses of the machine has the port at each of them.
    """
    for declared in container.get("ports") or ():
        port = declared["containerPort"]
        if declared.get("protocol", "TCP") == "TCP" and not _is_free(address, port):
            return (
                f"port {port} is taken on {address}, probably by a process that listens on all"
                f" addresses of this machine: stop it; `ss -ltnp sport = :{port}` names it"
            )
    return ""


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
