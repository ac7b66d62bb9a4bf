"""The words of the engine: instruments, orders, fills, events and refusals.

Quantities are in the base asset and prices in the quote asset, as `Decimal`. Times are milliseconds
since the epoch. What the engine makes for each fill is a NamedTuple, which takes half as long to
make as a frozen dataclass. The names are those of the field (FIX, Binance, Coinbase); a dialect
translates them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

ASSET_UNIT = Decimal("0.00000001")
"""The smallest amount of any asset, unless an engine has another one."""


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """What an order does when it arrives, and when its stop price is reached."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP_LIMIT = "STOP_LIMIT"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"


class TimeInForce(StrEnum):
    """How long an order rests."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class OrderStatus(StrEnum):
    """The state of an order.

    WAITING: its stop price has not been reached. CANCELED: a user asked for it. EXPIRED: the
    exchange ended it, for the reason in `ended_by`.
    """

    WAITING = "WAITING"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


class Reason(StrEnum):
    """Why a request is refused, or why an order ended without being filled."""

    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    SYMBOL_HALTED = "SYMBOL_HALTED"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    DUPLICATE_CLIENT_ID = "DUPLICATE_CLIENT_ID"
    BAD_PARAMETERS = "BAD_PARAMETERS"
    PRICE_RANGE = "PRICE_RANGE"
    PRICE_TICK = "PRICE_TICK"
    PRICE_FAR_FROM_MARKET = "PRICE_FAR_FROM_MARKET"
    QUANTITY_RANGE = "QUANTITY_RANGE"
    QUANTITY_STEP = "QUANTITY_STEP"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    TOO_MANY_ORDERS = "TOO_MANY_ORDERS"
    TOO_MANY_STOPS = "TOO_MANY_STOPS"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    WOULD_TAKE = "WOULD_TAKE"
    WOULD_TRIGGER = "WOULD_TRIGGER"
    OCO_PRICES = "OCO_PRICES"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    UNFILLED_IOC = "UNFILLED_IOC"
    UNFILLED_FOK = "UNFILLED_FOK"
    OCO_TRIGGERED = "OCO_TRIGGERED"
    REACHED_END_TIME = "REACHED_END_TIME"
    BY_USER = "BY_USER"
    REPLACED = "REPLACED"
    SELF_TRADE = "SELF_TRADE"


class RefusedError(RuntimeError):
    """The engine did not accept a request; nothing has changed."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What can be traded, and in which steps.

    `tick * lot` is a multiple of the engine's unit, so every notional is exact. Fees are fractions
    (0.001 is 0.1 %) of what the order receives: of the base asset for a buy, of the quote asset for
    a sale, unless `fee_in_quote` (Coinbase charges a buy in the quote asset).
    """

    symbol: str
    """The engine's name, `BTC-USDT`. A dialect has its own spelling of it."""
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_price: Decimal
    max_price: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    fee_in_quote: bool = False
    max_orders: int = 200
    """Open orders of one account, waiting ones included. Orders that can't rest are not limited."""
    max_stops: int = 5
    """Orders of one account that wait for their stop price."""
    price_band: Decimal = Decimal("0.8")
    """How far a limit may be from the last price, as a fraction, on the costly side: above it for a
    buy, below it for a sale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """A request for an order. Exactly one of `quantity` and `quote_quantity` is set.

    `quote_quantity` is for market orders: what to spend, or to receive.
    """

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce = TimeInForce.GTC
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    post_only: bool = False
    client_id: str = ""
    expires_at: int | None = None
    """For GTD."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What a dialect wants to find again on the order, such as Binance's strategyId."""


@dataclass(slots=True, kw_only=True)
class Order:
    """An order as the engine keeps it. Only the engine changes it."""

    id: int
    account: str
    request: NewOrder
    status: OrderStatus
    quantity: Decimal
    """What is to be filled. 0 for a market order by `quote_quantity` that has filled nothing."""
    created: int
    updated: int
    filled: Decimal = Decimal(0)
    filled_quote: Decimal = Decimal(0)
    fills: int = 0
    """The number of fills."""
    fees: dict[str, Decimal] = field(default_factory=dict)
    """By asset."""
    list_id: int | None = None
    """The OCO list that it belongs to."""
    triggered: int | None = None
    """When its stop price was reached."""
    ended_by: Reason | None = None
    """Set once it is canceled or expired."""


class Fill(NamedTuple):
    """One side of a trade, as its account sees it."""

    trade_id: int
    """Of the symbol, from 1; both sides have the same."""
    order_id: int
    account: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    time: int


class Trade(NamedTuple):
    """A trade as everybody sees it."""

    id: int
    symbol: str
    price: Decimal
    quantity: Decimal
    time: int
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has of one asset."""

    free: Decimal
    held: Decimal


@dataclass(frozen=True, slots=True)
class Level:
    """One price of a book."""

    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Book:
    """The best levels of both sides, best first. `sequence` grows with each change."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    sequence: int


class Change(StrEnum):
    """What happened to an order."""

    ACCEPTED = "ACCEPTED"
    TRIGGERED = "TRIGGERED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"
    """Its quantity or price was edited in place."""


class OrderEvent(NamedTuple):
    """A change of an order, with the figures right after it."""

    change: Change
    order: Order
    status: OrderStatus
    filled: Decimal
    filled_quote: Decimal
    time: int
    fill: Fill | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceEvent:
    """New balances of an account, once for each call that changed them."""

    account: str
    balances: Mapping[str, Balance]
    """Only the assets that changed."""
    time: int


class ListStatus(StrEnum):
    """The state of an OCO list."""

    EXECUTING = "EXECUTING"
    DONE = "DONE"


class OrderList(NamedTuple):
    """Two orders of which one ends the other. `orders` are their ids: the limit, then the stop."""

    id: int
    account: str
    symbol: str
    client_id: str
    orders: tuple[int, int]
    status: ListStatus
    created: int


class ListEvent(NamedTuple):
    """An OCO list began or ended."""

    list: OrderList
    time: int


class TradeEvent(NamedTuple):
    """A trade that everybody sees."""

    trade: Trade


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEvent:
    """Levels of a book that changed, once for each call and symbol. Quantity 0: no such level."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    sequence: int
    time: int


Event = OrderEvent | BalanceEvent | ListEvent | TradeEvent | BookEvent
