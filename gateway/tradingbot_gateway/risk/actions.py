"""What the gateway does by itself, for a server to perform."""

from dataclasses import dataclass

from tradingbot_gateway.risk.types import Order, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Cancel an order; the other order of its list ends with it. Repeated until it has ended."""

    client_id: str
    symbol: str
    group: str | None
    """The client id of the list, if the order belongs to one: cancel the list then."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Send an order (one), or a list of which one ends the other (two: take-profit, stop-loss).

    It has been counted as sent already; report what becomes of it as for an order of the bot. Save
    the events of `drain` before sending.
    """

    orders: tuple[Order, ...]
    group: str | None
    purpose: Purpose
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask the exchange what became of an order (the order, and its trades if it has filled).

    Answer with `reconcile`, and pass its events to `Desk.on`.
    """

    client_id: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindPrice:
    """Find the price of an asset in money at an instant, such as the close of a one-minute candle.

    Answer with the event `Priced`.
    """

    asset: str
    at: int


Action = Cancel | Place | Ask | FindPrice
