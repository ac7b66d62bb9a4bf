"""The words of the gateway: markets, quotes, orders and requests.

Symbols have the engine's form, `BTC-USDT`; a dialect translates its own spelling. Quantities are in
the base asset, prices in the quote asset of the symbol. Times are milliseconds since the epoch.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from tradingbot_api import gateway_pod
from tradingbot_exchange.engine.types import Instrument, Level, OrderType, Side

ZERO = Decimal(0)
MAX_AGE = 30_000
"""Milliseconds after which a quote says nothing."""

STOPS = frozenset(
    {
        OrderType.STOP_LIMIT,
        OrderType.STOP_MARKET,
        OrderType.TAKE_PROFIT_LIMIT,
        OrderType.TAKE_PROFIT_MARKET,
    }
)
"""Orders that wait until the market reaches their stop price."""
UNPRICED = frozenset({OrderType.MARKET, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET})
"""Orders that fill at any price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What an exchange trades under a symbol, and in which steps."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    oco: bool = True
    """Whether the exchange can hold a take-profit and a stop-loss for the same asset."""
    stop_slippage: Decimal | None = None
    """The part of its stop price by which a stop of the gateway may fill beyond it, where the
    exchange has no stops at the market; beyond that the stop stays open without being filled."""

    @classmethod
    def of(cls, instrument: Instrument, *, stop_slippage: Decimal | None = None) -> "Market":
        """Return the market of an instrument of the engine."""
        return cls(
            symbol=instrument.symbol,
            base=instrument.base,
            quote=instrument.quote,
            tick=instrument.tick,
            lot=instrument.lot,
            min_quantity=instrument.min_quantity,
            min_notional=instrument.min_notional,
            stop_slippage=stop_slippage,
        )

    def lots_down(self, quantity: Decimal) -> Decimal:
        """Round a quantity down to what can be ordered."""
        return (quantity / self.lot).to_integral_value(ROUND_FLOOR) * self.lot

    def ticks_up(self, price: Decimal) -> Decimal:
        """Round a price up to what can be ordered."""
        return (price / self.tick).to_integral_value(ROUND_CEILING) * self.tick

    def ticks_down(self, price: Decimal) -> Decimal:
        """Round a price down to what can be ordered."""
        return (price / self.tick).to_integral_value(ROUND_FLOOR) * self.tick

    def accepts(self, quantity: Decimal, price: Decimal) -> bool:
        """Whether the exchange takes an order of this size at this price."""
        return (
            quantity > 0 and quantity >= self.min_quantity and quantity * price >= self.min_notional
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The book of a symbol at a time: the best levels, best first, as deep as they are known.

    A market order is judged by these levels: one that is larger than all of them is refused.
    """

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time: int
    """When the gateway received it, by the gateway's clock."""

    @property
    def bid(self) -> Decimal:
        """The best price at which a long position can be closed."""
        return self.bids[0].price

    @property
    def ask(self) -> Decimal:
        """The best price at which a short position can be closed."""
        return self.asks[0].price

    def fresh(self, now: int) -> bool:
        """Whether the quote has two sides and is at most 30 seconds old."""
        return bool(self.bids) and bool(self.asks) and abs(now - self.time) <= MAX_AGE


class Purpose(StrEnum):
    """Who asked for an order, and why."""

    BOT = "BOT"
    PROTECTION = "PROTECTION"
    """Take-profit and stop-loss that the gateway keeps at the exchange."""
    EXIT = "EXIT"
    """A sale at the market by the gateway: a position that can't be protected otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order, as it is sent. Exactly one of `quantity` and `quote_quantity` is set."""

    client_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    """For market orders: what to spend, or to receive, in the quote asset."""
    price: Decimal | None = None
    stop_price: Decimal | None = None

    def terms(self) -> tuple[object, ...]:
        """Return all but the client id: two orders of the same terms are the same entry."""
        return (
            self.symbol,
            self.side,
            self.type,
            self.quantity,
            self.quote_quantity,
            self.price,
            self.stop_price,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a bot asks for: one order, or two of which one ends the other (OCO).

    For a cancel-replace, `replaces` is the client id of the order that goes. An entry is counted
    beside the order that it replaces until the exchange confirms the cancel: it may fill until
    then. Each way to enter that is not of this form (OTO, OTOCO, pegged, iceberg, trailing) must be
    refused before.
    """

    orders: tuple[Order, ...]
    group: str | None = None
    """The client id of the list, for two orders."""
    replaces: str | None = None


PROTECTION_PREFIX = gateway_pod.PROTECTION_PREFIX
"""With which the client ids of the gateway's own orders begin."""


def assets_of(symbol: str) -> tuple[str, str]:
    """Return base and quote asset of a symbol."""
    base, _, quote = symbol.rpartition("-")
    return base, quote
