"""The table of calls: what is served, to whom, how often, and what the documentation says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from coinbase_harness import EC_NAME, START, Client, quiet_venue, run
from tradingbot_exchange.coinbase.calls import CALLS, V3, Access, Call
from tradingbot_exchange.coinbase.fault_errors import CoinbaseFaultErrors
from tradingbot_exchange.coinbase.rate_limits import PerSecond
from tradingbot_exchange.coinbase.signing import legacy_headers
from tradingbot_exchange.engine.types import Reason

PAGE = Path(__file__).parents[2] / "docs/exchange-coinbase.md"
CALL_IDS = [f"{call.method} {call.path}" for call in CALLS]


def test_the_documentation_lists_the_calls_that_are_served() -> None:
    listed = re.findall(
        r"^\| (GET|POST) \| `(\S+)` \| (\w+) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE
    )
    assert listed == [(call.method, call.path, call.access, call.summary) for call in CALLS]


@pytest.mark.parametrize("call", CALLS, ids=CALL_IDS)
def test_a_call_is_served_to_those_who_may_make_it(call: Call) -> None:
    async def scenario(client: Client) -> None:
        path = re.sub(r"\{\w+\}", "x", call.path)

        async def status(key: str | None) -> int:
            return (await client.send(call.method, path, {}, key=key)).status

        anonymous, reader, trader = [await status(key) for key in (None, "reader", EC_NAME)]
        served = {200, 400, 404}
        assert trader in served
        assert (anonymous in served) == (call.access is Access.PUBLIC)
        assert (reader in served) == (call.access is not Access.TRADE)
        if call.access is not Access.PUBLIC:
            assert anonymous == 401
        if call.access is Access.TRADE:
            assert reader == 403

    run(scenario, quiet_venue())


def test_errors_of_rights_read_as_the_exchange_writes_them() -> None:
    async def scenario(client: Client) -> None:
        unsigned = await client.send("GET", f"{V3}/accounts", key=None)
        assert unsigned.text == "Unauthorized\n"
        assert unsigned.headers["Content-Type"].startswith("text/plain")
        denied = await client.send("POST", f"{V3}/orders", {}, key="reader")
        assert '"error_details":"Missing required scopes"' in denied.text
        headers = legacy_headers(
            "legacy",
            "wrong",
            timestamp=str(START // 1000),
            method="GET",
            path=f"{V3}/accounts",
            body="",
        )
        legacy = await client.send("GET", f"{V3}/accounts", key=None, headers=headers)
        assert legacy.json() == {
            "errors": [{"id": "authentication_error", "message": "invalid signature"}]
        }
        assert legacy.status == 401

    run(scenario, quiet_venue())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{V3}/nothing", 404),
        ("POST", f"{V3}/convert/quote", 404),
        ("POST", f"{V3}/portfolios/move_funds", 405),
        ("GET", "/nothing", 404),
        ("POST", f"{V3}/accounts", 405),
        ("DELETE", f"{V3}/portfolios/x", 405),
        ("HEAD", f"{V3}/time", 405),
    ],
)
def test_everything_else_does_not_exist(method: str, path: str, status: int) -> None:
    async def scenario(client: Client) -> None:
        assert (await client.send(method, path)).status == status

    run(scenario, quiet_venue())


def test_a_body_that_is_too_large_is_refused() -> None:
    async def scenario(client: Client) -> None:
        answer = await client.send("POST", f"{V3}/orders", b" " * (1024 * 1024 + 1))
        assert answer.status == 413

    run(scenario, quiet_venue())


def test_a_body_on_a_get_is_ignored() -> None:
    async def scenario(client: Client) -> None:
        assert (await client.send("GET", f"{V3}/accounts", {})).status == 200
        assert (await client.send("GET", f"{V3}/accounts", b"nonsense")).status == 200

    run(scenario, quiet_venue())


@pytest.mark.parametrize(("path", "key", "limit"), [("accounts", "ed", 30), ("time", None, 10)])
def test_a_second_has_a_limit_of_requests_that_every_answer_tells(
    path: str, key: str | None, limit: int
) -> None:
    async def scenario(client: Client) -> None:
        for number in range(limit):
            answer = await client.send("GET", f"{V3}/{path}", key=key)
            assert answer.status == 200
            assert answer.headers["x-ratelimit-limit"] == str(limit)
            assert answer.headers["x-ratelimit-remaining"] == str(limit - number - 1)
            assert answer.headers["x-ratelimit-reset"] == "1"
        answer = await client.send("GET", f"{V3}/{path}", key=key)
        assert answer.status == 429
        assert answer.json()["error"] == "rate_limit_exceeded"
        assert answer.headers["retry-after"] == "1"
        client.venue.time += 1000
        assert (await client.send("GET", f"{V3}/{path}", key=key)).status == 200

    run(scenario, quiet_venue())


def test_each_key_has_a_limit_of_its_own() -> None:
    async def scenario(client: Client) -> None:
        for _ in range(31):
            await client.send("GET", f"{V3}/accounts", key="ed")
        assert (await client.send("GET", f"{V3}/accounts", key="bob")).status == 200

    run(scenario, quiet_venue())


def test_the_use_of_those_who_asked_long_ago_is_forgotten() -> None:
    limits = PerSecond(1)
    assert limits.take("first", now_ms=0).allowed
    assert not limits.take("first", now_ms=999).allowed
    for number in range(10_001):
        limits.take(f"another {number}", now_ms=0)
    assert limits.take("first", now_ms=0).allowed


@pytest.mark.parametrize("reason", list(Reason))
def test_a_rejection_by_a_fault_reads_as_one_of_the_engine(reason: Reason) -> None:
    answer = CoinbaseFaultErrors().rejected(reason)
    assert answer.status == 200
    assert '"success":false' in str(answer.text)


def test_other_faults_read_as_failures_of_the_exchange() -> None:
    faults = CoinbaseFaultErrors()
    assert (faults.rate_limited(7).status, faults.banned(7).status) == (429, 429)
    assert faults.rate_limited(7).headers["retry-after"] == "7"
    assert '"error":"INTERNAL"' in str(faults.server_error(500).text)
    assert faults.server_error(503).text == '{"message":"Service Unavailable"}'


def test_parsing_writing_and_signing_need_no_http_server() -> None:
    """A gateway reuses these modules, and brings its own server."""
    modules = (
        "authentication",
        "engine_orders",
        "failures",
        "order_requests",
        "order_views",
        "signing",
        "wire",
    )
    imports = "; ".join(f"import tradingbot_exchange.coinbase.{name}" for name in modules)
    check = f"import sys; {imports}; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_body_that_is_not_encoded_as_it_says_is_a_bad_request() -> None:
    async def scenario(client: Client) -> None:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        answer = await client.send("POST", f"{V3}/orders", b"{}", headers=headers)
        assert answer.status == 400

    run(scenario, quiet_venue())
