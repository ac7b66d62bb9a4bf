"""What the bot sees of its account: the gateway's own protection is not there.

A bot that saw its coins as locked would not try to sell them, and one that found orders that it has
not sent might cancel them. So the holds of the gateway's orders count as free, and the orders are
not listed, until they have traded. The gateway releases them when the bot sells. The tag of the
bot's own orders is not shown either: ccxt takes a strategyId for the order's id.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tradingbot_gateway.binance.translation import Tag
from tradingbot_gateway.risk.types import PROTECTION_PREFIX

Json = dict[str, Any]
_TAGS = ("strategyId", "strategyType")
_EVENT_TAGS = ("j", "J")


def without_tag(body: Any, tag: Tag) -> Any:
    """Return an answer without the tag, wherever an order is in it."""
    if isinstance(body, list):
        return [without_tag(each, tag) for each in body]
    if not isinstance(body, dict):
        return body
    marked = tag.marks(*(body.get(name) for name in _TAGS))
    return {
        name: without_tag(value, tag)
        for name, value in body.items()
        if not (marked and name in _TAGS)
    }


def in_account(account: Json, holds: Mapping[str, Decimal]) -> Json:
    """Return the answer to `account` with the holds counted as free."""
    rows = [_freed(row, holds, ("asset", "free", "locked")) for row in account["balances"]]
    return {**account, "balances": rows}


def is_protection(view: Mapping[str, Any]) -> bool:
    """Whether an order, or a list of orders, is one of the gateway."""
    client_id = view.get("clientOrderId") or view.get("listClientOrderId") or ""
    return str(client_id).startswith(PROTECTION_PREFIX)


def of_the_bot(views: Iterable[Json]) -> list[Json]:
    """Return orders or lists without those of the gateway that have not traded."""
    return [
        view
        for view in views
        if not is_protection(view) or Decimal(view.get("executedQty", "0")) > 0
    ]


def in_event(
    event: Mapping[str, Any], holds: Mapping[str, Decimal], tag: Tag
) -> Mapping[str, Any] | None:
    """Return an event of the account as the bot sees it, or None if the bot does not."""
    kind = event.get("e")
    if kind == "outboundAccountPosition":
        return {**event, "B": [_freed(row, holds, ("a", "f", "l")) for row in event["B"]]}
    if kind in {"executionReport", "listStatus"}:
        ids = (str(event.get(name, "")) for name in ("c", "C"))
        own = any(each.startswith(PROTECTION_PREFIX) for each in ids)
        if own and event.get("x") != "TRADE":
            return None
        if tag.marks(*(event.get(name) for name in _EVENT_TAGS)):
            return {name: value for name, value in event.items() if name not in _EVENT_TAGS}
    return event


def _freed(row: Json, holds: Mapping[str, Decimal], names: tuple[str, str, str]) -> Json:
    asset, free, locked = names
    held = min(holds.get(row[asset], Decimal(0)), Decimal(row[locked]))
    if not held:
        return row
    return {
        **row,
        free: f"{Decimal(row[free]) + held:.8f}",
        locked: f"{Decimal(row[locked]) - held:.8f}",
    }
