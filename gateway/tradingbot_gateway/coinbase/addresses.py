"""Where Coinbase is: the addresses of REST, of the market's WebSocket and of the user's."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tradingbot_gateway.errors import SettingError


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one exchange, without a slash at the end."""

    rest: str
    host: str
    """Host and port as tokens name them."""
    market: str
    user: str


REAL = "https://api.coinbase.com"

_KNOWN = {
    "api.coinbase.com": (
        "wss://advanced-trade-ws.coinbase.com",
        "wss://advanced-trade-ws-user.coinbase.com",
    ),
}
"""Hosts of REST whose WebSockets are elsewhere. All others have one address."""


def addresses(base_url: str | None) -> Addresses:
    """Return the addresses of the exchange at `base_url`, by default the real one's.

    Raises SettingError. The message does not quote the URL: it may hold a password.
    """
    url = (base_url or REAL).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.path:
        raise SettingError(
            "exchange.baseURL must be an http:// or https:// URL of an exchange, without a path"
        )
    own = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
    market, user = _KNOWN.get(parts.netloc, (own, own))
    return Addresses(rest=url, host=parts.netloc, market=market, user=user)
