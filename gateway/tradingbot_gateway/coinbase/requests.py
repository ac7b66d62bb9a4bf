"""A bot's orders: what the core has to judge, and what is sent if it may pass."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tradingbot_exchange.coinbase.engine_orders import engine_order
from tradingbot_exchange.coinbase.errors import InvalidArgumentError
from tradingbot_exchange.coinbase.order_requests import OrderRequest, parse_order

from tradingbot_gateway.answers import NOT_ALLOWED
from tradingbot_gateway.coinbase.refusals import ATTACHED_ORDERS, OrderRefusedError
from tradingbot_gateway.coinbase.translation import Tag, bracket
from tradingbot_gateway.risk.types import PROTECTION_PREFIX, ZERO, Order, Request
from tradingbot_gateway.sending import core_order

_CLIENT_ID = re.compile(r"[!-.0-~]+")
"""Printable ASCII without a space and without a slash."""

_NOT_SENT = frozenset({"preview_id"})
"""What is judged is what is sent, and not what a preview of another order may have said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a bot has asked for, and how it is sent on."""

    request: Request
    client_id: str
    """As the bot knows it."""
    body: Mapping[str, object]
    ends_at_once: bool
    """Whether the order fills or ends as soon as it arrives."""


def read_submission(body: Mapping[str, object], tag: Tag) -> Submission:
    """Return a new order. Raises ApiError, OrderFailedError for one that is wrong in form.

    Unknown members and ways to trade that the gateway does not understand are refused.
    """
    if body.get("attached_order_configuration"):
        raise OrderRefusedError(NOT_ALLOWED, ATTACHED_ORDERS)
    wanted = parse_order(body)
    client_id = wanted.client_order_id
    _check_client_id(client_id, tag)
    orders = _orders(wanted)
    form = wanted.configuration.form
    return Submission(
        request=Request(orders=orders, group=client_id if len(orders) > 1 else None),
        client_id=client_id,
        body={
            **{name: value for name, value in body.items() if name not in _NOT_SENT},
            "client_order_id": tag.marked(client_id),
        },
        ends_at_once=form in {"market_market_ioc", "sor_limit_ioc", "limit_limit_fok"},
    )


def _check_client_id(client_id: str, tag: Tag) -> None:
    if len(client_id) > tag.longest or _CLIENT_ID.fullmatch(client_id) is None:
        raise InvalidArgumentError(
            f"client_order_id: through the risk gateway, it has at most {tag.longest} printable"
            " characters without spaces and slashes"
        )
    if client_id.startswith(PROTECTION_PREFIX):
        raise InvalidArgumentError(
            f"client_order_id: {PROTECTION_PREFIX} is how those of the risk gateway begin"
        )


def _orders(wanted: OrderRequest) -> tuple[Order, ...]:
    terms = wanted.configuration
    if not terms.bracket:
        return (core_order(engine_order(wanted)),)
    return bracket(
        wanted.client_order_id,
        wanted.product_id,
        wanted.side,
        size=terms.base_size or ZERO,
        price=terms.limit_price or ZERO,
        trigger=terms.stop_price or ZERO,
    )
