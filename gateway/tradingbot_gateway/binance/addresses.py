"""Where Binance is: the addresses of REST, of market streams and of the WebSocket API."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tradingbot_gateway.errors import SettingError


@dataclass(frozen=True, slots=True)
class Addresses:
    """The three addresses of one exchange, without a slash at the end."""

    rest: str
    streams: str
    websocket_api: str


REAL = "https://api.binance.com"

_KNOWN = {
    "api.binance.com": ("stream.binance.com:9443", "ws-api.binance.com:443"),
    "testnet.binance.vision": ("stream.testnet.binance.vision", "ws-api.testnet.binance.vision"),
}
"""Hosts of REST whose streams and WebSocket API are elsewhere. All others have one address."""


def addresses(base_url: str | None) -> Addresses:
    """Return the addresses of the exchange at `base_url`, by default the real one's.

    Raises SettingError. The message does not quote the URL: it may hold a password.
    """
    url = (base_url or REAL).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise SettingError("exchange.baseURL must be an http:// or https:// URL of an exchange")
    scheme = "wss" if parts.scheme == "https" else "ws"
    streams, websocket_api = _KNOWN.get(parts.netloc, (parts.netloc, parts.netloc))
    path = parts.path
    return Addresses(
        rest=url,
        streams=f"{scheme}://{streams}{path}",
        websocket_api=f"{scheme}://{websocket_api}{path}/ws-api/v3",
    )
