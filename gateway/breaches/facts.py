"""What the world tells the checker, in the words of the exchange's engine."""

from dataclasses import dataclass, field
from decimal import Decimal

from tradingbot_exchange.engine.types import Fill, Level, NewOrder, Order, OrderStatus

LIVE = (OrderStatus.WAITING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of the bot: one order, or two of which one ends the other."""

    legs: tuple[NewOrder, ...]
    group: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits that apply."""

    size: Decimal
    positions: int
    loss: Decimal
    collar: Decimal
    rate: int
    stop: Decimal
    profit: Decimal
    symbols: frozenset[str] | None
    closed: bool = False
    halted_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A book that the gateway was shown."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time: int


@dataclass(slots=True, kw_only=True)
class Own:
    """An order that was let through, or placed by the gateway: what is true, and what it knows."""

    terms: NewOrder
    size: Decimal
    """Its quantity; of an order by money, what the money was worth when it was sent."""
    group: str | None
    gateways: bool
    at: int
    order: Order | None = None
    """Set once the exchange has accepted it."""
    travels: bool = True
    """Whether it is on its way to the exchange."""
    fills: dict[int, Fill] = field(default_factory=dict)
    known_fills: dict[int, Fill] = field(default_factory=dict)
    known_filled: Decimal = ZERO
    """What the gateway knows that it has filled: the sum of `known_fills`."""
    known_end: Decimal | None = None
    """What it has filled in all, once the gateway was told that it has ended."""
    heard: bool = False
    """Whether the gateway was told anything that the exchange says of it."""
    lost: bool = False
    """Whether the gateway was told that the answer is lost, and nothing since."""

    @property
    def live(self) -> bool:
        """Whether it may still fill at the exchange."""
        return self.travels or (self.order is not None and self.order.status in LIVE)

    @property
    def filled(self) -> Decimal:
        """What it has filled at the exchange."""
        return ZERO if self.order is None else self.order.filled

    @property
    def known_live(self) -> bool:
        """Whether it may still fill, as far as the gateway was told."""
        return self.known_end is None

    @property
    def missing(self) -> Decimal:
        """What it has filled as the gateway knows, without that it was shown the fills."""
        if self.known_end is None or self.known_end <= self.known_filled:
            return ZERO
        return self.known_end - self.known_filled


class Breach(Exception):  # noqa: N818 -- it is the word for what is searched
    """An invariant does not hold."""
