"""The bots that are sent in dry runs: they are never stored, and nothing is made of them. Pure."""

from __future__ import annotations

from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject

NAME = "tradingbot-doctor"


def to_complete() -> JsonObject:
    """One that is right. Its profit target, twice the stop, is a default that no schema can say."""
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
                "stopLossPercentage": "2",
            },
        },
    }


def to_refuse() -> JsonObject:
    """One that is well-formed, so that the first to find fault with it is the validating webhook:
    it is to trade from ten to ten."""
    bot = to_complete()
    bot["spec"]["schedule"] = {"windows": [{"days": ["Mon"], "start": "10:00", "end": "10:00"}]}
    return bot
