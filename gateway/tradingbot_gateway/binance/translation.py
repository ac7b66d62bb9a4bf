"""Binance's JSON to the core's words, and back. Pure functions.

Own orders are known by their tag, strategyId and strategyType: client ids have no room for one, and
stay as the bot chose them.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tradingbot_exchange.binance.orders import FIRST_STRATEGY_TYPE, TYPES
from tradingbot_exchange.engine.types import OrderType, Side

from tradingbot_gateway.risk.events import (
    Acknowledged,
    Balances,
    End,
    Ended,
    Event,
    Filled,
    Found,
)
from tradingbot_gateway.risk.reconciliation import ExchangeOrder, ExchangeTrade
from tradingbot_gateway.risk.types import PROTECTION_PREFIX, Order

Json = Mapping[str, Any]

_NO_LIST = -1
STRATEGY_TYPE = FIRST_STRATEGY_TYPE + 8080
"""strategyType of every order that went through a gateway."""

_ID_BYTES = 6

ENDS = {
    "FILLED": End.FILLED,
    "CANCELED": End.CANCELED,
    "EXPIRED": End.EXPIRED,
    "EXPIRED_IN_MATCH": End.EXPIRED,
    "REJECTED": End.REFUSED,
}
"""Statuses of orders that are no longer open."""

_PLAIN_NAMES = {
    OrderType.LIMIT: "LIMIT",
    OrderType.MARKET: "MARKET",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
    OrderType.STOP_MARKET: "STOP_LOSS",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT_LIMIT",
    OrderType.TAKE_PROFIT_MARKET: "TAKE_PROFIT",
}
_ACKNOWLEDGED = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
_FULL_BY_DEFAULT = frozenset({"LIMIT", "MARKET"})


@dataclass(frozen=True, slots=True)
class Tag:
    """How the orders of one bot are known on its account."""

    strategy_id: int
    strategy_type: int = STRATEGY_TYPE

    @classmethod
    def of(cls, namespace: str, name: str) -> "Tag":
        """Return the tag of a bot: the same after each restart."""
        digest = hashlib.sha256(f"{namespace}/{name}".encode()).digest()
        return cls(int.from_bytes(digest[:_ID_BYTES], "big"))

    def parameters(self, prefix: str = "") -> dict[str, str]:
        """Return the parameters that tag an order of a request."""
        names = ("strategyId", "strategyType")
        values = (str(self.strategy_id), str(self.strategy_type))
        return dict(zip((prefixed(prefix, name) for name in names), values, strict=True))

    def marks(self, strategy_id: object, strategy_type: object) -> bool:
        """Whether an order with these values is one of this bot."""
        return strategy_id == self.strategy_id and strategy_type == self.strategy_type


def prefixed(prefix: str, name: str) -> str:
    """Return a parameter's name in an order list: `aboveStrategyId`."""
    return prefix + name[0].upper() + name[1:] if prefix else name


# Answers to new orders and cancels


def placed(body: Json, order: Order) -> Iterator[Event]:
    """Return what the answer to a new order says."""
    time, client_id = int(body["transactTime"]), order.client_id
    exchange_id = str(body["orderId"])
    yield Acknowledged(time=time, client_id=client_id, exchange_id=exchange_id)
    for fill in body.get("fills", ()):
        yield Filled(
            time=time,
            client_id=client_id,
            symbol=order.symbol,
            trade_id=str(fill["tradeId"]),
            price=Decimal(fill["price"]),
            quantity=Decimal(fill["qty"]),
            fee=Decimal(fill["commission"]),
            fee_asset=fill["commissionAsset"],
            exchange_id=exchange_id,
        )
    end = ENDS.get(body.get("status", ""))
    if end is not None:
        yield Ended(
            time=time,
            client_id=client_id,
            how=end,
            executed=Decimal(body["executedQty"]),
            exchange_id=exchange_id,
        )


def canceled(body: Json, tag: Tag) -> Iterator[Event]:
    """Return what the answer to a cancel says, of an order or of a list."""
    for report in body.get("orderReports", (body,)):
        if not tag.marks(report.get("strategyId"), report.get("strategyType")):
            continue
        end = ENDS.get(report.get("status", ""))
        if end is not None:
            yield Ended(
                time=int(report["transactTime"]),
                client_id=report["origClientOrderId"],
                how=end,
                executed=Decimal(report["executedQty"]),
                exchange_id=str(report["orderId"]),
            )


def trimmed(body: dict[str, Any], asked: str | None, order_type: str) -> dict[str, Any]:
    """Return a FULL answer as the ACK or RESULT that the bot has asked for, or gets by default."""
    wanted = asked or ("FULL" if order_type in _FULL_BY_DEFAULT else "ACK")
    if wanted == "ACK":
        return {name: body[name] for name in _ACKNOWLEDGED if name in body}
    if wanted == "RESULT":
        return {name: value for name, value in body.items() if name != "fills"}
    return body


# Queries


def exchange_order(
    view: Json, symbol: str, tag: Tag, *, groups: Mapping[int, str]
) -> ExchangeOrder:
    """Return an order of a query. `groups` are client ids of order lists by their id."""
    quote_quantity = Decimal(view.get("origQuoteOrderQty", "0"))
    order = Order(
        client_id=view["clientOrderId"],
        symbol=symbol,
        side=Side(view["side"]),
        type=TYPES[view["type"]].engine,
        quantity=None if quote_quantity else Decimal(view["origQty"]),
        quote_quantity=quote_quantity or None,
        price=_positive(view.get("price")),
        stop_price=_positive(view.get("stopPrice")),
    )
    return ExchangeOrder(
        order=order,
        exchange_id=str(view["orderId"]),
        own=tag.marks(view.get("strategyId"), view.get("strategyType")),
        created=int(view["time"]),
        executed=Decimal(view["executedQty"]),
        ended=ENDS.get(view["status"]),
        group=groups.get(view["orderListId"]),
    )


def exchange_trade(view: Json, symbol: str) -> ExchangeTrade:
    """Return a trade of myTrades."""
    return ExchangeTrade(
        symbol=symbol,
        trade_id=str(view["id"]),
        exchange_id=str(view["orderId"]),
        price=Decimal(view["price"]),
        quantity=Decimal(view["qty"]),
        fee=Decimal(view["commission"]),
        fee_asset=view["commissionAsset"],
        time=int(view["time"]),
    )


def totals(account: Json) -> dict[str, Decimal]:
    """Return what an account has in total, by asset."""
    return {
        each["asset"]: Decimal(each["free"]) + Decimal(each["locked"])
        for each in account["balances"]
        if Decimal(each["free"]) + Decimal(each["locked"])
    }


def _positive(text: str | None) -> Decimal | None:
    """Return a price; Binance writes zeros for an order without one."""
    value = Decimal(text or "0")
    return value if value > 0 else None


# Events of the user data stream


def is_own(event: Json, tag: Tag) -> bool:
    """Whether an executionReport is of an order of this bot."""
    return tag.marks(event.get("j"), event.get("J"))


def reported(event: Json, symbol: str) -> Iterator[Event]:
    """Return what an executionReport of an own order says."""
    time, execution = int(event["T"]), event["x"]
    client_id = event["C"] if execution == "CANCELED" and event["C"] else event["c"]
    if execution == "NEW":
        yield _found(event, symbol, client_id)
        return
    if execution == "TRADE":
        yield Filled(
            time=time,
            client_id=client_id,
            symbol=symbol,
            trade_id=str(event["t"]),
            price=Decimal(event["L"]),
            quantity=Decimal(event["l"]),
            fee=Decimal(event["n"]),
            fee_asset=event["N"] or "",
            exchange_id=str(event["i"]),
        )
    end = ENDS.get(event["X"])
    if end is not None:
        yield Ended(
            time=time,
            client_id=client_id,
            how=end,
            executed=Decimal(event["z"]),
            exchange_id=str(event["i"]),
        )


def _group(event: Json, client_id: str) -> str | None:
    """Return the client id of the order's list, None if it has none, or if the event does not say.

    The protection of another gateway of the bot is two orders of one list, of which one alone can
    fill. A gateway that counted both would cancel one of them as too much.
    """
    if event.get("g", _NO_LIST) == _NO_LIST or not client_id.startswith(PROTECTION_PREFIX):
        return None
    return client_id.rpartition("-")[0]  # as `Desk` names them


def _found(event: Json, symbol: str, client_id: str) -> Found:
    quote_quantity = Decimal(event.get("Q", "0"))
    quantity = Decimal(event["q"])
    return Found(
        time=int(event["T"]),
        order=Order(
            client_id=client_id,
            symbol=symbol,
            side=Side(event["S"]),
            type=TYPES[event["o"]].engine,
            quantity=None if quote_quantity else quantity,
            quote_quantity=quote_quantity or None,
            price=_positive(event["p"]),
            stop_price=_positive(event["P"]),
        ),
        exchange_id=str(event["i"]),
        group=_group(event, client_id),
        created=int(event["O"]),
        counted=Decimal(event["z"]) if quote_quantity else quantity,
        open=True,
    )


def balances(event: Json) -> Balances:
    """Return what an outboundAccountPosition says."""
    return Balances(
        time=int(event["E"]),
        totals={each["a"]: Decimal(each["f"]) + Decimal(each["l"]) for each in event["B"]},
    )


# The gateway's own orders


def order_parameters(order: Order, name: str, tag: Tag) -> dict[str, str]:
    """Return the parameters of a new order of the gateway. `name` is Binance's symbol."""
    return {
        "symbol": name,
        "side": order.side.value,
        **_leg(order, "", post_only=False),
        "newClientOrderId": order.client_id,
        **({} if order.quantity is None else {"quantity": f"{order.quantity:f}"}),
        **({} if order.quote_quantity is None else {"quoteOrderQty": f"{order.quote_quantity:f}"}),
        "newOrderRespType": "FULL",
        **tag.parameters(),
    }


def list_parameters(
    orders: Iterable[Order], name: str, group: str | None, tag: Tag
) -> dict[str, str]:
    """Return the parameters of an OCO of the gateway."""
    first, second = sorted(orders, key=_reference)
    return {
        "symbol": name,
        "side": first.side.value,
        "quantity": f"{first.quantity:f}",
        **({} if group is None else {"listClientOrderId": group}),
        **_leg(second, "above", post_only=True),
        "aboveClientOrderId": second.client_id,
        **tag.parameters("above"),
        **_leg(first, "below", post_only=True),
        "belowClientOrderId": first.client_id,
        **tag.parameters("below"),
        "newOrderRespType": "FULL",
    }


def _reference(order: Order) -> Decimal:
    """Return the price that decides whether an order of a list is above or below the market."""
    return order.stop_price or order.price or Decimal(0)


def _leg(order: Order, prefix: str, *, post_only: bool) -> dict[str, str]:
    kind = _PLAIN_NAMES[order.type]
    if post_only and order.type is OrderType.LIMIT:
        kind = "LIMIT_MAKER"
    fields = {"type": kind}
    if kind in {"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}:
        fields["timeInForce"] = "GTC"
    if order.price is not None and order.type not in {OrderType.MARKET, OrderType.STOP_MARKET}:
        fields["price"] = f"{order.price:f}"
    if order.stop_price is not None:
        fields["stopPrice"] = f"{order.stop_price:f}"
    return {prefixed(prefix, field): value for field, value in fields.items()}
