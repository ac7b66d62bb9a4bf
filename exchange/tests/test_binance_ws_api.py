"""The WebSocket API over a real socket: sessions, calls, and events of an account."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from binance_harness import (
    ED25519,
    HMAC,
    OTHER,
    READ_ONLY,
    ROOMY,
    Credentials,
    Server,
    serving,
)
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.signing import sign, sorted_payload
from tradingbot_exchange.binance.spot import Settings

SECONDS = 15
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "50000",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")


class Client:
    """A client's end. Events that arrive between answers are kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, server: Server) -> None:
        self.socket = socket
        self.server = server
        self.events: list[Any] = []
        self._next = 0

    async def receive(self) -> Any:
        async with asyncio.timeout(SECONDS):
            return json.loads(await self.socket.receive_str())

    async def send_text(self, text: str) -> Any:
        await self.socket.send_str(text)
        return await self._answer()

    async def ask(self, method: str, **parameters: Any) -> Any:
        self._next += 1
        request = {"id": self._next, "method": method, "params": parameters}
        answer = await self.send_text(json.dumps(request))
        assert answer["id"] == self._next
        return answer

    async def _answer(self) -> Any:
        while True:
            message = await self.receive()
            if "event" not in message:
                return message
            self.events.append(message)

    def signed(self, by: Credentials, parameters: dict[str, Any]) -> dict[str, Any]:
        whole = {**parameters, "apiKey": by.name, "timestamp": self.server.clock.now}
        text = {name: str(value) for name, value in whole.items()}
        return {**whole, "signature": sign(by.secret, sorted_payload(text))}

    async def ask_signed(self, method: str, *, by: Credentials = HMAC, **parameters: Any) -> Any:
        return await self.ask(method, **self.signed(by, parameters))

    async def next_event(self, kind: str) -> Any:
        """Return the next event of a kind, without its envelope."""
        while True:
            message = self.events.pop(0) if self.events else await self.receive()
            if message["event"]["e"] == kind:
                return message["event"]


@asynccontextmanager
async def connected(server: Server, query: str = "") -> AsyncIterator[Client]:
    url = f"http://127.0.0.1:{server.port}/ws-api/v3{query}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        yield Client(socket, server)


def on(server: Server, scene: Callable[[Client], Awaitable[None]], query: str = "") -> None:
    async def play() -> None:
        async with connected(server, query) as client:
            await scene(client)

    asyncio.run(play())


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


# Events


def test_an_order_is_reported_from_its_begin_to_its_cancel(server: Server) -> None:
    async def scene(client: Client) -> None:
        answer = await client.ask_signed("userDataStream.subscribe.signature")
        assert answer["result"] == {"subscriptionId": 0}
        tags = {"strategyId": 3, "strategyType": 1_000_000}
        placed = (await client.ask_signed("order.place", **ORDER, **tags))["result"]
        report = await client.next_event("executionReport")
        assert set(report) == {
            *("e", "E", "s", "c", "S", "o", "f", "q", "p", "P", "F", "g", "C", "x", "X", "r"),
            *("i", "l", "z", "L", "n", "N", "T", "t", "I", "w", "m", "M", "O", "Z", "Y", "Q"),
            *("W", "V", "j", "J"),
        }
        assert (report["x"], report["X"], report["w"]) == ("NEW", "NEW", True)
        assert (report["c"], report["C"]) == (placed["clientOrderId"], "")
        assert (report["i"], report["j"], report["J"]) == (placed["orderId"], 3, 1_000_000)
        position = await client.next_event("outboundAccountPosition")
        assert [each["a"] for each in position["B"]] == ["USDT"]
        canceled = (
            await client.ask_signed(
                "order.cancel",
                symbol="BTCUSDT",
                orderId=placed["orderId"],
                newClientOrderId="the-cancel",
            )
        )["result"]
        assert canceled["clientOrderId"] == "the-cancel"
        report = await client.next_event("executionReport")
        assert (report["x"], report["X"], report["w"]) == ("CANCELED", "CANCELED", False)
        assert (report["c"], report["C"]) == ("the-cancel", placed["clientOrderId"])

    on(server, scene)


def test_fills_are_reported_one_by_one(server: Server) -> None:
    async def scene(client: Client) -> None:
        await client.ask_signed("userDataStream.subscribe.signature")
        market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        placed = (await client.ask_signed("order.place", **market))["result"]
        assert (await client.next_event("executionReport"))["x"] == "NEW"
        total = 0.0
        for fill in placed["fills"]:
            report = await client.next_event("executionReport")
            assert (report["x"], report["t"], report["l"]) == (
                "TRADE",
                fill["tradeId"],
                fill["qty"],
            )
            assert (report["n"], report["N"]) == (fill["commission"], "BTC")
            total += float(report["l"])
            assert float(report["z"]) == pytest.approx(total)
        assert report["X"] == "FILLED"
        position = await client.next_event("outboundAccountPosition")
        assert {each["a"] for each in position["B"]} == {"BTC", "USDT"}
        await client.ask("ping")
        assert client.events == []  # a trade is not a deposit

    on(server, scene)


def test_a_pair_is_reported_as_a_list(server: Server) -> None:
    async def scene(client: Client) -> None:
        await client.ask_signed("userDataStream.subscribe.signature")
        pair = await client.ask_signed(
            "orderList.place.oco",
            symbol="BTCUSDT",
            side="SELL",
            quantity="0.01",
            aboveType="LIMIT_MAKER",
            abovePrice="70000",
            belowType="STOP_LOSS",
            belowStopPrice="50000",
        )
        number = pair["result"]["orderListId"]
        begun = await client.next_event("listStatus")
        assert (begun["g"], begun["l"], begun["L"], len(begun["O"])) == (
            number,
            "EXEC_STARTED",
            "EXECUTING",
            2,
        )
        await client.ask_signed("orderList.cancel", symbol="BTCUSDT", orderListId=number)
        ended = await client.next_event("listStatus")
        assert (ended["l"], ended["L"]) == ("ALL_DONE", "ALL_DONE")

    on(server, scene)


def test_what_the_twin_of_a_triggered_stop_becomes_is_expired(server: Server) -> None:
    async def scene(client: Client) -> None:
        await client.ask_signed("userDataStream.subscribe.signature")
        last = float(await asyncio.to_thread(server.last_price))
        pair = await client.ask_signed(
            "orderList.place.oco",
            symbol="BTCUSDT",
            side="SELL",
            quantity="0.01",
            aboveType="LIMIT_MAKER",
            abovePrice=f"{last * 1.1:.2f}",
            belowType="STOP_LOSS",
            belowStopPrice=f"{last * 0.999:.2f}",
        )
        limit = pair["result"]["orders"][1]["orderId"]

        def fall() -> None:
            server.venue.apply(
                lambda engine, now: (
                    None,
                    engine.trade_through(
                        "BTC-USDT",
                        engine.instrument("BTC-USDT").tick * round(last * 0.99 * 100),
                        now=now,
                    ),
                )
            )

        await asyncio.to_thread(server.on_loop, fall)
        reports: dict[tuple[int, str], Any] = {}
        while (limit, "EXPIRED") not in reports:
            report = await client.next_event("executionReport")
            reports[report["i"], report["x"]] = report
        assert reports[limit, "EXPIRED"]["X"] == "EXPIRED"
        assert reports[limit, "EXPIRED"]["eR"] == "OCO_TRIGGER"
        order = await client.ask_signed("order.status", symbol="BTCUSDT", orderId=limit)
        assert (order["result"]["status"], order["result"]["expiryReason"]) == (
            "EXPIRED",
            "OCO_TRIGGER",
        )

    on(server, scene)


def test_a_deposit_is_a_balance_update(server: Server) -> None:
    async def scene(client: Client) -> None:
        await client.ask_signed("userDataStream.subscribe.signature")

        def deposit() -> None:
            server.venue.credit("alice", "ETH", Decimal("1.5"))

        await asyncio.to_thread(server.on_loop, deposit)
        update = await client.next_event("balanceUpdate")
        assert (update["a"], update["d"]) == ("ETH", "1.50000000")

    on(server, scene)


def test_other_accounts_are_not_heard(server: Server) -> None:
    async def scene(client: Client) -> None:
        await client.ask_signed("userDataStream.subscribe.signature", by=OTHER)
        await client.ask_signed("order.place", **ORDER)
        placed = (await client.ask_signed("order.place", by=OTHER, **ORDER))["result"]
        report = await client.next_event("executionReport")
        assert report["i"] == placed["orderId"]
        await client.ask_signed("order.cancel", by=OTHER, symbol="BTCUSDT", orderId=report["i"])

    on(server, scene)


def test_subscriptions_are_counted_and_end(server: Server) -> None:
    async def scene(client: Client) -> None:
        first = await client.ask_signed("userDataStream.subscribe.signature")
        assert first["result"] == {"subscriptionId": 0}
        twice = await client.ask_signed("userDataStream.subscribe.signature")
        assert twice["error"]["code"] == -2035
        second = await client.ask_signed("userDataStream.subscribe.signature", by=OTHER)
        assert second["result"] == {"subscriptionId": 1}
        listed = await client.ask("session.subscriptions")
        assert listed["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
        # A client sends the number as text.
        assert (await client.ask("userDataStream.unsubscribe", subscriptionId="0"))["result"] == {}
        assert (await client.next_event("eventStreamTerminated"))["E"] > 0
        missing = await client.ask("userDataStream.unsubscribe", subscriptionId=0)
        assert missing["error"]["code"] == -2036
        assert (await client.ask("userDataStream.unsubscribe"))["result"] == {}
        assert (await client.ask("session.status"))["result"]["userDataStream"] is False

    on(server, scene)


def test_a_logout_ends_the_subscription_of_the_session_alone(server: Server) -> None:
    async def scene(client: Client) -> None:
        await client.ask_signed("session.logon", by=ED25519)
        assert (await client.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
        await client.ask_signed("userDataStream.subscribe.signature", by=OTHER)
        await client.ask("session.logout")
        await client.next_event("eventStreamTerminated")
        assert (await client.ask("session.subscriptions"))["result"] == [{"subscriptionId": 1}]

    on(server, scene)


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
