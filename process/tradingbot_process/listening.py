"""Listening sockets, and errors that say what to change."""

import errno
import socket
from typing import Any

from tradingbot_process.addresses import is_loopback

BACKLOG = 2048
"""Connections that wait to be accepted. The kernel has its own maximum, `net.core.somaxconn`."""


class ListenError(RuntimeError):
    """The process can't listen on an address. The message has the setting to change."""


def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """Return a listening socket, which does not block. Raises ListenError, which names the
    `setting` to change.

    No `host`: all addresses, those of IPv6 among them if the machine has it.
    """
    try:
        family, kind, protocol, _, address = _resolve(host, port)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            if not host and family is socket.AF_INET6:  # whatever net.ipv6.bindv6only says
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        hint = {
            errno.EADDRINUSE: "the port is taken by another process",
            errno.EACCES: "ports under 1024 need privileges",
        }.get(error.errno or 0, error.strerror or str(error))
        raise ListenError(
            f"cannot listen on {host}:{port}: {hint}. Choose another {setting}"
        ) from error
    sock.setblocking(False)
    return sock


def base_url(sock: socket.socket, *, tls: bool) -> str:
    """Return the URL of a server on a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback_only(host: str) -> bool:
    """Return whether a server on `host` can't be reached from other machines.

    A name is looked up. Raises ListenError if it is unknown.
    """
    found = {str(address[0]) for *_, address in _resolve(host, 0)}
    return all(map(is_loopback, found))


def _resolve(host: str, port: int) -> list[tuple[Any, Any, int, str, Any]]:
    family = socket.AF_UNSPEC
    if not host:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    try:
        return socket.getaddrinfo(
            host or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(f"host {host!r} can't be resolved: {error.strerror}") from error
