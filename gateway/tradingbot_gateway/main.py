"""The process of a gateway: the server, without the authorities that aiohttp loads at its import.

aiohttp makes two TLS contexts while it is imported, and each loads all authorities of the system.
The gateway uses neither: it makes one of its own (`connection.tls_context`). They would take
1.7 MB of each gateway, and 60 ms of CPU time of its start.

So nothing that is imported before this module may import aiohttp, as `settings` does not.
"""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from tradingbot_gateway.settings import GatewaySettings

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that OpenSSL reads before its own places of authorities."""


@contextmanager
def _without_authorities(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Let TLS contexts trust nobody by default. What forgets to name its context fails."""
    before = {name: environment[name] for name in _PLACES if name in environment}
    environment.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name in _PLACES:
            environment.pop(name, None)
        environment.update(before)


with _without_authorities(os.environ):
    from tradingbot_gateway import server


def run(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises GatewayError if the gateway can't start."""
    server.run(settings)
