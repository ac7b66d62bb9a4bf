"""The answers to a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tradingbot_gateway.risk.actions import Cancel


class Control(StrEnum):
    """What refuses an order. The values are those of the header `X-Tradingbot-Refused`."""

    MAX_POSITION_SIZE = "MaxPositionSize"
    MAX_OPEN_POSITIONS = "MaxOpenPositions"
    DAILY_LOSS_LIMIT = "DailyLossLimit"
    PRICE_COLLAR = "PriceCollar"
    NO_PRICE = "NoPrice"
    ORDER_RATE = "MaxOrdersPerMinute"
    ALLOWED_SYMBOLS = "AllowedSymbols"
    DUPLICATE = "Duplicate"
    UNKNOWN_OUTCOME = "UnknownOutcome"
    NOT_RECONCILED = "NotReconciled"
    NOT_GRANTED = "NotGranted"
    CLOSED = "Closed"
    TERMINATING = "Terminating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The request may be sent as it is. Only the events returned by `drain` must be saved first."""

    entry: bool
    """Whether it could open or add to a position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The request must not be sent."""

    control: Control
    message: str
    """One sentence with the limit and the figures."""
    figures: Mapping[str, Decimal] = field(default_factory=dict)
    """The figures of the message, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The request is an exit, and the gateway's own protection locks what it sells.

    Perform the cancels, hand the answers to `Desk.on`, then call `Desk.decide` again. Protection is
    not placed again for 5 seconds meanwhile.
    """

    cancels: tuple[Cancel, ...]


Verdict = Allowed | Refused | Release
