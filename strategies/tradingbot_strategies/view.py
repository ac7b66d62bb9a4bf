"""What a strategy sees, and what it can ask for.

A strategy is a pure function of a `View`: the same view gives the same wishes. It asks for the
orders that should exist now; the runtime compares them with the orders that do, and cancels and
places the difference. A strategy never sees the limits of bot.json: `limits.py` reduces its wishes.

What is made for each view is a NamedTuple: a frozen dataclass takes twice as long to make, and a
backtest makes dozens for each candle.

Prices and money are in the quote asset, quantities in the base asset, all as `Decimal`. Times are
milliseconds since the epoch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from tradingbot_exchange.engine.types import Side

ZERO = Decimal(0)
NOTHING: Mapping[str, Any] = MappingProxyType({})
"""A map without entries, which nobody can change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A symbol, and the steps and fees of its orders. Fees are fractions: 0.001 is 0.1 %."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal

    def price_down(self, price: Decimal) -> Decimal:
        """Return the highest price in ticks that is not above `price`."""
        return (price / self.tick).to_integral_value(ROUND_FLOOR) * self.tick

    def price_up(self, price: Decimal) -> Decimal:
        """Return the lowest price in ticks that is not below `price`."""
        return (price / self.tick).to_integral_value(ROUND_CEILING) * self.tick

    def quantity_down(self, quantity: Decimal) -> Decimal:
        """Return the largest quantity in lots that is not above `quantity`."""
        return (quantity / self.lot).to_integral_value(ROUND_FLOOR) * self.lot

    def quantity_up(self, quantity: Decimal) -> Decimal:
        """Return the smallest quantity in lots that is not below `quantity`."""
        return (quantity / self.lot).to_integral_value(ROUND_CEILING) * self.lot

    def accepts(self, quantity: Decimal, price: Decimal) -> bool:
        """Whether an order of this size is large enough for the exchange."""
        return quantity >= self.min_quantity and quantity * price >= self.min_notional


class Quote(NamedTuple):
    """The best bid and ask, with the quantities at these prices. `time` is when they were read."""

    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal
    time: int


class Closes(NamedTuple):
    """Closing prices of the closed candles of one symbol, oldest first. Read them from the end."""

    prices: Sequence[Decimal]
    last_start: int
    """When the newest closed candle began."""


class Position(NamedTuple):
    """What the bot has bought of one asset and not sold, fees deducted."""

    quantity: Decimal
    cost: Decimal
    """What was paid for it, without fees; `cost / quantity` is the average entry price."""
    lots: Mapping[str, Decimal] = NOTHING
    """Quantity by the tag of the orders that bought it, less what orders of that tag sold."""


NO_POSITION = Position(quantity=ZERO, cost=ZERO)


class Bought(NamedTuple):
    """All buys of one symbol by this bot, as far back as the exchange's records go."""

    spent: Decimal = ZERO
    """In the quote asset, without fees."""
    last: int = 0
    """The time of the newest fill, 0 if there is none."""


class Style(StrEnum):
    """How an order meets the market."""

    REST = "REST"
    """Rests in the book, and is refused if it would trade at once."""
    TAKE = "TAKE"
    """Takes the quantities that are quoted up to its price, and never rests."""
    ALL_OR_NOTHING = "ALL_OR_NOTHING"
    """Takes its whole quantity up to its price, or nothing."""
    AT_MARKET = "AT_MARKET"
    """Takes the best prices there are. Only to close a position."""


class Wish(NamedTuple):
    """An order that should exist now."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None = None
    """The limit; None for AT_MARKET."""
    style: Style = Style.REST
    tag: str = ""
    """Says which of several orders it is, such as a level: up to 4 letters and digits."""

    def of_size(self, quantity: Decimal) -> "Wish":
        """Return the same wish with another quantity."""
        return self._replace(quantity=quantity)


class Resting(NamedTuple):
    """An order of the strategy that is in the book."""

    symbol: str
    side: Side
    price: Decimal
    remaining: Decimal
    created: int
    tag: str


class View(NamedTuple):
    """What a strategy sees at `now`."""

    now: int
    markets: Mapping[str, Market]
    quotes: Mapping[str, Quote]
    positions: Mapping[str, Position] = NOTHING
    """By asset. Holdings that the bot has not bought are not in it."""
    bought: Mapping[str, Bought] = NOTHING
    """By symbol."""
    resting: Sequence[Resting] = ()
    closes: Closes | None = None
    """For strategies that ask for candles."""
    free: Decimal = ZERO
    """What the account can spend of the asset in which money is counted."""
    last_fill: int = 0
    """The time of the newest fill of any order of this bot, 0 if there is none."""

    def position(self, asset: str) -> Position:
        """Return the position in `asset`, an empty one if there is none."""
        return self.positions.get(asset, NO_POSITION)

    def resting_at(self, side: Side, tag: str) -> Resting | None:
        """Return the order of that side and tag that is in the book."""
        for order in self.resting:
            if order.side is side and order.tag == tag:
                return order
        return None
