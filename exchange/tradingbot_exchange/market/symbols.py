"""The symbols of a simulated exchange: instruments, start prices and how liquid they are.

Ticks, lots, minimum notionals and fees are those of the exchanges, rounded up where `tick * lot`
would be smaller than the smallest amount of an asset.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from tradingbot_exchange.engine.types import Instrument


class DialectName(StrEnum):
    """The exchanges that can be simulated."""

    BINANCE = "binance"
    COINBASE = "coinbase"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Symbol:
    """An instrument with its market.

    `size` is the typical quantity of a level and `gap` the distance of two levels. Both are fixed,
    so that a price keeps its levels while the market moves around it. `follows` is the symbol whose
    prices and orders of the market this one has, too; empty for one with a market of its own.
    """

    instrument: Instrument
    start_price: Decimal
    size: Decimal
    gap: Decimal
    follows: str = ""

    @property
    def book(self) -> str:
        """The symbol whose market this one has: its own, or the one that it follows."""
        return self.follows or self.instrument.symbol


_FEES = {
    DialectName.BINANCE: (Decimal("0.001"), Decimal("0.001")),
    DialectName.COINBASE: (Decimal("0.004"), Decimal("0.006")),
}
_QUOTE = {DialectName.BINANCE: "USDT", DialectName.COINBASE: "USD"}
STABLE = "USDC"
"""What aliases are quoted in."""
_MIN_NOTIONAL = {DialectName.BINANCE: "5", DialectName.COINBASE: "1"}
_MAX_ORDERS = {DialectName.BINANCE: 200, DialectName.COINBASE: 500}
_MAX_STOPS = {DialectName.BINANCE: 5, DialectName.COINBASE: 500}
"""Only Binance limits stop orders apart from others."""
_LOTS = {
    DialectName.BINANCE: ("0.00001", "0.0001", "0.001"),
    DialectName.COINBASE: ("0.000001", "0.000001", "0.001"),
}


def default_symbols(dialect: DialectName, *, aliases: bool = False) -> tuple[Symbol, ...]:
    """Return a triangle: BTC and ETH in the dialect's dollar, and ETH in BTC.

    `aliases`: and what is in the dollar once more, in USDC.
    """
    triangle = _triangle(dialect)
    return triangle + _aliases(triangle, _QUOTE[dialect]) if aliases else triangle


def _aliases(symbols: tuple[Symbol, ...], dollar: str) -> tuple[Symbol, ...]:
    return tuple(
        replace(
            each,
            instrument=replace(
                each.instrument, symbol=f"{each.instrument.base}-{STABLE}", quote=STABLE
            ),
            follows=each.instrument.symbol,
        )
        for each in symbols
        if each.instrument.quote == dollar
    )


def _triangle(dialect: DialectName) -> tuple[Symbol, ...]:
    quote, lots = _QUOTE[dialect], _LOTS[dialect]
    return (
        _symbol(
            dialect, "BTC", quote, tick="0.01", lot=lots[0], max_price="1000000",
            max_quantity="9000", min_notional=_MIN_NOTIONAL[dialect],
            start_price="60000", size="0.6", gap="30",
        ),
        _symbol(
            dialect, "ETH", quote, tick="0.01", lot=lots[1], max_price="1000000",
            max_quantity="9000", min_notional=_MIN_NOTIONAL[dialect],
            start_price="3000", size="12", gap="1.5",
        ),
        _symbol(
            dialect, "ETH", "BTC", tick="0.00001", lot=lots[2], max_price="1000",
            max_quantity="9000", min_notional="0.0001",
            start_price="0.05", size="10", gap="0.00003",
        ),
    )  # fmt: skip


def scaled(symbol: Symbol, price: Decimal) -> Symbol:
    """Return the symbol with another start price, and levels that are worth as much as before."""
    tick, lot = symbol.instrument.tick, symbol.instrument.lot
    factor = price / symbol.start_price
    return replace(
        symbol,
        start_price=price,
        gap=max(symbol.gap * factor // tick, Decimal(1)) * tick,
        size=max(symbol.size / factor // lot, Decimal(1)) * lot,
    )


def _symbol(
    dialect: DialectName,
    base: str,
    quote: str,
    *,
    tick: str,
    lot: str,
    max_price: str,
    max_quantity: str,
    min_notional: str,
    start_price: str,
    size: str,
    gap: str,
) -> Symbol:
    maker, taker = _FEES[dialect]
    instrument = Instrument(
        symbol=f"{base}-{quote}",
        base=base,
        quote=quote,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_price=Decimal(tick),
        max_price=Decimal(max_price),
        min_quantity=Decimal(lot),
        max_quantity=Decimal(max_quantity),
        min_notional=Decimal(min_notional),
        maker_fee=maker,
        taker_fee=taker,
        fee_in_quote=dialect is DialectName.COINBASE,
        max_orders=_MAX_ORDERS[dialect],
        max_stops=_MAX_STOPS[dialect],
    )
    return Symbol(
        instrument=instrument,
        start_price=Decimal(start_price),
        size=Decimal(size),
        gap=Decimal(gap),
    )
