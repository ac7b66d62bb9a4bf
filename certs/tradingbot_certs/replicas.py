"""Ask each server which certificate it serves, by a TLS handshake.

A handshake is what the API server does; the age of a Secret or a status of the server would be a
guess. The certificate is not verified: it is compared with the stored one.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from cryptography import x509

logger = logging.getLogger(__name__)

Address = tuple[str, int]

HANDSHAKE_TIMEOUT = 3.0
"""Seconds. A server that takes longer counts as one that does not answer."""
_AT_A_TIME = 8


class Servers:
    """The servers at the `addresses`, which are resolved at each call."""

    def __init__(
        self, addresses: Callable[[], Iterable[Address]], *, timeout: float = HANDSHAKE_TIMEOUT
    ) -> None:
        self._addresses = addresses
        self._timeout = timeout

    def ask(self) -> dict[str, x509.Certificate | None]:
        """Return the certificates by HOST:PORT; None for a server that does not answer."""
        addresses = sorted(set(self._addresses()))
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            shown = pool.map(lambda address: shown_by(address, self._timeout), addresses)
            return {
                f"{host}:{port}": certificate
                for (host, port), certificate in zip(addresses, shown, strict=True)
            }


def shown_by(address: Address, timeout: float) -> x509.Certificate | None:
    """Return the certificate of the server at `address`; None if there is none in time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(address, timeout) as raw,
            context.wrap_socket(raw) as connection,
        ):
            der = connection.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der) if der else None
    except (OSError, ValueError) as error:
        logger.debug("%s:%d shows no certificate: %s", *address, error)
        return None
