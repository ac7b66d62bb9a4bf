"""A bot's orders: what the core has to judge, and what is sent if it may pass."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tradingbot_exchange.binance.orders import Prefix, read_oco, read_old_oco, read_order
from tradingbot_exchange.binance.parameters import Values
from tradingbot_exchange.binance.symbols import Symbols
from tradingbot_exchange.engine.types import Instrument

from tradingbot_gateway.binance.calls import Allowed, Treatment
from tradingbot_gateway.binance.proof import without_proof
from tradingbot_gateway.binance.refusals import not_allowed
from tradingbot_gateway.binance.translation import Tag, prefixed
from tradingbot_gateway.risk.types import Order, Request
from tradingbot_gateway.sending import core_order

_UNKNOWN_WAYS = ("icebergQty", "trailingDelta", "pegPriceType", "pegOffsetType", "pegOffsetValue")
_PREFIXES = ("", "above", "below", "limit", "stop")
_PREVENTION = "selfTradePreventionMode"
_LONGEST_WINDOW = 5000
"""Of orders, in milliseconds: after it, the exchange accepts a request no more."""

ClientOf = Callable[[str], str | None]
"""Returns the client id of an own order by the exchange's id."""


def new_client_id() -> str:
    """Return a client id for an order that was sent without one: it must be asked for by one."""
    return secrets.token_hex(11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a bot has asked for, and how it is sent on."""

    request: Request
    parameters: Mapping[str, str]
    asked_response: str | None
    """newOrderRespType of the bot. The gateway asks for FULL: it needs the fills at once."""
    order_type: str


def read_submission(
    call: Allowed,
    sent: Mapping[str, str],
    instrument: Instrument,
    tag: Tag,
    *,
    client_of: ClientOf,
) -> Submission:
    """Return a new order, cancel-replace or order list. Raises ApiError, RefusalError.

    Unknown parameters and ways to trade that the gateway does not understand are refused.
    """
    _refuse_unknown_ways(sent)
    if call.schema is None:
        raise TypeError(f"{call.name} is not a call that places orders")
    # The modes are the exchange's business: which ones a symbol has, the exchange says.
    values = call.schema.read({name: text for name, text in sent.items() if name != _PREVENTION})
    symbols = Symbols((instrument,))
    parameters = without_proof(sent)
    parameters["recvWindow"] = _window(values)
    if call.treatment is Treatment.ORDER_LIST:
        return _read_list(call, values, symbols, parameters, tag)
    order = core_order(read_order(values, symbols, client_id=new_client_id()))
    replaces = None
    if call.treatment is Treatment.CANCEL_REPLACE:
        replaces = _replaced(values, client_of)
    parameters["newClientOrderId"] = order.client_id
    parameters["newOrderRespType"] = "FULL"
    parameters.update(tag.parameters())
    return Submission(
        request=Request(orders=(order,), replaces=replaces),
        parameters=parameters,
        asked_response=values.text("newOrderRespType"),
        order_type=values.required_text("type"),
    )


def _read_list(
    call: Allowed, values: Values, symbols: Symbols, parameters: dict[str, str], tag: Tag
) -> Submission:
    ids = (new_client_id(), new_client_id(), new_client_id())
    is_old = call.name == "newOldOco"
    oco = (read_old_oco if is_old else read_oco)(values, symbols, client_ids=ids)
    limit, stop = core_order(oco.limit), core_order(oco.stop)
    parameters["listClientOrderId"] = oco.client_id
    for prefix, order in _legs(values, limit, stop, is_old=is_old):
        parameters[prefixed(prefix, "clientOrderId")] = order.client_id
        parameters.update(tag.parameters(prefix))
    return Submission(
        request=Request(orders=(limit, stop), group=oco.client_id),
        parameters=parameters,
        asked_response=values.text("newOrderRespType"),
        order_type="OCO",
    )


def _legs(
    values: Values, limit: Order, stop: Order, *, is_old: bool
) -> tuple[tuple[str, Order], tuple[str, Order]]:
    """Return the orders of a list with the prefixes of their parameters."""
    if is_old:
        return ("limit", limit), ("stop", stop)
    above = Prefix("above").of("type")
    if values.required_text(above) in {"STOP_LOSS", "STOP_LOSS_LIMIT"}:
        return ("above", stop), ("below", limit)
    return ("above", limit), ("below", stop)


def _replaced(values: Values, client_of: ClientOf) -> str | None:
    client_id = values.text("cancelOrigClientOrderId")
    number = values.number("cancelOrderId")
    return client_id or (None if number is None else client_of(str(number)))


def _window(values: Values) -> str:
    window = values.decimal("recvWindow")
    return str(_LONGEST_WINDOW if window is None else min(window, _LONGEST_WINDOW))


def _refuse_unknown_ways(sent: Mapping[str, str]) -> None:
    for prefix in _PREFIXES:
        for name in _UNKNOWN_WAYS:
            if prefixed(prefix, name) in sent:
                raise not_allowed(f"orders with {prefixed(prefix, name)}")
