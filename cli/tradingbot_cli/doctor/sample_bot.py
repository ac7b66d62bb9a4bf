"""The bots that are sent in dry runs and never stored. Pure."""

from __future__ import annotations

from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject

NAME = "tradingbot-doctor"
FRACTION = "2.5"
"""The stop of `to_complete`, as the mutating webhook writes it."""


def to_complete() -> JsonObject:
    """Return a valid bot. Only the mutating webhook makes a string of its fraction: the schema
    refuses it."""
    bot = _valid()
    bot["spec"]["riskManagement"]["stopLossPercentage"] = float(FRACTION)
    return bot


def _valid() -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": "TradingBot",
        "metadata": {"name": NAME},
        "spec": {
            "strategy": {"type": "Arbitrage", "image": "example.invalid/bot:1"},
            "exchange": {"name": "Binance", "apiKeySecret": NAME},
            "riskManagement": {
                "maxPositionSize": "1000",
                "dailyLossLimit": "50",
            },
        },
    }


def to_refuse() -> JsonObject:
    """Return a bot that only the validating webhook rejects: its schedule is from ten to ten."""
    bot = _valid()
    bot["spec"]["schedule"] = {"windows": [{"days": ["Mon"], "start": "10:00", "end": "10:00"}]}
    return bot
