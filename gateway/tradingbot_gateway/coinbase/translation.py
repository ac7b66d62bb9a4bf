"""Coinbase's JSON to the core's words, and back. Pure functions.

Coinbase has no tag for orders, so an own order is known by its client id: that of the bot, behind a
mark that follows from the bot's name. A bracket is one order there and two in the core, of which
one ends the other: the first one has the exchange's id and all fills.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tradingbot_exchange.coinbase.engine_orders import BRACKET_SLIPPAGE
from tradingbot_exchange.coinbase.order_requests import MAX_CLIENT_ID, STOP_DOWN
from tradingbot_exchange.coinbase.wire import number, parse_instant
from tradingbot_exchange.engine.types import OrderType, Side

from tradingbot_gateway.risk.events import End
from tradingbot_gateway.risk.reconciliation import ExchangeOrder, ExchangeTrade
from tradingbot_gateway.risk.types import PROTECTION_PREFIX, ZERO, Order, assets_of

Json = Mapping[str, Any]

FAILED = "FAILED"
"""An order that was accepted for a moment, and never came into the market."""
UNSETTLED = frozenset({"PENDING", "UNKNOWN_ORDER_STATUS"})
"""Nothing is known yet."""

_ENDS = {"FILLED": End.FILLED, "CANCELLED": End.CANCELED, "EXPIRED": End.EXPIRED}
_ID_BYTES = 6
_STOP_LEG = "/stop"
"""Of a bracket of the bot. No client id of a bot has a slash."""
_LEGS = ("-0", "-1")
"""Of a bracket of the gateway: the core's numbers of its orders."""


@dataclass(frozen=True, slots=True)
class Tag:
    """How the orders of one bot are known on its account."""

    prefix: str

    @classmethod
    def of(cls, namespace: str, name: str) -> "Tag":
        """Return the tag of a bot: the same after each restart."""
        digest = hashlib.sha256(f"{namespace}/{name}".encode()).hexdigest()
        return cls(f"tb{digest[: 2 * _ID_BYTES]}-")

    def marked(self, client_id: str) -> str:
        """Return the client id that the exchange gets."""
        return self.prefix + client_id

    def original(self, client_id: str) -> str | None:
        """Return the client id as the bot knows it; None of an order of somebody else."""
        found = client_id.removeprefix(self.prefix)
        return found if found != client_id else None

    @property
    def longest(self) -> int:
        """How long a client id of the bot may be."""
        return MAX_CLIENT_ID - len(self.prefix)


def bracket_ids(client_id: str) -> tuple[str, str]:
    """Return the core's client ids of a bracket's take-profit and stop."""
    if client_id.startswith(PROTECTION_PREFIX):
        return client_id + _LEGS[0], client_id + _LEGS[1]
    return client_id, client_id + _STOP_LEG


def sent_id(client_id: str, group: str | None) -> str:
    """Return the client id, without the mark, with which the exchange knows a core's order."""
    return client_id if group is None else group


def is_protection(client_id: str) -> bool:
    """Whether a client id, without the mark, is one of the gateway's own orders."""
    return client_id.startswith(PROTECTION_PREFIX)


# Queries


def exchange_orders(view: Json, tag: Tag) -> tuple[ExchangeOrder, ...]:
    """Return an own order of a query, or the two of a bracket.

    Empty for an order of somebody else. Raises KeyError, ValueError, ArithmeticError.
    """
    client_id = tag.original(view["client_order_id"])
    if client_id is None:
        return ()
    executed, ended = Decimal(view["filled_size"]), _end(view)
    created = parse_instant(view["created_time"])
    if created is None:
        raise ValueError("created_time is not a time")
    orders = _orders(view, client_id)
    first = True
    found = []
    for order in orders:
        found.append(
            ExchangeOrder(
                order=order,
                exchange_id=view["order_id"] if first else "",
                own=True,
                created=created,
                executed=executed if first else ZERO,
                ended=ended,
                group=client_id if len(orders) > 1 else None,
            )
        )
        first = False
    return tuple(found)


def _end(view: Json) -> End | None:
    if view["status"] == FAILED:
        return End.CANCELED
    return _ENDS.get(view["status"])


def _orders(view: Json, client_id: str) -> tuple[Order, ...]:
    ((form, members),) = (
        (name, value) for name, value in view["order_configuration"].items() if value
    )
    size = _positive(members.get("base_size"))
    by_quote = size is None or (view.get("size_in_quote") and _positive(members.get("quote_size")))
    price = _positive(members.get("limit_price"))
    symbol, side = view["product_id"], Side(view["side"])
    if form.startswith("trigger_bracket"):
        trigger = Decimal(members["stop_trigger_price"])
        return bracket(
            client_id, symbol, side, size=size or ZERO, price=price or ZERO, trigger=trigger
        )
    stop = _positive(members.get("stop_price"))
    kind = OrderType.LIMIT
    if form.startswith("market"):
        kind = OrderType.MARKET
    elif stop is not None:
        kind = stop_type(side, members.get("stop_direction", ""))
    return (
        Order(
            client_id=client_id,
            symbol=symbol,
            side=side,
            type=kind,
            quantity=None if by_quote else size,
            quote_quantity=Decimal(members["quote_size"]) if by_quote else None,
            price=price,
            stop_price=stop,
        ),
    )


def bracket(
    client_id: str,
    symbol: str,
    side: Side,
    *,
    size: Decimal,
    price: Decimal,
    trigger: Decimal,
) -> tuple[Order, Order]:
    """Return the two orders of the core that a bracket is.

    The stop of a bracket of the bot counts with its limit, that of the gateway as the core has
    placed it.
    """
    profit_id, stop_id = bracket_ids(client_id)
    beyond = trigger * (1 - BRACKET_SLIPPAGE if side is Side.SELL else 1 + BRACKET_SLIPPAGE)
    own = is_protection(client_id)
    return (
        Order(
            client_id=profit_id,
            symbol=symbol,
            side=side,
            type=OrderType.LIMIT,
            quantity=size,
            price=price,
        ),
        Order(
            client_id=stop_id,
            symbol=symbol,
            side=side,
            type=OrderType.STOP_MARKET if own else OrderType.STOP_LIMIT,
            quantity=size,
            price=None if own else beyond,
            stop_price=trigger,
        ),
    )


def stop_type(side: Side, direction: str) -> OrderType:
    """Return what an order with a stop price is: one that limits a loss, or takes a profit."""
    loss = (direction == STOP_DOWN) == (side is Side.SELL)
    return OrderType.STOP_LIMIT if loss else OrderType.TAKE_PROFIT_LIMIT


def exchange_trade(fill: Json, symbol: str, lot: Decimal) -> ExchangeTrade:
    """Return a fill of an order of `symbol`. `lot`: the base asset's step.

    A fill may name the product whose book it is; what is paid is the order's quote asset. Raises
    KeyError, ValueError.
    """
    price, size = Decimal(fill["price"]), Decimal(fill["size"])
    if fill.get("size_in_quote"):
        size = (size / price / lot).quantize(Decimal(1), ROUND_HALF_EVEN) * lot
    time = parse_instant(fill["trade_time"])
    if time is None:
        raise ValueError("trade_time is not a time")
    return ExchangeTrade(
        symbol=symbol,
        trade_id=fill["entry_id"],
        exchange_id=fill["order_id"],
        price=price,
        quantity=size,
        fee=Decimal(fill["commission"]),
        fee_asset=assets_of(symbol)[1],
        time=time,
    )


def of_one_order(
    trades: Iterable[ExchangeTrade], executed: Decimal, lot: Decimal, *, known: Container[str]
) -> tuple[ExchangeTrade, ...]:
    """Return the fills in the quote asset of an order that has ended, as what it has filled.

    Each one is rounded to lots for itself. If their sum differed from the order's own figure, a
    fill would be awaited for ever. What is missing by more than rounding is a fill that is still to
    come. `known`: the trades that are counted already, and stay as they are.
    """
    trades = list(trades)
    rest = executed - sum((trade.quantity for trade in trades), ZERO)
    open_to_change = [at for at, trade in enumerate(trades) if trade.trade_id not in known]
    if rest and abs(rest) <= lot * len(trades) and open_to_change:
        largest = max(open_to_change, key=lambda index: trades[index].quantity)
        quantity = trades[largest].quantity + rest
        if quantity > 0:
            trades[largest] = replace(trades[largest], quantity=quantity)
    return tuple(trades)


def totals(accounts: Iterable[Json]) -> dict[str, Decimal]:
    """Return what accounts have in total, free and held, by asset."""
    found: dict[str, Decimal] = {}
    for account in accounts:
        amount = Decimal(account["available_balance"]["value"]) + Decimal(account["hold"]["value"])
        if amount:
            found[account["currency"]] = found.get(account["currency"], ZERO) + amount
    return found


def _positive(text: str | None) -> Decimal | None:
    """Return a number; Coinbase writes zeros or nothing for one that is not there."""
    value = Decimal(text or "0")
    return value if value > 0 else None


# The gateway's own orders


def own_body(orders: tuple[Order, ...], group: str | None, tag: Tag) -> dict[str, object]:
    """Return the body of an order at the market, or of a bracket, of the gateway."""
    first = orders[0]
    configuration: dict[str, object]
    if len(orders) == 1 and first.type is OrderType.MARKET:
        configuration = {"market_market_ioc": {"base_size": number(first.quantity or ZERO)}}
    elif len(orders) > 1:
        profit = next(each for each in orders if each.stop_price is None)
        stop = next(each for each in orders if each.stop_price is not None)
        configuration = {
            "trigger_bracket_gtc": {
                "base_size": number(first.quantity or ZERO),
                "limit_price": number(profit.price or ZERO),
                "stop_trigger_price": number(stop.stop_price or ZERO),
            }
        }
    else:
        raise ValueError(f"the gateway sends no {first.type} alone")
    return {
        "client_order_id": tag.marked(sent_id(first.client_id, group)),
        "product_id": first.symbol,
        "side": first.side.value,
        "order_configuration": configuration,
    }
