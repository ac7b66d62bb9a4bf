"""Orders and fills as Coinbase shows them: over REST, and on the user channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.coinbase.engine_orders import form_of, order_configuration
from tradingbot_exchange.coinbase.identifiers import (
    bracket_uuid,
    fill_uuid,
    order_uuid,
    portfolio_uuid,
    shown_uuid,
    user_uuid,
)
from tradingbot_exchange.coinbase.wire import instant, number, ratio
from tradingbot_exchange.engine.types import (
    Fill,
    Instrument,
    Order,
    OrderList,
    OrderStatus,
    Reason,
    Side,
    TimeInForce,
)

OPEN = frozenset({OrderStatus.WAITING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})

TIMES_IN_FORCE: Mapping[TimeInForce, str] = {
    TimeInForce.GTC: "GOOD_UNTIL_CANCELLED",
    TimeInForce.GTD: "GOOD_UNTIL_DATE_TIME",
    TimeInForce.IOC: "IMMEDIATE_OR_CANCEL",
    TimeInForce.FOK: "FILL_OR_KILL",
}

_CANCEL_MESSAGES: Mapping[Reason, str] = {
    Reason.BY_USER: "User requested cancel",
    Reason.UNFILLED_IOC: "Immediate or cancel order was not filled in full",
    Reason.UNFILLED_FOK: "Fill or kill order could not be filled in full",
    Reason.NO_LIQUIDITY: "No liquidity",
    Reason.SELF_TRADE: "The order would have traded with an own order",
    Reason.WOULD_TAKE: "The post-only order would have been matched at once",
    Reason.REACHED_END_TIME: "The end time was reached",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order as its owner sees it. Behind a bracket are two orders of the engine."""

    limit: Order
    stop: Order | None
    """The second order of a bracket; None for a plain order."""
    pair: OrderList | None
    instrument: Instrument

    @property
    def orders(self) -> tuple[Order, ...]:
        """The engine's orders."""
        return (self.limit,) if self.stop is None else (self.limit, self.stop)

    @property
    def uuid(self) -> str:
        """The id of the order."""
        if self.pair is not None:
            return bracket_uuid(self.pair.account, self.pair.id)
        return order_uuid(self.limit.account, self.limit.id)

    @property
    def client_id(self) -> str:
        """The client's id of the order."""
        return self.limit.request.client_id if self.pair is None else self.pair.client_id

    @property
    def leading(self) -> Order:
        """The order that tells the state: of a bracket, the one that the other has not ended."""
        telling = [each for each in self.orders if each.ended_by is not Reason.OCO_TRIGGERED]
        return next((each for each in telling if each.status in OPEN), (*telling, self.limit)[0])

    @property
    def open(self) -> bool:
        """Whether the order can still be filled."""
        return any(order.status in OPEN for order in self.orders)

    @property
    def size(self) -> Decimal:
        """How much is to be filled."""
        return self.limit.quantity

    @property
    def filled(self) -> Decimal:
        """How much was filled."""
        return sum((order.filled for order in self.orders), Decimal(0))

    @property
    def filled_value(self) -> Decimal:
        """What the fills are worth, in the quote asset and without fees."""
        return sum((order.filled_quote for order in self.orders), Decimal(0))

    @property
    def fees(self) -> Decimal:
        """Fees in the quote asset."""
        quote = self.instrument.quote
        return sum((order.fees.get(quote, Decimal(0)) for order in self.orders), Decimal(0))

    @property
    def status(self) -> str:
        """The exchange's word for the state."""
        if self.open:
            return "OPEN"
        order = self.leading
        if order.status is OrderStatus.FILLED:
            return "FILLED"
        if order.ended_by is Reason.REACHED_END_TIME:
            return "EXPIRED"
        return "CANCELLED"

    @property
    def type(self) -> str:
        """The exchange's word for the type."""
        if self.stop is not None:
            return "BRACKET"
        form = form_of(self.limit)
        if form.startswith("stop_limit"):
            return "STOP_LIMIT"
        return "MARKET" if form.startswith("market") else "LIMIT"

    @property
    def trigger_status(self) -> str:
        """Whether the stop price was reached."""
        stop = self.limit if self.stop is None else self.stop
        if stop.request.stop_price is None:
            return "INVALID_ORDER_TYPE"
        return "STOP_PENDING" if stop.triggered is None else "STOP_TRIGGERED"

    @property
    def created(self) -> int:
        """When the order was accepted, in milliseconds since the epoch."""
        return self.limit.created

    @property
    def cancel_message(self) -> str:
        """Why the order ended without being filled."""
        reason = None if self.open else self.leading.ended_by
        return "" if reason is None else _CANCEL_MESSAGES.get(reason, reason.value)

    @property
    def total_after_fees(self) -> Decimal:
        """What the order has cost with fees, or has brought without them."""
        sign = 1 if self.limit.request.side is Side.BUY else -1
        return self.filled_value + sign * self.fees

    @property
    def hold(self) -> Decimal:
        """What the open rest holds: of the base asset for a sale, else quote asset with the fee."""
        if not self.open:
            return Decimal(0)
        rest = self.size - self.filled
        if self.limit.request.side is Side.SELL:
            return rest
        prices = [
            order.request.price or Decimal(0) for order in self.orders if order.status in OPEN
        ]
        return rest * max(prices) * (1 + self.instrument.taker_fee)

    @property
    def completion(self) -> Decimal:
        """How much was filled, in percent."""
        if self.limit.request.quote_quantity is not None and not self.open:
            return Decimal(100) if self.status == "FILLED" else Decimal(0)
        return ratio(self.filled, self.size) * 100


def order_object(view: OrderView, last_fill: int | None) -> Mapping[str, object]:
    """Return the order of `GET orders/historical/...`. `last_fill` is in milliseconds."""
    request = view.limit.request
    by_quote = request.quote_quantity is not None
    fees = number(view.fees)
    return {
        "order_id": view.uuid,
        "product_id": request.symbol,
        "user_id": user_uuid(view.limit.account),
        "order_configuration": order_configuration(view.limit, view.stop),
        "side": request.side.value,
        "client_order_id": view.client_id,
        "status": view.status,
        "time_in_force": TIMES_IN_FORCE[request.time_in_force],
        "created_time": instant(view.created),
        "completion_percentage": number(view.completion),
        "filled_size": number(view.filled),
        "average_filled_price": number(ratio(view.filled_value, view.filled)),
        "fee": "",
        "number_of_fills": str(sum(order.fills for order in view.orders)),
        "filled_value": number(view.filled_value),
        "pending_cancel": False,
        "size_in_quote": by_quote,
        "total_fees": fees,
        "size_inclusive_of_fees": by_quote and request.side is Side.BUY,
        "total_value_after_fees": number(view.total_after_fees),
        "trigger_status": view.trigger_status,
        "order_type": view.type,
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": view.status == "FILLED",
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": view.cancel_message,
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": number(view.hold),
        "is_liquidation": False,
        "last_fill_time": None if last_fill is None else instant(last_fill),
        "edit_history": [],
        "leverage": "",
        "margin_type": "UNKNOWN_MARGIN_TYPE",
        "retail_portfolio_id": portfolio_uuid(view.limit.account),
        "originating_order_id": "",
        "attached_order_id": "",
        "attached_order_configuration": None,
    }


def user_order_object(view: OrderView) -> Mapping[str, object]:
    """Return the order of the WebSocket's `user` channel."""
    request = view.limit.request
    trigger = request.stop_price if view.stop is None else view.stop.request.stop_price
    end = request.expires_at
    return {
        "order_id": view.uuid,
        "client_order_id": view.client_id,
        "cumulative_quantity": number(view.filled),
        "leaves_quantity": number(max(view.size - view.filled, Decimal(0))),
        "avg_price": number(ratio(view.filled_value, view.filled)),
        "total_fees": number(view.fees),
        "status": view.status,
        "product_id": request.symbol,
        "creation_time": instant(view.created),
        "order_side": request.side.value,
        "order_type": view.type.replace("_", " ").title(),
        "cancel_reason": view.cancel_message,
        "reject_reason": "",
        "total_value_after_fees": number(view.total_after_fees),
        "completion_percentage": number(view.completion),
        "number_of_fills": str(sum(order.fills for order in view.orders)),
        "filled_value": number(view.filled_value),
        "outstanding_hold_amount": number(view.hold),
        "limit_price": number(request.price or Decimal(0)),
        "stop_price": number(trigger or Decimal(0)),
        "post_only": request.post_only,
        "end_time": "0001-01-01T00:00:00Z" if end is None else instant(end),
        "start_time": "0001-01-01T00:00:00Z",
        "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
        "product_type": "SPOT",
        "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
        "time_in_force": TIMES_IN_FORCE[request.time_in_force],
        "trigger_status": view.trigger_status,
        "retail_portfolio_id": portfolio_uuid(view.limit.account),
    }


def fill_object(fill: Fill, order: Order) -> Mapping[str, object]:
    """Return a fill of `GET orders/historical/fills`. It has no client_order_id."""
    time = instant(fill.time)
    return {
        "entry_id": fill_uuid(fill, "entry"),
        "trade_id": fill_uuid(fill, "trade"),
        "order_id": shown_uuid(order),
        "trade_time": time,
        "trade_type": "FILL",
        "price": number(fill.price),
        "size": number(fill.quantity),
        "commission": number(fill.fee),
        "product_id": fill.symbol,
        "sequence_timestamp": time,
        "liquidity_indicator": "MAKER" if fill.maker else "TAKER",
        "size_in_quote": False,
        "user_id": user_uuid(fill.account),
        "side": fill.side.value,
        "retail_portfolio_id": portfolio_uuid(fill.account),
    }
