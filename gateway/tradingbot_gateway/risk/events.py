"""Facts about orders and days. The ledger is what follows from them, in the order of arrival.

All events are harmless when they come twice or late. `time` is when the exchange says that it
happened, or when the gateway learned it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tradingbot_gateway.risk.types import Order, Purpose


class End(StrEnum):
    """How an order ended."""

    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REFUSED = "REFUSED"
    """The exchange did not accept the order."""
    NOT_TAKEN = "NOT_TAKEN"
    """The order was not sent, or the exchange takes no requests for a while. This says nothing of
    the order: another one like it may be accepted later."""
    NOT_FOUND = "NOT_FOUND"
    """The exchange does not know the order. Ignored if the exchange was asked too early: a request
    that is still on its way may be accepted later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request is about to be sent, and counts from here on. Must be saved before it is sent."""

    time: int
    orders: tuple[Order, ...]
    counted: tuple[Decimal, ...]
    """The quantities that count, one for each order: estimated for orders by `quote_quantity`."""
    group: str | None
    purpose: Purpose
    entry: bool
    kind: Literal["Sent"] = "Sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The exchange has accepted an order."""

    time: int
    client_id: str
    exchange_id: str
    kind: Literal["Acknowledged"] = "Acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The answer to a sent order did not come, or said that the outcome is unknown."""

    time: int
    client_id: str
    kind: Literal["Lost"] = "Lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The exchange has an own order. It is adopted if the ledger does not know the order."""

    time: int
    order: Order
    exchange_id: str
    group: str | None
    created: int
    """When the exchange accepted it."""
    counted: Decimal
    """Its quantity; for an order by `quote_quantity` what it has filled."""
    open: bool = True
    """Whether it is open at the exchange; `Ended` follows for one that is not."""
    kind: Literal["Found"] = "Found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A trade of an own order, partial or complete. Counted once by `symbol` and `trade_id`."""

    time: int
    client_id: str
    symbol: str
    trade_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    fee_price: Decimal | None = None
    """The price of a third fee asset in money, if it is known already; `Desk` fills it in."""
    quote_price: Decimal | None = None
    """The price in money of a quote asset that is not money, as `fee_price`."""
    exchange_id: str = ""
    """The exchange's id of the order, if it is known: client ids can be used again."""
    kind: Literal["Filled"] = "Filled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An order is no longer open. `executed` is all that it has filled, as the exchange says.

    Fills that have not arrived still count until they do. None: what is known is all.
    """

    time: int
    client_id: str
    how: End
    executed: Decimal | None = None
    exchange_id: str = ""
    """As of `Filled`."""
    kind: Literal["Ended"] = "Ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSent:
    """A cancel of an order is on its way."""

    time: int
    client_id: str
    kind: Literal["CancelSent"] = "CancelSent"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBegan:
    """A trading day began at `starts` and lasts until `ends`."""

    time: int
    day: date
    starts: int
    ends: int
    kind: Literal["DayBegan"] = "DayBegan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """The price of an asset in money at an instant: of a day's start, or of the time of a fee."""

    time: int
    asset: str
    at: int
    price: Decimal
    ask: Decimal | None = None
    """Given if `price` is a bid. It is the price of what was owed."""
    kind: Literal["Priced"] = "Priced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued:
    """The price that counts as that of a position's entry, where that one was not known."""

    time: int
    asset: str
    price: Decimal
    kind: Literal["Valued"] = "Valued"


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """Nothing is opened before `until`, whatever becomes of limits and figures."""

    time: int
    until: int
    reason: str
    kind: Literal["Halted"] = "Halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """What the account has in total, free and held, of some assets."""

    time: int
    totals: Mapping[str, Decimal]
    kind: Literal["Balances"] = "Balances"


Event = (
    Sent
    | Acknowledged
    | Lost
    | Found
    | Filled
    | Ended
    | CancelSent
    | DayBegan
    | Priced
    | Valued
    | Halted
    | Balances
)

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
"""Writes an event as JSON, and reads it: `EVENT.dump_json(event)`, `EVENT.validate_json(line)`."""

DURABLE = (Sent, DayBegan, Priced, Halted)
"""What an exchange can't tell again: saved before anything of it has an effect outside."""
