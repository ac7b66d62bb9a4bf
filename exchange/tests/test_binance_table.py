"""The table of calls, the table of refusals, and the documentation of both."""

import subprocess
import sys
from pathlib import Path

import pytest
from tradingbot_exchange.binance.calls import CALLS, NOT_SUPPORTED, Call
from tradingbot_exchange.binance.errors import EXPIRIES, REFUSALS, refusal
from tradingbot_exchange.binance.handlers import HANDLERS
from tradingbot_exchange.engine.types import Reason, RefusedError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "exchange-binance.md"
USER_REASONS = {Reason.BY_USER, Reason.REPLACED, Reason.SELF_TRADE}
"""Ends of orders that are neither refusals nor reasons to expire."""


def test_every_call_has_a_handler_and_every_handler_a_call() -> None:
    assert {call.name for call in CALLS} == set(HANDLERS)


def test_names_and_addresses_are_unique() -> None:
    assert len({call.name for call in CALLS}) == len(CALLS)
    assert len({(call.method, call.path) for call in CALLS}) == len(CALLS)
    named = [call.websocket for call in CALLS if call.websocket is not None]
    assert len(set(named)) == len(named)
    assert not NOT_SUPPORTED & {(call.method, call.path) for call in CALLS}


def test_every_reason_of_the_engine_has_a_meaning_here() -> None:
    assert set(REFUSALS) | set(EXPIRIES) | USER_REASONS == set(Reason)


@pytest.mark.parametrize("reason", sorted(REFUSALS))
def test_a_refusal_quotes_the_table_and_not_the_engine(reason: Reason) -> None:
    error = refusal(RefusedError(reason, "detail of the engine"))
    assert (error.code, error.message) == REFUSALS[reason]
    assert error.status == 400


def weight_of(call: Call) -> str:
    return call.weights or str(call.weight)


def row(call: Call) -> str:
    websocket = "" if call.websocket is None else f"`{call.websocket}`"
    weight = "" if call.path.startswith("/sapi/") else weight_of(call)
    return f"| `{call.method} {call.path}` | {websocket} | {call.security} | {weight} |"


def test_the_document_lists_every_call_as_it_is() -> None:
    text = DOCUMENT.read_text()
    missing = [row(call) for call in CALLS if row(call) not in text]
    assert missing == []
    assert sum(
        line.startswith(("| `GET /", "| `POST /", "| `DELETE /")) for line in text.splitlines()
    ) == len(CALLS)


def test_the_document_names_every_call_that_is_refused() -> None:
    text = DOCUMENT.read_text()
    assert [path for method, path in NOT_SUPPORTED if f"`{method} {path}`" not in text] == []


def test_the_document_lists_every_refusal() -> None:
    text = DOCUMENT.read_text()
    rows = [f"| {reason} | {code} | {message} |" for reason, (code, message) in REFUSALS.items()]
    assert [row for row in rows if row not in text] == []


PURE = (
    *("account", "call_parameters", "calls", "candles", "errors", "framing", "handlers"),
    *("limits", "market_data", "orders", "parameters", "shapes", "signing", "spot", "symbols"),
    *("trading", "user_events", "user_stream", "wallet", "feed"),
)
"""Modules that a gateway can use without a server."""


def test_parsing_writing_and_signing_need_no_http() -> None:
    code = "import sys; sys.modules['aiohttp'] = None; import " + ", ".join(
        f"tradingbot_exchange.binance.{name}" for name in PURE
    )
    subprocess.run([sys.executable, "-c", code], check=True)
