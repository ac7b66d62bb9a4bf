"""Writing Binance's answers about orders, order lists, trades and balances.

Pure functions from the engine's objects to JSON values; prices and quantities become text.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from tradingbot_exchange.binance.errors import EXPIRIES
from tradingbot_exchange.binance.orders import STOPS, STRATEGY_ID, STRATEGY_TYPE, type_name
from tradingbot_exchange.binance.symbols import PREVENTION_MODE, Symbols, amount
from tradingbot_exchange.engine.types import (
    Balance,
    Fill,
    ListStatus,
    Order,
    OrderList,
    OrderStatus,
    Reason,
    Trade,
)

NO_LIST = -1
"""The orderListId of an order without a list."""

ZERO = amount(Decimal(0))
_STATUSES = {
    OrderStatus.WAITING: "NEW",
    OrderStatus.OPEN: "NEW",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
}
_ENDED = {OrderStatus.CANCELED, OrderStatus.EXPIRED}
_OPEN = {OrderStatus.WAITING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}


def status_of(status: OrderStatus, ended_by: Reason | None) -> str:
    """Return Binance's status: what is ended by the twin of an OCO expired, it is not canceled."""
    if status in _ENDED:
        if ended_by is Reason.SELF_TRADE:
            return "EXPIRED_IN_MATCH"
        if ended_by is Reason.OCO_TRIGGERED:
            return "EXPIRED"
    return _STATUSES[status]


def list_id(order: Order) -> int:
    """Return an order's orderListId."""
    return NO_LIST if order.list_id is None else order.list_id


def is_open(order: Order) -> bool:
    """Whether an order can still be canceled."""
    return order.status in _OPEN


def expiry_of(reason: Reason | None) -> str | None:
    """Return why an order expired, or None if it was canceled."""
    expiry = None if reason is None else EXPIRIES.get(reason)
    return None if expiry is None else expiry.value


def quantity(order: Order) -> Decimal:
    """Return origQty: a market order by quote quantity has what it filled."""
    return order.filled if order.request.quote_quantity is not None else order.quantity


def working_time(order: Order) -> int:
    """Return when the order came on the book, or -1 if it waits for its stop price."""
    if order.request.stop_price is None:
        return order.created
    return -1 if order.triggered is None else order.triggered


def acknowledgement(order: Order, name: str) -> dict[str, object]:
    """Return the ACK answer to a new order. `name` is its symbol."""
    return {
        "symbol": name,
        "orderId": order.id,
        "orderListId": list_id(order),
        "clientOrderId": order.request.client_id,
        "transactTime": order.updated,
    }


def new_order(
    order: Order, name: str, response: str, fills: Sequence[Fill] = ()
) -> dict[str, object]:
    """Return the answer to a new order as ACK, RESULT or FULL."""
    answer = acknowledgement(order, name)
    if response == "ACK":
        return answer
    answer.update(_figures(order))
    answer["workingTime"] = working_time(order)
    answer["selfTradePreventionMode"] = PREVENTION_MODE
    answer.update(_conditional(order))
    if response == "FULL":
        answer["fills"] = [
            {
                "price": amount(fill.price),
                "qty": amount(fill.quantity),
                "commission": amount(fill.fee),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in fills
        ]
    return answer


def _figures(order: Order) -> dict[str, object]:
    request = order.request
    return {
        "price": ZERO if request.price is None else amount(request.price),
        "origQty": amount(quantity(order)),
        "executedQty": amount(order.filled),
        "origQuoteOrderQty": (
            ZERO if request.quote_quantity is None else amount(request.quote_quantity)
        ),
        "cummulativeQuoteQty": amount(order.filled_quote),
        "status": status_of(order.status, order.ended_by),
        "timeInForce": request.time_in_force.value,
        "type": type_name(request),
        "side": request.side.value,
    }


def _conditional(order: Order) -> dict[str, object]:
    """Return the fields that appear only with some orders."""
    request = order.request
    fields: dict[str, object] = {}
    if request.stop_price is not None:
        fields["stopPrice"] = amount(request.stop_price)
    for tag in (STRATEGY_ID, STRATEGY_TYPE):
        if tag in request.attributes:
            fields[tag] = int(request.attributes[tag])
    if order.ended_by is Reason.SELF_TRADE:
        fields["preventedQuantity"] = amount(order.quantity - order.filled)
    elif order.status in _ENDED and (expiry := expiry_of(order.ended_by)) is not None:
        fields["expiryReason"] = expiry
    return fields


def canceled_order(order: Order, name: str, cancel_id: str) -> dict[str, object]:
    """Return the answer to a cancel, whose own client id is `cancel_id`."""
    return {
        "symbol": name,
        "origClientOrderId": order.request.client_id,
        "orderId": order.id,
        "orderListId": list_id(order),
        "clientOrderId": cancel_id,
        "transactTime": order.updated,
        **_figures(order),
        "selfTradePreventionMode": PREVENTION_MODE,
        **_conditional(order),
    }


def order_view(order: Order, name: str) -> dict[str, object]:
    """Return an order as the queries have it."""
    return {
        "symbol": name,
        "orderId": order.id,
        "orderListId": list_id(order),
        "clientOrderId": order.request.client_id,
        **_figures(order),
        "stopPrice": ZERO,
        "icebergQty": ZERO,
        "time": order.created,
        "updateTime": order.updated,
        "isWorking": type_name(order.request) not in STOPS or order.triggered is not None,
        "workingTime": working_time(order),
        "selfTradePreventionMode": PREVENTION_MODE,
        **_conditional(order),
    }


def order_list(
    pair: OrderList,
    orders: Iterable[Order],
    name: str,
    *,
    time: int,
    reports: Sequence[dict[str, object]] | None = None,
) -> dict[str, object]:
    """Return an order list. `reports` are the answers of its orders, where a call has them."""
    executing = pair.status is ListStatus.EXECUTING
    answer: dict[str, object] = {
        "orderListId": pair.id,
        "contingencyType": "OCO",
        "listStatusType": "EXEC_STARTED" if executing else "ALL_DONE",
        "listOrderStatus": "EXECUTING" if executing else "ALL_DONE",
        "listClientOrderId": pair.client_id,
        "transactionTime": time,
        "symbol": name,
        "orders": [
            {"symbol": name, "orderId": order.id, "clientOrderId": order.request.client_id}
            for order in orders
        ],
    }
    if reports is not None:
        answer["orderReports"] = list(reports)
    return answer


def account_trade(fill: Fill, name: str, order: Order) -> dict[str, object]:
    """Return a trade of an account, as myTrades has it."""
    return {
        "symbol": name,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": list_id(order),
        "price": amount(fill.price),
        "qty": amount(fill.quantity),
        "quoteQty": amount(fill.quote_quantity),
        "commission": amount(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time,
        "isBuyer": fill.side.value == "BUY",
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


def public_trade(trade: Trade) -> dict[str, object]:
    """Return a trade as everybody sees it."""
    return {
        "id": trade.id,
        "price": amount(trade.price),
        "qty": amount(trade.quantity),
        "quoteQty": amount(trade.price * trade.quantity),
        "time": trade.time,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def aggregate_trade(trade: Trade) -> dict[str, object]:
    """Return a trade as an aggregate of itself: the engine does not tell which orders traded."""
    return {
        "a": trade.id,
        "p": amount(trade.price),
        "q": amount(trade.quantity),
        "f": trade.id,
        "l": trade.id,
        "T": trade.time,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def balance(asset: str, held: Balance) -> dict[str, object]:
    """Return one balance of an account."""
    return {"asset": asset, "free": amount(held.free), "locked": amount(held.held)}


def symbol_of(symbols: Symbols, order: Order) -> str:
    """Return Binance's name of an order's symbol."""
    return symbols.name(order.request.symbol)
