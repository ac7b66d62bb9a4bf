"""Access to `/metrics`, which shows the positions and losses of every tenant's bots.

A network policy alone does not protect it from other pods: many networks enforce none. So clients
need a token that is valid here only. With Prometheus's ServiceAccount token instead, this port
would need TLS, the operator two more permissions, and the token would be worth stealing.
"""

import hmac
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from tradingbot_process.addresses import is_loopback


class MetricsAccess:
    """Admits clients that send the token in `token_file`, which is read for each request.

    A server on a loopback `host` admits all clients: only this machine, and users who may create a
    port-forward, reach it.
    """

    def __init__(self, host: str, token_file: str) -> None:
        self._open = is_loopback(host)
        self._file = Path(token_file) if token_file else None

    def refusal(self, authorization: str | None) -> web.Response | None:
        """Return the answer to a client that may not read the metrics; None if it may."""
        if self._open:
            return None
        token = self._token()
        if not token:
            return web.Response(
                text="/metrics needs the token in --metrics-token-file, and that has none: see"
                " docs/install.md, Metrics and alerts\n",
                status=HTTPStatus.FORBIDDEN,
            )
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token):
            return None
        return web.Response(
            text="/metrics needs the bearer token in the Secret tradingbot-metrics\n",
            status=HTTPStatus.UNAUTHORIZED,
            headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
        )

    def _token(self) -> bytes:
        if self._file is None:
            return b""
        try:
            return self._file.read_bytes().strip()
        except OSError:
            return b""
