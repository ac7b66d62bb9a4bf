"""The control port of `tradingbot exchange`, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from exchange_process import Exchange, Starter


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    starter = Starter(tmp_path_factory.mktemp("exchange"))
    yield starter("--balance", "USDT=100000,BTC=1")
    starter.close()


@pytest.fixture
def exchange(running: Exchange) -> Iterator[Exchange]:
    yield running
    running.control("DELETE", "/faults")


def test_the_control_port_lists_what_exists(exchange: Exchange) -> None:
    for path, text in (
        ("/faults/none", "no fault 'none'; active: none"),
        ("/accounts/nobody/statement", "no account 'nobody'; known: main"),
        ("/fault", "no such path; supported: DELETE /faults"),
    ):
        answer = exchange.control("GET", path)
        assert answer.status == 404
        assert answer.body["errors"][0].startswith(text)
    answer = exchange.control("POST", "/faults", {"type": "halt", "symbol": "X"})
    assert answer.body == {"errors": ["no symbol 'X'; supported: BTC-USDT, ETH-USDT, ETH-BTC"]}
    answer = exchange.control("POST", "/faults", {"type": "none"})
    assert answer.status == 422
    assert "supported: crash, spike" in answer.body["errors"][0]


def test_the_control_port_refuses_what_a_page_in_a_browser_can_send(exchange: Exchange) -> None:
    port, body = exchange.control_port, json.dumps({"type": "ban"}).encode()
    plain = exchange.request(
        "POST", "/faults", body=body, headers={"Content-Type": "text/plain"}, port=port
    )
    assert plain.status == 415
    foreign = exchange.request(
        "POST",
        "/faults",
        body=body,
        headers={"Content-Type": "application/json", "Host": "evil.example:80"},
        port=port,
    )
    assert foreign.status == 403
    for bad in (b"{", b"\xff", b"[" * 100_000):
        answer = exchange.request(
            "POST", "/faults", body=bad, headers={"Content-Type": "application/json"}, port=port
        )
        assert answer.status in {400, 413}
    assert exchange.control("GET", "/faults").body["faults"] == []


def test_a_body_that_is_not_encoded_as_it_says_is_a_bad_request(exchange: Exchange) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for port, path in ((exchange.port, "/api/v3/order"), (exchange.control_port, "/faults")):
        answer = exchange.request("POST", path, body=b"{}", headers=headers, port=port)
        assert answer.status == 400


def test_the_statement_equals_the_exchanges_own_balances(exchange: Exchange) -> None:
    exchange.order(quantity="0.01")
    exchange.order(quantity="0.005", side="SELL")
    shown = exchange.control("GET", "/accounts/main/statement?limit=2").body
    account = exchange.signed("GET", "/api/v3/account").body
    balances = {b["asset"]: float(b["free"]) for b in account["balances"]}
    for asset, line in shown["balances"].items():
        assert float(line["free"]) == balances[asset]
    assert len(shown["fills"]) == 2
    assert shown["symbols"]["BTC-USDT"]["fills"] >= 2
    assert exchange.control("GET", "/accounts/main/statement?since=x").status == 400


def test_a_deposit_reaches_the_account(exchange: Exchange) -> None:
    before = float(
        exchange.control("GET", "/accounts/main/statement").body["balances"]["BTC"]["free"]
    )
    answer = exchange.control("POST", "/accounts/main/deposits", {"asset": "BTC", "amount": "0.5"})
    assert float(answer.body["BTC"]["free"]) == pytest.approx(before + 0.5)
    answer = exchange.control("POST", "/accounts/main/deposits", {"asset": "BTC", "amount": "-99"})
    assert answer.status == 409
    answer = exchange.control("POST", "/accounts/main/deposits", {"asset": "b", "amount": "NaN"})
    assert answer.status == 422


def test_open_orders_are_listed_with_what_they_are_until_they_end(exchange: Exchange) -> None:
    def listed() -> list[dict[str, object]]:
        answer = exchange.control("GET", "/accounts/main/orders")
        assert answer.status == 200
        orders: list[dict[str, object]] = answer.body["orders"]
        return orders

    market = exchange.control("GET", "/market").body
    low, lower = "30000", "20000"
    limit = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": low}
    assert exchange.order(client_id="bid", **limit).status == 200
    oco = {
        "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.02", "listClientOrderId": "exits",
        "aboveType": "LIMIT_MAKER", "abovePrice": "90000", "aboveClientOrderId": "target",
        "belowType": "STOP_LOSS", "belowStopPrice": lower, "belowClientOrderId": "stop",
    }  # fmt: skip
    assert exchange.signed("POST", "/api/v3/orderList/oco", **oco).status == 200

    bid, *legs = listed()
    assert bid.pop("created", 0) >= market["time"]
    assert isinstance(bid.pop("id"), int)
    assert bid == {
        "clientId": "bid", "symbol": "BTC-USDT", "side": "BUY", "type": "LIMIT",
        "status": "OPEN", "price": "30000", "stopPrice": None, "quantity": "0.01000",
        "filled": "0", "listId": None,
    }  # fmt: skip
    assert {leg["clientId"]: (leg["price"], leg["stopPrice"], leg["status"]) for leg in legs} == {
        "target": ("90000", None, "OPEN"),
        "stop": (None, "20000", "WAITING"),
    }
    assert legs[0]["listId"] == legs[1]["listId"] is not None
    assert len({order["id"] for order in listed()}) == 3

    assert exchange.order(quantity="0.001").status == 200  # it is filled at once
    exchange.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert listed() == []
    nobody = exchange.control("GET", "/accounts/nobody/orders")
    assert (nobody.status, nobody.body) == (404, {"errors": ["no account 'nobody'; known: main"]})
