"""Writing the events of an account: executionReport, outboundAccountPosition and the others.

Pure functions from the engine's events to JSON values; the WebSocket API wraps them with their
subscription. Single letters are Binance's field names (user-data-stream.md).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradingbot_exchange.binance import shapes
from tradingbot_exchange.binance.orders import STOPS, STRATEGY_ID, STRATEGY_TYPE, type_name
from tradingbot_exchange.binance.symbols import PREVENTION_MODE, amount
from tradingbot_exchange.engine.types import (
    Balance,
    Change,
    Order,
    OrderEvent,
    OrderList,
    OrderStatus,
    Reason,
)

_EXECUTIONS = {
    Change.ACCEPTED: "NEW",
    Change.TRIGGERED: "NEW",
    Change.FILLED: "TRADE",
    Change.CANCELED: "CANCELED",
    Change.EXPIRED: "EXPIRED",
    Change.REPLACED: "REPLACED",
}
_ON_BOOK = {OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}


def execution_report(
    event: OrderEvent, name: str, *, time: int, execution_id: int, cancel_id: str = ""
) -> dict[str, object]:
    """Return the report of one change of an order.

    `cancel_id` is the client id of the cancel that caused it: it takes the place of the order's.
    """
    order, request = event.order, event.order.request
    canceled = event.change is Change.CANCELED and event.reason is not Reason.OCO_TRIGGERED
    report: dict[str, object] = {
        "e": "executionReport",
        "E": time,
        "s": name,
        "c": cancel_id if canceled and cancel_id else request.client_id,
        "S": request.side.value,
        "o": type_name(request),
        "f": request.time_in_force.value,
        "q": amount(order.quantity if request.quote_quantity is None else event.filled),
        "p": amount(request.price or Decimal(0)),
        "P": amount(request.stop_price or Decimal(0)),
        "F": shapes.ZERO,
        "g": shapes.list_id(order),
        "C": request.client_id if canceled and cancel_id else "",
        "x": _execution(event),
        "X": shapes.status_of(event.status, event.reason),
        "r": "NONE",
        "i": order.id,
        **_last_fill(event),
        "T": event.time,
        "I": execution_id,
        "w": event.status in _ON_BOOK and _is_working(event),
        "M": False,
        "O": order.created,
        "z": amount(event.filled),
        "Z": amount(event.filled_quote),
        "Q": amount(request.quote_quantity or Decimal(0)),
        "V": PREVENTION_MODE,
    }
    report.update(_conditional(event))
    return report


def _execution(event: OrderEvent) -> str:
    if event.reason is Reason.SELF_TRADE:
        return "TRADE_PREVENTION"
    if event.reason is Reason.OCO_TRIGGERED:
        return "EXPIRED"
    return _EXECUTIONS[event.change]


def _is_working(event: OrderEvent) -> bool:
    return (
        event.change is Change.TRIGGERED
        or type_name(event.order.request) not in STOPS
        or (event.order.triggered is not None and event.status is not OrderStatus.WAITING)
    )


def _last_fill(event: OrderEvent) -> dict[str, object]:
    fill = event.fill
    if fill is None:
        return {
            "l": shapes.ZERO,
            "L": shapes.ZERO,
            "n": "0",
            "N": None,
            "t": -1,
            "m": False,
            "Y": shapes.ZERO,
        }
    return {
        "l": amount(fill.quantity),
        "L": amount(fill.price),
        "n": amount(fill.fee),
        "N": fill.fee_asset,
        "t": fill.trade_id,
        "m": fill.maker,
        "Y": amount(fill.quote_quantity),
    }


def _conditional(event: OrderEvent) -> dict[str, object]:
    order = event.order
    fields: dict[str, object] = {}
    if event.status is not OrderStatus.WAITING and _is_working(event):
        fields["W"] = shapes.working_time(order)
    for letter, tag in (("j", STRATEGY_ID), ("J", STRATEGY_TYPE)):
        if tag in order.request.attributes:
            fields[letter] = int(order.request.attributes[tag])
    if event.reason is Reason.SELF_TRADE:
        fields["A"] = fields["B"] = amount(order.quantity - event.filled)
    elif (expiry := shapes.expiry_of(event.reason)) is not None:
        fields["eR"] = expiry
    return fields


def account_position(
    balances: Mapping[str, Balance], *, time: int, updated: int
) -> dict[str, object]:
    """Return the balances that a change has touched."""
    return {
        "e": "outboundAccountPosition",
        "E": time,
        "u": updated,
        "B": [
            {"a": asset, "f": amount(held.free), "l": amount(held.held)}
            for asset, held in balances.items()
        ],
    }


def balance_update(asset: str, delta: Decimal, *, time: int, cleared: int) -> dict[str, object]:
    """Return a deposit, or a withdrawal if `delta` is negative."""
    return {"e": "balanceUpdate", "E": time, "a": asset, "d": amount(delta), "T": cleared}


def list_status(
    pair: OrderList, orders: Sequence[Order], name: str, *, time: int, changed: int
) -> dict[str, object]:
    """Return the begin or end of an order list."""
    view = shapes.order_list(pair, orders, name, time=changed)
    return {
        "e": "listStatus",
        "E": time,
        "s": name,
        "g": pair.id,
        "c": "OCO",
        "l": view["listStatusType"],
        "L": view["listOrderStatus"],
        "r": "NONE",
        "C": pair.client_id,
        "T": changed,
        "O": [{"s": name, "i": order.id, "c": order.request.client_id} for order in orders],
    }


def stream_terminated(*, time: int) -> dict[str, object]:
    """Return the end of a subscription."""
    return {"e": "eventStreamTerminated", "E": time}


def server_shutdown(*, time: int) -> dict[str, object]:
    """Return the notice that the server is about to close all connections."""
    return {"e": "serverShutdown", "E": time}
