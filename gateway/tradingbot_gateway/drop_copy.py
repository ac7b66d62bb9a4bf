"""The drop copy: one JSON line for each decision and fill, on standard output, and never a key.

`tradingbot orders` reads it.
"""

import json
from collections.abc import Callable

from tradingbot_gateway.risk.day import as_instant
from tradingbot_gateway.risk.events import Filled
from tradingbot_gateway.risk.types import Order, Request
from tradingbot_gateway.risk.verdicts import Allowed, Refused, Verdict

Write = Callable[[str], object]


class DropCopy:
    """Writes decisions of one bot. `write` takes one line with its end."""

    def __init__(self, write: Write, *, bot: str) -> None:
        self._write = write
        self._bot = bot

    def decided(self, request: Request, verdict: Verdict, *, now: int) -> None:
        """Write what became of a request of the bot. `now` is in milliseconds."""
        if isinstance(verdict, Allowed):
            outcome: dict[str, object] = {
                "verdict": "allowed",
                "kind": "entry" if verdict.entry else "exit",
            }
        elif isinstance(verdict, Refused):
            outcome = {
                "verdict": "refused",
                "control": verdict.control.value,
                "reason": verdict.message,
                "figures": {name: f"{value:f}" for name, value in verdict.figures.items()},
            }
        else:
            outcome = {
                "verdict": "released",
                "cancels": [each.client_id for each in verdict.cancels],
            }
        for order in request.orders:
            self._line(now, {**_order(order), **_context(request), **outcome})

    def refused(self, what: str, *, control: str, reason: str, now: int) -> None:
        """Write a call that was refused before it became a request."""
        self._line(now, {"call": what, "verdict": "refused", "control": control, "reason": reason})

    def acted(self, action: str, order: Order | None, *, reason: str, now: int) -> None:
        """Write what the gateway does by itself."""
        described = {} if order is None else _order(order)
        self._line(now, {**described, "verdict": "own", "action": action, "reason": reason})

    def filled(self, event: Filled, order: Order, *, own: bool) -> None:
        """Write a trade of an order, which may be the gateway's own."""
        fields: dict[str, object] = {
            "clientId": order.client_id,
            "symbol": event.symbol,
            "side": order.side.value,
            "size": f"{event.quantity:f}",
            "price": f"{event.price:f}",
            "fee": f"{event.fee:f}",
            "feeAsset": event.fee_asset,
            "tradeId": event.trade_id,
            "verdict": "filled",
            "own": own,
        }
        self._line(event.time, fields)

    def _line(self, now: int, fields: dict[str, object]) -> None:
        time = as_instant(now).isoformat(timespec="milliseconds")
        line = {"time": time.replace("+00:00", "Z"), "bot": self._bot, **fields}
        self._write(json.dumps(line, ensure_ascii=False) + "\n")


def _order(order: Order) -> dict[str, object]:
    size = order.quantity if order.quantity is not None else order.quote_quantity
    named = "size" if order.quantity is not None else "quoteSize"
    fields: dict[str, object] = {
        "clientId": order.client_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        named: None if size is None else f"{size:f}",
        "price": None if order.price is None else f"{order.price:f}",
    }
    if order.stop_price is not None:
        fields["stopPrice"] = f"{order.stop_price:f}"
    return fields


def _context(request: Request) -> dict[str, object]:
    found: dict[str, object] = {}
    if request.group is not None:
        found["list"] = request.group
    if request.replaces is not None:
        found["replaces"] = request.replaces
    return found
