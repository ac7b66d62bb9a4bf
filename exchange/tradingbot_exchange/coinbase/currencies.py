"""Names of currencies, and which of them are fiat."""

from collections.abc import Mapping
from uuid import UUID, uuid5

FIAT: Mapping[str, str] = {
    "USD": "US Dollar",
    "EUR": "Euro",
    "GBP": "British Pound",
    "JPY": "Japanese Yen",
    "CHF": "Swiss Franc",
    "CAD": "Canadian Dollar",
    "AUD": "Australian Dollar",
}

_CRYPTO: Mapping[str, str] = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "SOL": "Solana",
    "ADA": "Cardano",
    "XRP": "XRP",
    "LTC": "Litecoin",
    "DOGE": "Dogecoin",
    "USDC": "USD Coin",
    "USDT": "Tether",
}

_NAMESPACE = UUID("0f0c3f5e-8a4f-5e0e-9d6e-6a6d2f3f9c11")


def name_of(asset: str) -> str:
    """Return the name of a currency; its code if it is not known."""
    return FIAT.get(asset) or _CRYPTO.get(asset) or asset


def asset_uuid(asset: str) -> str:
    """Return the id of a currency."""
    return str(uuid5(_NAMESPACE, asset))


def is_fiat(asset: str) -> bool:
    """Whether a currency is money of a state."""
    return asset in FIAT
