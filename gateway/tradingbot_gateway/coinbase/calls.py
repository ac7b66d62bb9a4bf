"""The calls of Coinbase Advanced that a bot may make through the gateway: one table.

What is not in it is refused: transfers, conversions, portfolios that are moved, changes of open
orders, positions in futures. docs/gateway-coinbase.md is generated from it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from tradingbot_exchange.coinbase.calls import CALLS, V3, Access, Call


class Treatment(StrEnum):
    """What the gateway does with a call."""

    MARKET = "market data, passed through"
    READ = "read, signed with the real key"
    ACCOUNTS = "read, signed; holds of the gateway's own orders count as free"
    ORDERS = "read, signed; client ids as the bot sent them, without the gateway's own protection"
    PREVIEW = "checked by the exchange alone, signed; nothing is sent to the market"
    ORDER = "judged, its client id marked, signed"
    CANCEL = "refused by no limit, signed; of the bot's own orders alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """One call that may pass. `{name}` in the path stands for one segment."""

    method: str
    path: str
    treatment: Treatment

    @property
    def signed(self) -> bool:
        """Whether the bot has to sign the call."""
        return self.treatment is not Treatment.MARKET


_TREATMENTS = {
    f"GET {V3}/accounts": Treatment.ACCOUNTS,
    f"GET {V3}/accounts/{{account_uuid}}": Treatment.ACCOUNTS,
    f"GET {V3}/orders/historical/batch": Treatment.ORDERS,
    f"GET {V3}/orders/historical/{{order_id}}": Treatment.ORDERS,
    f"POST {V3}/orders": Treatment.ORDER,
    f"POST {V3}/orders/batch_cancel": Treatment.CANCEL,
    f"POST {V3}/orders/preview": Treatment.PREVIEW,
    f"POST {V3}/orders/edit_preview": Treatment.PREVIEW,
}
"""Of the calls that need a key. All other reads are read."""


def _allowed(call: Call) -> Allowed | None:
    if call.access is Access.PUBLIC:
        treatment = Treatment.MARKET
    elif call.method == "GET":
        treatment = _TREATMENTS.get(f"{call.method} {call.path}", Treatment.READ)
    else:
        found = _TREATMENTS.get(f"{call.method} {call.path}")
        if found is None:
            return None
        treatment = found
    return Allowed(method=call.method, path=call.path, treatment=treatment)


ALLOWED = tuple(each for each in map(_allowed, CALLS) if each is not None)
"""Every call that may pass."""

_EXACT = {(each.method, each.path): each for each in ALLOWED if "{" not in each.path}
_PATTERNS = tuple(
    (re.compile(re.sub(r"\{\w+\}", "[A-Za-z0-9_-]{1,64}", each.path)), each)
    for each in ALLOWED
    if "{" in each.path
)

_NOT_LISTED = "it is not on its list of calls"
_WHY = {
    ("POST", f"{V3}/orders/edit"): (
        "an order keeps its id when it is changed, and its fills do not say under which terms they"
        " were made; cancel the order, and send another one"
    ),
}
"""Of calls that clients may expect to pass."""


def why_refused(method: str, path: str) -> str:
    """Return why a call that is not in the table is refused."""
    return _WHY.get((method, path), _NOT_LISTED)


STREAM_PATHS = ("/", "/ws")
"""WebSockets: market channels are passed through, the user channel is the gateway's own."""


BEST_BID_ASK = f"{V3}/best_bid_ask"


def public_twin(path: str) -> str | None:
    """Return the path of the same data of the market without a key, or None if there is none."""
    twin = path.replace(f"{V3}/", f"{V3}/market/", 1)
    found = find("GET", twin)
    return None if found is None or found.signed else twin


def find(method: str, path: str) -> Allowed | None:
    """Return the call of a path as it was sent: another spelling of a path is not that path."""
    exact = _EXACT.get((method, path))
    if exact is not None:
        return exact
    for pattern, call in _PATTERNS:
        if call.method == method and pattern.fullmatch(path):
            return call
    return None
