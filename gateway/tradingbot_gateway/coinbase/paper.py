"""Paper in Coinbase's dialect: the exchange inside the gateway speaks it too."""

import secrets
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tradingbot_exchange.coinbase.app import application
from tradingbot_exchange.engine.types import Instrument
from tradingbot_exchange.venue import ApiKey

from tradingbot_gateway.answers import Wall
from tradingbot_gateway.coinbase.upstream import Signer
from tradingbot_gateway.paper import ACCOUNT, PaperVenue

UNIT = Decimal("0.000000000000000001")
"""Fine enough for Coinbase's products: sizes of 0.00000001 at prices in steps of 0.0000000001."""

_NO_LIMIT = 10**9


def paper_venue(
    instruments: Mapping[str, Instrument],
    balances: Mapping[str, Decimal],
    *,
    wall: Wall,
    state: Path | None,
) -> tuple[PaperVenue, Signer]:
    """Return the exchange, and its key, which is made at each start. Raises StateFileError."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    name = f"organizations/paper/apiKeys/{secrets.token_hex(8)}"
    key = ApiKey(name=name, account=ACCOUNT, secret=public.decode())
    venue = PaperVenue(instruments, balances, key=key, wall=wall, state=state, unit=UNIT)
    return venue, Signer(name, private)


def paper_application(venue: PaperVenue) -> web.Application:
    """Return the exchange of the account. It listens on loopback, for the gateway alone."""
    return application(venue, private_per_second=_NO_LIMIT)
