"""What the ledger keeps."""

from dataclasses import dataclass, field
from decimal import Decimal

from tradingbot_gateway.risk.day import Day
from tradingbot_gateway.risk.orders import Tracked
from tradingbot_gateway.risk.positions import Holdings
from tradingbot_gateway.risk.types import Order


@dataclass(slots=True)
class State:
    """All that the ledger keeps. It is written to JSON as it is."""

    money: str
    orders: dict[str, Tracked] = field(default_factory=dict)
    """By client id: all that may still fill, and those that ended a short time ago."""
    holdings: Holdings = field(default_factory=Holdings)
    day: Day | None = None
    entries: list[tuple[int, Order]] = field(default_factory=list)
    """The entries of the last minute, with the times at which they were sent, oldest first."""
    halted_until: int = 0
    halt_reason: str = ""
    horizon: int = 0
    """Orders that had ended by then may be forgotten: what arrives of them is late, not new."""
    strangers: dict[str, str] = field(default_factory=dict)
    """Symbols by client id of own orders that have fills, and that the ledger does not know."""
    unprotected: dict[str, int] = field(default_factory=dict)
    """Assets for which the exchange refused protection, with the time."""
    totals: dict[str, Decimal] = field(default_factory=dict)
    """What the account has, by asset, if it was read."""
    own_orders: int = 0
    """How many orders the gateway has placed by itself: numbers of their client ids."""
