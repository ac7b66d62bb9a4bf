"""Listening sockets, and errors that say what to change."""

import errno
import socket

from tradingbot_exchange.errors import ListenError

BACKLOG = 1024


def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """Return a listening socket. Raises ListenError, which names the `setting` to change.

    No `host`: all addresses, those of IPv6 among them if the machine has it.
    """
    both = not host and socket.has_dualstack_ipv6()
    family = socket.AF_UNSPEC if host else socket.AF_INET6 if both else socket.AF_INET
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        try:
            if both:  # whatever net.ipv6.bindv6only says
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
