"""Paper in Binance's dialect: the exchange inside the gateway speaks it too."""

import secrets
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from aiohttp import web
from tradingbot_exchange.binance.app import application
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.spot import Settings
from tradingbot_exchange.engine.types import Instrument
from tradingbot_exchange.venue import ApiKey

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.credentials import Credentials
from tradingbot_gateway.paper import ACCOUNT, PaperVenue

_NO_LIMITS = RateLimits(weight=10**9, orders_10s=10**6, orders_day=10**9)


def paper_venue(
    instruments: Mapping[str, Instrument],
    balances: Mapping[str, Decimal],
    *,
    wall: Wall,
    state: Path | None,
) -> tuple[PaperVenue, Credentials]:
    """Return the exchange, and its key, which is made at each start. Raises StateFileError."""
    credentials = Credentials(secrets.token_hex(16), secrets.token_hex(16))
    key = ApiKey(name=credentials.key, account=ACCOUNT, secret=credentials.secret)
    venue = PaperVenue(instruments, balances, key=key, wall=wall, state=state)
    return venue, credentials


def paper_application(venue: PaperVenue) -> web.Application:
    """Return the exchange of the account. It listens on loopback, for the gateway alone."""
    return application(venue, Settings(limits=_NO_LIMITS))
