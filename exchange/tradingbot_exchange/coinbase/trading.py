"""Orders that are sent, checked, changed and cancelled."""

from collections.abc import Mapping
from decimal import Decimal

from tradingbot_exchange.coinbase.edits import EDIT_FAILURES, EditFailedError, edit_terms
from tradingbot_exchange.coinbase.engine_orders import (
    Bracket,
    engine_bracket,
    engine_order,
    request_configuration,
)
from tradingbot_exchange.coinbase.errors import InvalidArgumentError
from tradingbot_exchange.coinbase.failures import (
    FAILURES,
    Failure,
    OrderFailedError,
    error_response,
    failure_of,
)
from tradingbot_exchange.coinbase.identifiers import portfolio_uuid
from tradingbot_exchange.coinbase.order_requests import (
    EditRequest,
    OrderRequest,
    parse_cancel,
    parse_edit,
    parse_order,
    parse_preview,
)
from tradingbot_exchange.coinbase.order_views import OrderView
from tradingbot_exchange.coinbase.orders import Orders
from tradingbot_exchange.coinbase.queries import Request
from tradingbot_exchange.coinbase.wire import number
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Event,
    Instrument,
    NewOrder,
    Order,
    OrderList,
    Reason,
    RefusedError,
)

UNKNOWN_CANCEL = "UNKNOWN_CANCEL_FAILURE_REASON"
"""What a cancel that succeeded has as its reason."""
MAX_CANCELS = 5_000
"""Ids of one cancel. The results of all of them are in one answer."""

_OTHER_PORTFOLIO = Failure(
    error="INVALID_REQUEST",
    preview="PREVIEW_INVALID_LEDGER_BALANCE",
    message="the key is for another portfolio",
)
_CLOSE_POSITION = Failure(
    error="CANNOT_CLOSE_ZERO_POSITION",
    preview="PREVIEW_INVALID_PRODUCT_ID",
    message="only positions in futures can be closed",
)


def create(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `POST orders`. The same client_order_id again returns the first order."""
    try:
        wanted = parse_order(request.body)
        known = orders.find_by_client_id(request.account, wanted.client_order_id)
        view = _submit(orders, request.account, wanted) if known is None else known
    except OrderFailedError as error:
        return _failed(error, request.body)
    return {
        "success": True,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "order_id": view.uuid,
        "success_response": {
            "order_id": view.uuid,
            "product_id": view.limit.request.symbol,
            "side": view.limit.request.side.value,
            "client_order_id": view.client_id,
            "attached_order_id": "",
        },
        "order_configuration": request_configuration(wanted.configuration),
    }


def cancel(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `POST orders/batch_cancel`: one result for each id, in their order."""
    results: list[Mapping[str, object]] = []
    seen: set[str] = set()
    ids = parse_cancel(request.body)
    if len(ids) > MAX_CANCELS:
        raise InvalidArgumentError(f"order_ids must have at most {MAX_CANCELS} ids")
    for uuid in ids:
        reason = "DUPLICATE_CANCEL_REQUEST"
        if uuid not in seen:
            reason = _cancel_one(orders, request.account, uuid)
        seen.add(uuid)
        results.append(
            {"success": reason == UNKNOWN_CANCEL, "failure_reason": reason, "order_id": uuid}
        )
    return {"results": results}


def edit(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `POST orders/edit`: limit orders that are good till cancelled, without a stop."""
    wanted = parse_edit(request.body)
    try:
        view = _editable(orders, request.account, wanted)
        price, size = edit_terms(view, wanted)
        _edit(orders, view, price, size)
    except EditFailedError as error:
        return {
            "success": False,
            "error_response": {
                "error_details": error.details,
                "edit_order_failure_reason": error.reason,
            },
            "errors": [_edit_error(error)],
        }
    return {"success": True, "success_response": {"order_id": view.uuid}, "errors": []}


def edit_preview(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `POST orders/edit_preview`."""
    wanted = parse_edit(request.body)
    answer: dict[str, object] = {"errors": [], "slippage": "0"}
    try:
        view = _editable(orders, request.account, wanted)
        price, size = edit_terms(view, wanted)
    except EditFailedError as error:
        return answer | {"errors": [_edit_error(error)]}
    return {**answer, **_figures(orders, view.instrument, size, price, maker=True)}


def preview(orders: Orders, request: Request) -> Mapping[str, object]:
    """Answer `POST orders/preview`. What is wrong with the order is in `errs`."""
    errors: list[str] = []
    figures: Mapping[str, object] = {}
    try:
        wanted = parse_preview(request.body)
        figures = _preview(orders, request.account, wanted)
    except OrderFailedError as error:
        errors.append(error.failure.preview)
    empty = dict.fromkeys(
        ("order_total", "commission_total", "quote_size", "base_size", "best_bid", "best_ask"), "0"
    )
    return {
        **empty,
        **figures,
        "errs": errors,
        "warning": [],
        "is_max": False,
        "order_margin_total": "",
        "leverage": "",
        "long_leverage": "",
        "short_leverage": "",
        "slippage": "0",
        "preview_id": "",
        "current_liquidation_buffer": "",
        "projected_liquidation_buffer": "",
        "max_leverage": "",
        "pnl_configuration": None,
    }


def close_position(_: Orders, request: Request) -> Mapping[str, object]:
    """Answer `POST orders/close_position`: there are no futures here."""
    return _failed(OrderFailedError(_CLOSE_POSITION), request.body)


def _failed(error: OrderFailedError, body: Mapping[str, object]) -> Mapping[str, object]:
    configuration = body.get("order_configuration")
    return {
        "success": False,
        "failure_reason": error.failure.error,
        "order_id": "",
        "error_response": error_response(error),
        "order_configuration": configuration if isinstance(configuration, dict) else {},
    }


def _terms(
    orders: Orders, account: str, wanted: OrderRequest
) -> tuple[NewOrder | Bracket, Instrument]:
    """Return the engine's orders. Raises OrderFailedError."""
    if wanted.portfolio not in ("", portfolio_uuid(account)):
        raise OrderFailedError(_OTHER_PORTFOLIO)
    try:
        instrument = orders.venue.engine.instrument(wanted.product_id)
    except RefusedError as error:
        raise OrderFailedError(FAILURES[Reason.UNKNOWN_SYMBOL]) from error
    if wanted.configuration.bracket:
        return engine_bracket(wanted, instrument), instrument
    return engine_order(wanted), instrument


def _submit(orders: Orders, account: str, wanted: OrderRequest) -> OrderView:
    terms, instrument = _terms(orders, account, wanted)
    first = terms.limit if isinstance(terms, Bracket) else terms

    def change(engine: Engine, now: int) -> tuple[object, list[Event]]:
        if not isinstance(terms, Bracket):
            return engine.submit(account, terms, now=now)
        return engine.submit_oco(
            account, terms.limit, terms.stop, client_id=wanted.client_order_id, now=now
        )

    try:
        made = orders.venue.apply(change)
    except RefusedError as error:
        raise failure_of(error, first, instrument, now=orders.venue.now()) from error
    view = orders.bracket(made) if isinstance(made, OrderList) else orders.view(_order(made))
    orders.index.add(view.limit)
    return view


def _order(made: object) -> Order:
    if not isinstance(made, Order):
        raise TypeError(f"the engine returned {type(made).__name__} for an order")
    return made


def _cancel_one(orders: Orders, account: str, uuid: str) -> str:
    view = orders.find(account, uuid)
    if view is None:
        return "UNKNOWN_CANCEL_ORDER"
    if view.status == "FILLED":
        return "ORDER_IS_FULLY_FILLED"
    if not view.open:
        return "INVALID_CANCEL_REQUEST"
    order_id = view.leading.id
    try:
        orders.venue.apply(lambda engine, now: engine.cancel(account, order_id, now=now))
    except RefusedError:
        return "INVALID_CANCEL_REQUEST"  # the market has filled the order on its way to now
    return UNKNOWN_CANCEL


def _editable(orders: Orders, account: str, wanted: EditRequest) -> OrderView:
    view = orders.find(account, wanted.order_id)
    if view is None:
        raise EditFailedError("ORDER_NOT_FOUND", "order with this orderID was not found")
    return view


def _edit(orders: Orders, view: OrderView, price: Decimal, size: Decimal) -> None:
    account, order_id = view.limit.account, view.limit.id

    def change(engine: Engine, now: int) -> tuple[object, list[Event]]:
        return engine.edit(account, order_id, price=price, quantity=size, now=now)

    try:
        orders.venue.apply(change)
    except RefusedError as error:
        name = EDIT_FAILURES.get(error.reason, "COMMANDER_REJECTED_EDIT_ORDER")
        failure = FAILURES.get(error.reason, FAILURES[Reason.BAD_PARAMETERS])
        raise EditFailedError(name, error.detail, preview=failure.preview) from error


def _edit_error(error: EditFailedError) -> Mapping[str, object]:
    return {"edit_failure_reason": error.reason, "preview_failure_reason": error.preview}


def _preview(orders: Orders, account: str, wanted: OrderRequest) -> Mapping[str, object]:
    terms, instrument = _terms(orders, account, wanted)
    first = terms.limit if isinstance(terms, Bracket) else terms
    engine = orders.venue.engine
    checked = (terms.limit, terms.stop) if isinstance(terms, Bracket) else (terms,)
    for each in checked:
        try:
            engine.check(account, each)
        except RefusedError as error:
            raise failure_of(error, each, instrument, now=orders.venue.now()) from error
    book = engine.book(instrument.symbol, 1)
    levels = book.asks if wanted.side == "BUY" else book.bids
    price = first.price or (levels[0].price if levels else Decimal(0))
    size = first.quantity
    if size is None:
        size = (first.quote_quantity or Decimal(0)) / price if price else Decimal(0)
        size -= size % instrument.lot
    return _figures(orders, instrument, size, price, maker=first.post_only)


def _figures(
    orders: Orders, instrument: Instrument, size: Decimal, price: Decimal, *, maker: bool
) -> Mapping[str, object]:
    """Return what an order of `size` at `price` would cost."""
    book = orders.venue.engine.book(instrument.symbol, 1)
    value = size * price
    fee = value * (instrument.maker_fee if maker else instrument.taker_fee)
    figures = {
        "order_total": value + fee,
        "commission_total": fee,
        "quote_size": value,
        "base_size": size,
        "best_bid": book.bids[0].price if book.bids else Decimal(0),
        "best_ask": book.asks[0].price if book.asks else Decimal(0),
        "average_filled_price": price,
    }
    return {name: number(figure) for name, figure in figures.items()}
