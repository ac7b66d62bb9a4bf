"""What the bot sees of its account: its own client ids, and none of the gateway's protection.

A bot that saw its coins as held would not try to sell them, and one that found orders that it has
not sent might cancel them. So the holds of the gateway's orders count as available, and the orders
are not listed until they have traded. The gateway releases them when the bot sells.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tradingbot_exchange.coinbase.wire import number

from tradingbot_gateway.coinbase.translation import Tag, is_protection
from tradingbot_gateway.risk.types import ZERO

Json = dict[str, Any]
_NOTHING = "0"


def in_account(account: Json, holds: Mapping[str, Decimal]) -> Json:
    """Return an account (a balance) with the holds counted as available."""
    held = min(holds.get(account["currency"], ZERO), Decimal(account["hold"]["value"]))
    if not held:
        return account
    return {
        **account,
        "available_balance": _moved(account["available_balance"], held),
        "hold": _moved(account["hold"], -held),
    }


def of_the_bot(views: Iterable[Json], tag: Tag) -> list[Json]:
    """Return orders, of REST or the user channel, as the bot sees them."""
    found = []
    for view in views:
        client_id = tag.original(str(view.get("client_order_id")))
        if client_id is None:
            found.append(view)  # of somebody else on the account
            continue
        filled = view.get("filled_size") or view.get("cumulative_quantity") or _NOTHING
        if not is_protection(client_id) or Decimal(filled) > 0:
            found.append({**view, "client_order_id": client_id})
    return found


def _moved(amount: Json, by: Decimal) -> Json:
    return {**amount, "value": number(Decimal(amount["value"]) + by)}
