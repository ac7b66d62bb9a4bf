"""Events of an account, as the WebSocket API sends them."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from binance_harness import ED25519, OTHER, Server, serving
from binance_ws_client import ORDER, Client, on


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")


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
