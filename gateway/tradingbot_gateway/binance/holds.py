"""What the bot sees of its balances: the gateway's own protection holds nothing of them.

A bot that sees its coins as locked would not try to sell them. The gateway releases its protection
when the bot does.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Json = dict[str, Any]


def in_account(account: Json, holds: Mapping[str, Decimal]) -> Json:
    """Return the answer to `account` with the holds counted as free."""
    rows = [_freed(row, holds, ("asset", "free", "locked")) for row in account["balances"]]
    return {**account, "balances": rows}


def in_event(event: Mapping[str, Any], holds: Mapping[str, Decimal]) -> Mapping[str, Any]:
    """Return an event of the account with the holds counted as free."""
    if event.get("e") != "outboundAccountPosition":
        return event
    return {**event, "B": [_freed(row, holds, ("a", "f", "l")) for row in event["B"]]}


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
