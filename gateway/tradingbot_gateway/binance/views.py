"""What the bot sees of its account: the gateway's own protection is not there.

A bot that saw its coins as locked would not try to sell them, and one that found orders that it has
not sent might cancel them. So the holds of the gateway's orders count as free, and the orders are
not listed, until they have traded. The gateway releases them when the bot sells.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tradingbot_gateway.risk.types import PROTECTION_PREFIX

Json = dict[str, Any]


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


def in_event(event: Mapping[str, Any], holds: Mapping[str, Decimal]) -> Mapping[str, Any] | None:
    """Return an event of the account as the bot sees it, or None if the bot does not."""
    kind = event.get("e")
    if kind == "outboundAccountPosition":
        return {**event, "B": [_freed(row, holds, ("a", "f", "l")) for row in event["B"]]}
    if kind in {"executionReport", "listStatus"}:
        ids = (str(event.get(name, "")) for name in ("c", "C"))
        own = any(each.startswith(PROTECTION_PREFIX) for each in ids)
        return None if own and event.get("x") != "TRADE" else event
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
