"""What a strategy needs to see: symbols, the asset in which money is counted, candles."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the runtime reads for a strategy."""

    symbols: tuple[str, ...]
    money: str
    """The asset in which profits and limits are counted."""
    one_of: tuple[str, ...] = ()
    """Of these symbols, the first one that the exchange has is read too."""
    candle_interval: str = ""
    """The length of a candle, such as `1h`; empty: no candles are read."""
    candles: int = 0
    """How many closed candles are read."""
    leaves_positions: bool = True
    """Whether a position can be left with its protective orders when the bot stops."""


def base_asset(symbol: str) -> str:
    """Return `BTC` of `BTC-USDT`."""
    return symbol.partition("-")[0]


def quote_asset(symbol: str) -> str:
    """Return `USDT` of `BTC-USDT`."""
    return symbol.partition("-")[2]
