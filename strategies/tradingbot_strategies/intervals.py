"""Lengths of candles."""

from datetime import timedelta

from tradingbot_api.strategies import CandleInterval


def milliseconds(interval: str) -> int:
    """Return the length of an interval such as `1h`."""
    return CandleInterval(interval).duration // timedelta(milliseconds=1)
