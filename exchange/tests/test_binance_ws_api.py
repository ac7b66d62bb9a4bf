"""The WebSocket API over a real socket: frames, calls and sessions."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from binance_harness import ED25519, HMAC, OTHER, READ_ONLY, ROOMY, Server, serving
from binance_ws_client import ORDER, Client, on
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.spot import Settings


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")


# Frames


@pytest.mark.parametrize(
    ("text", "identifier", "code"),
    [
        ("{", None, -1135),
        ("[]", None, -1135),
        ("[" * 100_000, None, -1135),
        ('{"id":[1],"method":"ping"}', None, -1100),
        ('{"id":"' + "x" * 37 + '","method":"ping"}', None, -1100),
        ('{"id":7}', 7, -1102),
        ('{"id":7,"method":"ping","params":[]}', 7, -1135),
        ('{"id":7,"method":"depth","params":{"symbol":null}}', 7, -1105),
        ('{"id":7,"method":"no.such"}', 7, -1130),
        ('{"id":7,"method":"sor.order.place"}', 7, -1020),
        ('{"id":7,"method":"ping","params":{"x":1}}', 7, -1101),
        ('{"id":7,"method":"order.place","params":{"symbol":"BTCUSDT"}}', 7, -1102),
    ],
)
def test_a_wrong_frame_is_answered_with_an_error(
    server: Server, text: str, identifier: object, code: int
) -> None:
    async def scene(client: Client) -> None:
        answer = await client.send_text(text)
        assert answer["id"] == identifier
        assert (answer["status"], answer["error"]["code"]) == (400, code)

    on(server, scene)


def test_ids_come_back_as_they_are(server: Server) -> None:
    async def scene(client: Client) -> None:
        for identifier in (1, "one", None, -5):
            answer = await client.send_text(json.dumps({"id": identifier, "method": "v3/ping"}))
            assert (answer["id"], answer["status"], answer["result"]) == (identifier, 200, {})

    on(server, scene)


def test_rate_limits_are_shown_unless_they_are_not_wanted(server: Server) -> None:
    async def shown(client: Client) -> None:
        assert (await client.ask("time"))["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
        assert "rateLimits" not in await client.ask("time", returnRateLimits=False)
        placed = await client.ask_signed("order.place", **ORDER)
        kinds = [each["rateLimitType"] for each in placed["rateLimits"]]
        assert kinds == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]

    async def hidden(client: Client) -> None:
        assert "rateLimits" not in await client.ask("time")
        assert "rateLimits" in await client.ask("time", returnRateLimits=True)

    on(server, shown)
    on(server, hidden, "?returnRateLimits=false")


# Calls


def test_calls_answer_what_rest_answers(server: Server) -> None:
    async def scene(client: Client) -> None:
        public = [
            ("exchangeInfo", "exchangeInfo", {"symbol": "BTCUSDT"}),
            ("depth", "depth", {"symbol": "BTCUSDT", "limit": 5}),
            ("klines", "klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 3}),
            ("trades.recent", "trades", {"symbol": "BTCUSDT", "limit": 3}),
            ("ticker.price", "ticker/price", {"symbols": '["BTCUSDT"]'}),
            ("ticker.book", "ticker/bookTicker", {"symbol": "BTCUSDT"}),
            ("ticker.24hr", "ticker/24hr", {"symbol": "BTCUSDT"}),
            ("avgPrice", "avgPrice", {"symbol": "BTCUSDT"}),
        ]
        for method, path, parameters in public:
            over_http = await asyncio.to_thread(server.get, f"/api/v3/{path}", **parameters)
            assert (await client.ask(method, **parameters))["result"] == over_http.json, method
        listed = await client.ask("ticker.price", symbols=["BTCUSDT"])
        assert [each["symbol"] for each in listed["result"]] == ["BTCUSDT"]
        private = [
            ("account.status", "account", {}),
            ("openOrders.status", "openOrders", {}),
            ("allOrders", "allOrders", {"symbol": "BTCUSDT"}),
            ("myTrades", "myTrades", {"symbol": "BTCUSDT"}),
            ("account.rateLimits.orders", "rateLimit/order", {}),
            ("account.commission", "account/commission", {"symbol": "BTCUSDT"}),
        ]
        for method, path, parameters in private:

            def over_http() -> Any:
                return server.signed("GET", f"/api/v3/{path}", **parameters).json  # noqa: B023

            expected = await asyncio.to_thread(over_http)
            assert (await client.ask_signed(method, **parameters))["result"] == expected, method

    on(server, scene)


def test_an_order_is_placed_changed_and_canceled(server: Server) -> None:
    async def scene(client: Client) -> None:
        assert (await client.ask_signed("order.test", **ORDER))["result"] == {}
        placed = (await client.ask_signed("order.place", **ORDER))["result"]
        assert placed["status"] == "NEW"
        wanted = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
        assert (await client.ask_signed("order.status", **wanted))["result"]["status"] == "NEW"
        replaced = await client.ask_signed(
            "order.cancelReplace",
            **ORDER,
            cancelOrderId=placed["orderId"],
            cancelReplaceMode="STOP_ON_FAILURE",
        )
        number = replaced["result"]["newOrderResponse"]["orderId"]
        canceled = await client.ask_signed("order.cancel", symbol="BTCUSDT", orderId=number)
        assert canceled["result"]["status"] == "CANCELED"
        refused = await client.ask_signed("order.place", **ORDER | {"quantity": "9000"})
        assert refused["status"] == 400
        assert refused["error"] == {
            "code": -2010,
            "msg": "Account has insufficient balance for requested action.",
        }

    on(server, scene)


def test_wrong_signatures_keys_and_times_are_refused(server: Server) -> None:
    async def scene(client: Client) -> None:
        async def error(**changes: Any) -> tuple[int, int]:
            parameters = client.signed(HMAC, {}) | changes
            answer = await client.ask("account.status", **parameters)
            return answer["status"], answer["error"]["code"]

        assert await error(signature="0" * 64) == (400, -1022)
        assert await error(signature="\ud800") == (400, -1022)
        assert await error(recvWindow="\ud800") == (400, -1100)
        assert await error(**{"\ud800": "1"}) == (400, -1104)
        assert await error(apiKey="unknown") == (401, -2015)
        assert await error(timestamp=1) == (400, -1021)
        assert (await client.ask_signed("order.place", by=READ_ONLY, **ORDER))["status"] == 401
        assert (await client.ask("account.status"))["error"]["code"] == -1102

    on(server, scene)


# Sessions


def test_a_session_needs_no_more_signatures_until_it_logs_out(server: Server) -> None:
    async def scene(client: Client) -> None:
        status = (await client.ask("session.status"))["result"]
        assert status["apiKey"] is None
        logon = (await client.ask_signed("session.logon", by=ED25519))["result"]
        assert (logon["apiKey"], logon["userDataStream"]) == (ED25519.name, False)
        now = server.clock.now
        placed = await client.ask("order.place", timestamp=now, **ORDER)
        assert placed["status"] == 200
        assert (await client.ask("account.status"))["error"]["code"] == -1102
        late = await client.ask("account.status", timestamp=now - 10_000)
        assert late["error"]["code"] == -1021
        other = await client.ask_signed("account.status", by=OTHER)
        assert (
            other["result"]["uid"]
            != (await client.ask("account.status", timestamp=now))["result"]["uid"]
        )
        assert (await client.ask("session.logout"))["result"]["apiKey"] is None
        assert (await client.ask("account.status", timestamp=now))["error"]["code"] == -1102

    on(server, scene)


def test_a_logon_with_hmac_is_refused_unless_it_is_allowed(server: Server) -> None:
    async def strict(client: Client) -> None:
        refused = await client.ask_signed("session.logon")
        assert refused["error"]["code"] == -1020
        assert (await client.ask("userDataStream.subscribe"))["error"]["code"] == -1102

    async def lenient(client: Client) -> None:
        assert (await client.ask_signed("session.logon"))["status"] == 200
        assert (await client.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}

    on(server, strict)
    with serving(Settings(limits=ROOMY, hmac_logon=True)) as other:
        on(other, lenient)


def test_weights_of_all_connections_of_an_address_are_one_sum() -> None:
    async def scene(client: Client) -> None:
        answers = [await client.ask("exchangeInfo") for _ in range(4)]
        assert [answer["status"] for answer in answers] == [200, 200, 429, 418]
        now = client.server.clock.now
        assert answers[2]["error"]["data"] == {"serverTime": now, "retryAfter": now + 60_000}
        over_http = await asyncio.to_thread(client.server.get, "/api/v3/ping")
        assert over_http.status == 418

    with serving(Settings(limits=RateLimits(weight=50, patience=1))) as server:
        on(server, scene)
