"""Generate docs/gateway-binance.md from the gateway's list of calls."""

from tradingbot_gateway.binance.calls import ALLOWED, Allowed

_HEAD = """\
<!-- Generated from gateway/tradingbot_gateway/binance/calls.py by `make generate`; do not edit. -->
# The gateway's calls of Binance

What a bot may call through [the risk gateway](gateway-run.md) in Binance's dialect. Everything else
is refused with HTTP 400, code -1020 and the header `X-Tradingbot-Refused: NotAllowed`: withdrawals,
transfers, margin, lending, calls about API keys, order lists other than OCO (OTO, OTOCO, OPO,
OPOCO), smart order routing, amendments, iceberg, trailing and pegged orders. A path counts as it is
sent: another spelling of an allowed path is not allowed.

| REST | WebSocket API | what the gateway does |
|---|---|---|
"""

_STREAMS = """\
| market streams: `/ws`, `/ws/...`, `/stream` | | passed through |
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(map(_row, ALLOWED)) + _STREAMS


def _row(call: Allowed) -> str:
    rest = f"`{call.method} {call.path}`" if call.path else ""
    websocket = f"`{call.websocket}`" if call.websocket else ""
    return f"| {rest} | {websocket} | {call.treatment} |\n"
