"""Calls that place and cancel orders."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tradingbot_exchange.binance import errors, shapes
from tradingbot_exchange.binance.errors import ApiError
from tradingbot_exchange.binance.orders import (
    Oco,
    read_oco,
    read_old_oco,
    read_order,
    response_type,
    type_name,
)
from tradingbot_exchange.binance.parameters import Values
from tradingbot_exchange.binance.spot import Request, Spot
from tradingbot_exchange.binance.symbols import Symbols, amount
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Event,
    Fill,
    ListStatus,
    NewOrder,
    Order,
    OrderEvent,
    OrderList,
    RefusedError,
)

T = TypeVar("T")

_OCO_ORDERS = 2


def new_order(spot: Spot, request: Request) -> object:
    """Place an order."""
    order = read_order(request.values, spot.symbols, client_id=spot.settings.client_id())
    response = response_type(request.values, type_name(order))
    placed, events = _place(spot, request, order)
    fills = fills_of(placed, events) if response == "FULL" else ()
    return shapes.new_order(placed, request.values.required_text("symbol"), response, fills)


def _place(spot: Spot, request: Request, order: NewOrder) -> tuple[Order, list[Event]]:
    account = request.account

    def submit(engine: Engine, now: int) -> tuple[tuple[Order, list[Event]], list[Event]]:
        result = engine.submit(account, order, now=now)
        return result, result[1]

    return _counted(spot, request, 1, lambda: spot.apply(submit))


def _counted(spot: Spot, request: Request, orders: int, place: Callable[[], T]) -> T:
    """Place orders and count them, unless they are refused."""
    account, now = request.account, request.time
    spot.order_counts.add(account, orders, now=now)
    try:
        return place()
    except RefusedError:
        spot.order_counts.give_back(account, orders, now=now)
        raise


def fills_of(order: Order, events: list[Event]) -> list[Fill]:
    """Return the fills of one order among the events of its placement."""
    return [
        event.fill
        for event in events
        if isinstance(event, OrderEvent)
        and event.fill is not None
        and event.fill.order_id == order.id
    ]


def test_order(spot: Spot, request: Request) -> object:
    """Check an order without placing it."""
    order = read_order(request.values, spot.symbols, client_id=spot.settings.client_id())
    spot.venue.engine.check(request.account, order)
    if not request.values.flag("computeCommissionRates"):
        return {}
    instrument = spot.venue.engine.instrument(order.symbol)
    none = {"maker": shapes.ZERO, "taker": shapes.ZERO}
    rates = {
        "maker": amount(instrument.maker_fee),
        "taker": amount(instrument.taker_fee),
    }
    return {
        "standardCommissionForOrder": rates,
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": no_discount(),
    }


def no_discount() -> dict[str, object]:
    """Return the discount for fees that are paid in BNB, which does not exist here."""
    return {
        "enabledForAccount": False,
        "enabledForSymbol": False,
        "discountAsset": "BNB",
        "discount": shapes.ZERO,
    }


# Cancels


def find_order(
    spot: Spot,
    request: Request,
    *,
    names: tuple[str, str] = ("orderId", "origClientOrderId"),
    unknown: Callable[[], ApiError],
) -> Order:
    """Return the order that a request names by id, client id or both. Raises ApiError.

    `names` are the parameters of the id and the client id.
    """
    number, client_id = request.values.number(names[0]), request.values.text(names[1])
    engine = spot.venue.engine
    try:
        if number is not None:
            order = engine.order(request.account, number)
        elif client_id is not None:
            order = engine.order_by_client_id(request.account, client_id, request.symbol)
        else:
            raise errors.one_of_missing(names[1], names[0])
    except RefusedError as error:
        raise unknown() from error
    if order.request.symbol != request.symbol:
        raise unknown()
    if number is not None and client_id is not None and order.request.client_id != client_id:
        raise ApiError(-2039, "Client order ID is not correct for this order ID.")
    return order


def cancel_order(spot: Spot, request: Request) -> object:
    """Cancel one order, and with it its list."""
    spot.venue.advance()
    order = find_order(spot, request, unknown=errors.unknown_cancel)
    _check_restrictions(order, request.values)
    cancel_id = request.values.text("newClientOrderId") or spot.settings.client_id()
    canceled = _cancel(spot, request.account, order, cancel_id)
    return shapes.canceled_order(canceled, request.values.required_text("symbol"), cancel_id)


def _check_restrictions(order: Order, values: Values) -> None:
    restriction = values.text("cancelRestrictions")
    if restriction is None or not shapes.is_open(order):
        return
    status = shapes.status_of(order.status, order.ended_by)
    if status != restriction.removeprefix("ONLY_"):
        raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")


def _cancel(spot: Spot, account: str, order: Order, cancel_id: str) -> Order:
    with spot.canceling(cancel_id):
        return spot.apply(lambda engine, now: engine.cancel(account, order.id, now=now))


def cancel_open_orders(spot: Spot, request: Request) -> object:
    """Cancel all open orders of a symbol; those of a list are answered as a list."""
    spot.venue.advance()
    name = request.values.required_text("symbol")
    open_orders = spot.venue.engine.open_orders(request.account, request.symbol)
    if not open_orders:
        raise errors.unknown_cancel()
    answers: list[object] = []
    done: set[int] = set()
    for order in open_orders:
        if order.id in done:
            continue
        cancel_id = spot.settings.client_id()
        canceled = _cancel(spot, request.account, order, cancel_id)
        if order.list_id is None:
            answers.append(shapes.canceled_order(canceled, name, cancel_id))
            continue
        pair = spot.venue.engine.order_list(request.account, order.list_id)
        done.update(pair.orders)
        answers.append(_canceled_list(spot, pair, name, cancel_id))
    return answers


def cancel_order_list(spot: Spot, request: Request) -> object:
    """Cancel both orders of a list."""
    spot.venue.advance()
    values = request.values
    pair = find_list(
        spot, request, ("orderListId", "listClientOrderId"), unknown=errors.unknown_cancel
    )
    if pair.symbol != request.symbol or pair.status is not ListStatus.EXECUTING:
        raise errors.unknown_cancel()
    cancel_id = values.text("newClientOrderId") or spot.settings.client_id()
    order = next(each for each in list_orders(spot, pair) if shapes.is_open(each))
    _cancel(spot, request.account, order, cancel_id)
    pair = spot.venue.engine.order_list(request.account, pair.id)
    return _canceled_list(spot, pair, values.required_text("symbol"), cancel_id)


def find_list(
    spot: Spot, request: Request, names: tuple[str, str], *, unknown: Callable[[], ApiError]
) -> OrderList:
    """Return the order list that a request names by id, client id or both. Raises ApiError."""
    number, client_id = request.values.number(names[0]), request.values.text(names[1])
    if number is None and client_id is None:
        raise errors.one_of_missing(names[0], names[1])
    for pair in reversed(spot.venue.engine.order_lists(request.account)):
        if number in {None, pair.id} and client_id in {None, pair.client_id}:
            return pair
    raise unknown()


def list_orders(spot: Spot, pair: OrderList) -> list[Order]:
    """Return the orders of a list in Binance's order: the stop, then the limit."""
    return [spot.venue.engine.order(pair.account, each) for each in reversed(pair.orders)]


def _canceled_list(spot: Spot, pair: OrderList, name: str, cancel_id: str) -> dict[str, object]:
    orders = list_orders(spot, pair)
    reports = [shapes.canceled_order(order, name, cancel_id) for order in orders]
    time = max(order.updated for order in orders)
    return shapes.order_list(pair, orders, name, time=time, reports=reports)


# Lists


def new_oco(spot: Spot, request: Request) -> object:
    """Place two orders of which one cancels the other."""
    return _place_oco(spot, request, read_oco)


def new_old_oco(spot: Spot, request: Request) -> object:
    """Place an OCO by the deprecated call."""
    return _place_oco(spot, request, read_old_oco)


class _ReadOco(Protocol):
    def __call__(
        self, values: Values, symbols: Symbols, *, client_ids: tuple[str, str, str]
    ) -> Oco:
        """Return the OCO that a request asks for."""


def _place_oco(spot: Spot, request: Request, read: _ReadOco) -> object:
    new_id = spot.settings.client_id
    oco = read(request.values, spot.symbols, client_ids=(new_id(), new_id(), new_id()))
    account, name = request.account, request.values.required_text("symbol")
    _check_list_id(spot, account, oco.client_id)

    def submit(engine: Engine, now: int) -> tuple[tuple[OrderList, list[Event]], list[Event]]:
        result = engine.submit_oco(account, oco.limit, oco.stop, client_id=oco.client_id, now=now)
        return result, result[1]

    pair, events = _counted(spot, request, _OCO_ORDERS, lambda: spot.apply(submit))
    orders = list_orders(spot, pair)
    reports = []
    for order in orders:
        response = request.values.text("newOrderRespType") or "RESULT"
        reports.append(shapes.new_order(order, name, response, fills_of(order, events)))
    return shapes.order_list(pair, orders, name, time=pair.created, reports=reports)


def _check_list_id(spot: Spot, account: str, client_id: str) -> None:
    """Refuse a listClientOrderId that an open list has."""
    for pair in spot.venue.engine.order_lists(account):
        if pair.client_id == client_id and pair.status is ListStatus.EXECUTING:
            raise errors.rejected("Duplicate order sent.")


# Cancel and replace


@dataclass(slots=True)
class _Replacement:
    """What became of the two halves of a cancelReplace: an answer, an error, or nothing."""

    canceled: dict[str, object] | ApiError
    placed: dict[str, object] | ApiError | None = None

    def answer(self, *, limited: bool) -> dict[str, object]:
        """Return the answer. Raises ApiError (-2021, -2022) if a half failed.

        `limited`: the new order was one too many, which is HTTP 429.
        """
        cancel_failed = isinstance(self.canceled, ApiError)
        new_failed = self.placed is None or isinstance(self.placed, ApiError)
        body: dict[str, object] = {
            "cancelResult": "FAILURE" if cancel_failed else "SUCCESS",
            "newOrderResult": (
                "NOT_ATTEMPTED" if self.placed is None else "FAILURE" if new_failed else "SUCCESS"
            ),
            "cancelResponse": _body(self.canceled),
            "newOrderResponse": _body(self.placed),
        }
        if cancel_failed and new_failed:
            status = 429 if limited else 400
            raise ApiError(-2022, "Order cancel-replace failed.", status=status, data=body)
        if cancel_failed or new_failed:
            raise ApiError(
                -2021,
                "Order cancel-replace partially failed.",
                status=429 if limited else 409,
                data=body,
            )
        return body


def _body(half: dict[str, object] | ApiError | None) -> dict[str, object] | None:
    return half.body() if isinstance(half, ApiError) else half


def cancel_replace(spot: Spot, request: Request) -> object:
    """Cancel an order and place another one.

    Filters are checked before both, as Binance does; what only the matching engine can refuse is
    refused after the cancel.
    """
    spot.venue.advance()
    values = request.values
    order = read_order(values, spot.symbols, client_id=spot.settings.client_id())
    _check_filters(spot, request.account, order)
    cancel_only = values.text("orderRateLimitExceededMode") == "CANCEL_ONLY"
    limited = _count_replacement(spot, request)
    if limited is not None and not cancel_only:
        raise limited
    result = _Replacement(_cancel_half(spot, request))
    stops = values.text("cancelReplaceMode") == "STOP_ON_FAILURE"
    if not (stops and isinstance(result.canceled, ApiError)):
        result.placed = _new_half(spot, request, order) if limited is None else limited
    return result.answer(limited=stops and limited is not None)


def _check_filters(spot: Spot, account: str, order: NewOrder) -> None:
    try:
        spot.venue.engine.check(account, order)
    except RefusedError as error:
        if error.reason in errors.FILTERS:
            raise


def _count_replacement(spot: Spot, request: Request) -> ApiError | None:
    try:
        spot.order_counts.add(request.account, 1, now=request.time)
    except ApiError as error:
        return error
    return None


def _cancel_half(spot: Spot, request: Request) -> dict[str, object] | ApiError:
    values = request.values
    cancel_id = values.text("cancelNewClientOrderId") or spot.settings.client_id()
    try:
        order = find_order(
            spot,
            request,
            names=("cancelOrderId", "cancelOrigClientOrderId"),
            unknown=errors.unknown_cancel,
        )
        _check_restrictions(order, values)
        canceled = _cancel(spot, request.account, order, cancel_id)
    except RefusedError as error:
        return errors.refusal(error)
    except ApiError as error:
        if error.code == -1102:  # noqa: PLR2004 - neither id was sent: nothing is attempted
            raise
        return error
    return shapes.canceled_order(canceled, values.required_text("symbol"), cancel_id)


def _new_half(spot: Spot, request: Request, order: NewOrder) -> dict[str, object] | ApiError:
    account = request.account

    def submit(engine: Engine, now: int) -> tuple[tuple[Order, list[Event]], list[Event]]:
        result = engine.submit(account, order, now=now)
        return result, result[1]

    try:
        placed, events = spot.apply(submit)
    except RefusedError as error:
        return errors.refusal(error)
    response = response_type(request.values, type_name(order))
    name = request.values.required_text("symbol")
    return shapes.new_order(placed, name, response, fills_of(placed, events))
