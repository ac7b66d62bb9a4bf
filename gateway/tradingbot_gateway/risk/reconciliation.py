"""From what an exchange answers to events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tradingbot_gateway.risk.events import End, Event
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.types import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOrder:
    """An order as the exchange shows it."""

    order: Order
    exchange_id: str
    own: bool
    """Whether it has the tag of this bot. All others are left alone."""
    created: int
    executed: Decimal
    ended: End | None
    """None while it is open."""
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeTrade:
    """A trade of the account. It names its order by the exchange's id alone."""

    symbol: str
    trade_id: str
    exchange_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What an exchange answered, all of it or a part."""

    asked: int
    """When the first of the questions was sent."""
    orders: tuple[ExchangeOrder, ...] = ()
    """From open orders, lists of orders, or queries of one order, in any mixture."""
    trades: tuple[ExchangeTrade, ...] = ()
    not_found: frozenset[str] = frozenset()
    """Client ids that were asked for and that the exchange does not know."""
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    """Totals, free and held."""


def reconcile(ledger: Ledger, answers: Answers) -> tuple[Event, ...]:
    """Return what the ledger does not know yet. Orders of others have no events."""
    raise NotImplementedError
