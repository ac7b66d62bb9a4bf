"""The gateway's way out: one pooled session, verified TLS, an optional proxy and CA bundle."""

import ssl
from pathlib import Path

import aiohttp

from tradingbot_gateway.errors import SettingError, UnreachableError
from tradingbot_gateway.settings import Egress

CONNECT_SECONDS = 5.0
LONGEST_FRAME = 64 * 1024
"""Bytes of a WebSocket message of the bot; a longer one closes the connection."""
CLOSE_SECONDS = 0.5
"""How long the other side of a WebSocket has to confirm its end."""

WEBSOCKET_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS)
_POOL = 64
_IDLE_SECONDS = 30.0
"""Idle connections are closed before an exchange closes them: an order that is sent just as the
other side closes is lost, and its outcome has to be asked for."""

STREAM_FAILURES = (
    *(aiohttp.ClientError, OSError, TimeoutError, UnreachableError),
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)
"""What can happen to a stream, malformed messages included: it ends, and begins again.

A ledger that can't be written is not among them."""


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a context that verifies, by the system's authorities and those of the bundle.

    Raises SettingError.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle is not None:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingError(f"--ca-bundle {ca_bundle} can't be used: {reason}") from error
    return context


def open_session(egress: Egress) -> aiohttp.ClientSession:
    """Return the session for all requests and streams. Needs a running event loop."""
    connector = aiohttp.TCPConnector(
        ssl=tls_context(egress.ca_bundle), limit=_POOL, keepalive_timeout=_IDLE_SECONDS
    )
    return aiohttp.ClientSession(
        connector=connector,
        proxy=egress.proxy,
        auto_decompress=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        trust_env=False,
    )
