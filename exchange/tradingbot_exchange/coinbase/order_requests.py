"""Bodies of order requests, read into what the engine understands, and back.

Unknown members are refused, not ignored: ccxt sends an attached stop-loss as a member that Coinbase
does not have, and a position without the stop that its owner asked for is worse than no position.
"""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal

from tradingbot_exchange.coinbase.errors import InvalidArgumentError
from tradingbot_exchange.coinbase.failures import Failure, OrderFailedError
from tradingbot_exchange.coinbase.wire import parse_instant, parse_number
from tradingbot_exchange.engine.types import Side

STOP_UP = "STOP_DIRECTION_STOP_UP"
STOP_DOWN = "STOP_DIRECTION_STOP_DOWN"
MAX_CLIENT_ID = 128


@dataclass(frozen=True, slots=True)
class Form:
    """The members of one kind of order configuration, which are all numbers but the last three."""

    required: AbstractSet[str]
    optional: AbstractSet[str] = frozenset()


_LIMIT = frozenset({"base_size", "limit_price"})
_STOP = _LIMIT | {"stop_price", "stop_direction"}
_BRACKET = _LIMIT | {"stop_trigger_price"}

FORMS: Mapping[str, Form] = {
    "market_market_ioc": Form(frozenset(), frozenset({"base_size", "quote_size"})),
    "sor_limit_ioc": Form(_LIMIT),
    "limit_limit_gtc": Form(_LIMIT, frozenset({"post_only"})),
    "limit_limit_gtd": Form(_LIMIT | {"end_time"}, frozenset({"post_only"})),
    "limit_limit_fok": Form(_LIMIT),
    "stop_limit_stop_limit_gtc": Form(_STOP),
    "stop_limit_stop_limit_gtd": Form(_STOP | {"end_time"}),
    "trigger_bracket_gtc": Form(_BRACKET),
    "trigger_bracket_gtd": Form(_BRACKET | {"end_time"}),
}
"""The order configurations that exist here. Others are refused by name."""

_REFUSED_FORMS = frozenset(
    {"market_market_fok", "twap_limit_gtd", "scaled_limit_gtc", "pegged_limit_gtc"}
)
_NUMBERS = frozenset({"base_size", "quote_size", "limit_price", "stop_price", "stop_trigger_price"})
_CREATE = frozenset({"client_order_id", "product_id", "side", "order_configuration"})
_TOLERATED = frozenset({"self_trade_prevention_id", "retail_portfolio_id", "preview_id"})
"""The first and the last have no effect here: the engine prevents self-trades always."""
_MARGIN = frozenset({"leverage", "margin_type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One order configuration. `stop_price` is `stop_trigger_price` of a bracket."""

    form: str
    base_size: Decimal | None = None
    quote_size: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_direction: str | None = None
    end_time: int | None = None
    """Milliseconds since the epoch."""
    post_only: bool = False

    @property
    def bracket(self) -> bool:
        """Whether this is a take-profit and a stop in one."""
        return self.form.startswith("trigger_bracket")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A request for an order. `client_order_id` is empty in a preview, `portfolio` mostly."""

    client_order_id: str
    product_id: str
    side: Side
    configuration: Configuration
    portfolio: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """A request to change the price, the size, or both of an open order."""

    order_id: str
    price: Decimal | None
    size: Decimal | None


def parse_json(body: bytes) -> Mapping[str, object]:
    """Return a body's members; none if it is empty. Raises InvalidArgumentError."""
    if not body.strip():
        return {}
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError("the body is not JSON") from error
    if not isinstance(value, dict):
        raise InvalidArgumentError("the body is not a JSON object")
    return value


def parse_order(body: Mapping[str, object]) -> OrderRequest:
    """Read the body of POST orders. Raises InvalidArgumentError or OrderFailedError."""
    request = _parse(body, known=_CREATE | _TOLERATED)
    if not request.client_order_id:
        raise InvalidArgumentError("client_order_id is required")
    return request


def parse_preview(body: Mapping[str, object]) -> OrderRequest:
    """Read the body of POST orders/preview. Raises InvalidArgumentError or OrderFailedError."""
    return _parse(body, known=_CREATE | _TOLERATED)


def parse_edit(body: Mapping[str, object]) -> EditRequest:
    """Read the body of POST orders/edit and orders/edit_preview. Raises InvalidArgumentError."""
    _refuse_unknown(body, {"order_id", "price", "size"})
    price, size = body.get("price"), body.get("size")
    return EditRequest(
        order_id=_text(body, "order_id"),
        price=None if price in (None, "") else _positive("price", price),
        size=None if size in (None, "") else _positive("size", size),
    )


def parse_cancel(body: Mapping[str, object]) -> list[str]:
    """Read the body of POST orders/batch_cancel. Raises InvalidArgumentError."""
    _refuse_unknown(body, {"order_ids"})
    ids = body.get("order_ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(each, str) for each in ids):
        raise InvalidArgumentError("order_ids must be a list of order ids that is not empty")
    return ids


def _parse(body: Mapping[str, object], *, known: AbstractSet[str]) -> OrderRequest:
    if body.get("attached_order_configuration"):
        raise OrderFailedError(ATTACHED_ORDERS)
    for name in _MARGIN & body.keys():
        if body[name] not in (None, "", "1"):
            raise OrderFailedError(MARGIN_ORDERS)
    _refuse_unknown(body, known | _MARGIN | {"attached_order_configuration"})
    client_id = body.get("client_order_id", "")
    if not isinstance(client_id, str) or len(client_id) > MAX_CLIENT_ID:
        raise InvalidArgumentError(f"client_order_id is text of {MAX_CLIENT_ID} characters at most")
    side = _text(body, "side")
    if side not in tuple(Side):
        raise InvalidArgumentError("side must be BUY or SELL")
    return OrderRequest(
        client_order_id=client_id,
        product_id=_text(body, "product_id"),
        side=Side(side),
        configuration=_configuration(body.get("order_configuration")),
        portfolio=str(body.get("retail_portfolio_id") or ""),
    )


def _configuration(value: object) -> Configuration:
    if not isinstance(value, dict):
        raise InvalidArgumentError("order_configuration must be a JSON object")
    forms = [name for name in value if value[name] is not None]
    if len(forms) != 1:
        raise InvalidArgumentError("order_configuration must have exactly one member")
    name = forms[0]
    if name in _REFUSED_FORMS:
        raise OrderFailedError(UNSUPPORTED_CONFIGURATION)
    members = value[name]
    if name not in FORMS or not isinstance(members, dict):
        raise InvalidArgumentError(f"order_configuration: unknown field {name!r}")
    return _read_form(name, FORMS[name], members)


def _read_form(name: str, form: Form, members: Mapping[str, object]) -> Configuration:
    if members.get("reduce_only"):
        raise OrderFailedError(REDUCE_ONLY)
    _refuse_unknown(members, form.required | form.optional | {"reduce_only", "rfq_disabled"})
    if missing := sorted(form.required - members.keys()):
        raise InvalidArgumentError(f"order_configuration.{name}: {missing[0]} is required")
    numbers = {key: _positive(key, members[key]) for key in _NUMBERS & members.keys()}
    if name == "market_market_ioc" and len(numbers) != 1:
        raise InvalidArgumentError("market_market_ioc needs one of base_size and quote_size")
    direction = members.get("stop_direction")
    if "stop_direction" in form.required and direction not in (STOP_UP, STOP_DOWN):
        raise InvalidArgumentError(f"stop_direction must be {STOP_UP} or {STOP_DOWN}")
    post_only = members.get("post_only") or False
    if not isinstance(post_only, bool):
        raise InvalidArgumentError("post_only must be true or false")
    return Configuration(
        form=name,
        base_size=numbers.get("base_size"),
        quote_size=numbers.get("quote_size"),
        limit_price=numbers.get("limit_price"),
        stop_price=numbers.get("stop_price") or numbers.get("stop_trigger_price"),
        stop_direction=direction if isinstance(direction, str) else None,
        end_time=_end_time(members["end_time"]) if "end_time" in form.required else None,
        post_only=post_only,
    )


def _end_time(value: object) -> int:
    moment = parse_instant(value) if isinstance(value, str) else None
    if moment is None:
        raise InvalidArgumentError("end_time must be a time such as 2026-11-30T16:00:00Z")
    return moment


def _positive(name: str, value: object) -> Decimal:
    parsed = parse_number(value) if isinstance(value, str) else None
    if parsed is None:
        raise InvalidArgumentError(f"{name} must be a decimal number as a string")
    if parsed <= 0:
        raise InvalidArgumentError(f"{name} must be positive")
    return parsed


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidArgumentError(f"{name} is required")
    return value


def _refuse_unknown(members: Mapping[str, object], known: AbstractSet[str]) -> None:
    if unknown := sorted(members.keys() - known):
        raise InvalidArgumentError(f"unknown field {unknown[0]!r}")


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


ATTACHED_ORDERS = Failure(
    error="ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT",
    preview="PREVIEW_ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT",
    message="attached orders are not simulated: send a trigger_bracket after the fill",
)
MARGIN_ORDERS = Failure(
    error="INVALID_LEVERAGE",
    preview="PREVIEW_INVALID_LEVERAGE",
    message="spot products have no leverage and no margin type",
)
REDUCE_ONLY = Failure(
    error="REDUCE_ONLY_NOT_ALLOWED_ON_SPOT_PRODUCTS",
    preview="PREVIEW_REDUCE_ONLY_NOT_ALLOWED_ON_SPOT_PRODUCTS",
    message="reduce_only is for futures",
)
UNSUPPORTED_CONFIGURATION = Failure(
    error="UNSUPPORTED_ORDER_CONFIGURATION",
    preview="PREVIEW_INVALID_ORDER_CONFIG",
    message="this order configuration is not simulated",
)
