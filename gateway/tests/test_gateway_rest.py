"""REST through the gateway: what passes, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from exchange_process import Answer, eventually
from gateway_process import SYMBOL, Gateway, Gateways
from tradingbot_gateway.binance.translation import STRATEGY_TYPE, Tag
from tradingbot_gateway.credentials import PLACEHOLDER

REFUSED = "x-tradingbot-refused"
BIG = Decimal("0.01")
"""Worth 600 USDT: two of them are beyond maxPositionSize."""


def refusal(answer: Answer) -> tuple[int, int, str]:
    return answer.status, answer.body["code"], answer.headers[REFUSED]


# What passes


def test_public_calls_need_no_key_and_come_back_as_the_exchange_answered(gateway: Gateway) -> None:
    through = gateway.request("GET", f"/api/v3/exchangeInfo?symbol={SYMBOL}")
    direct = gateway.exchange.request("GET", f"/api/v3/exchangeInfo?symbol={SYMBOL}")
    assert through.status == direct.status == 200
    assert through.body["symbols"] == direct.body["symbols"]
    assert int(through.headers["x-mbx-used-weight-1m"]) > 0
    assert through.headers["x-tradingbot-simulated"] == "true"


def test_errors_of_the_exchange_are_handed_on(gateway: Gateway) -> None:
    answer = gateway.request("GET", "/api/v3/depth?symbol=NOSUCH")
    assert (answer.status, answer.body["code"]) == (400, -1121)
    price = f"{gateway.price() * Decimal('0.98'):.2f}"
    answer = gateway.limit(price + "1")
    assert (answer.status, answer.body["code"]) == (400, -1013)
    assert REFUSED not in answer.headers


def test_an_order_is_tagged_and_the_bot_does_not_see_the_tag(gateway: Gateway) -> None:
    answer = gateway.limit(
        gateway.price() * Decimal("0.98"), newClientOrderId="mine-1", newOrderRespType="RESULT"
    )
    assert (answer.body["clientOrderId"], answer.body["status"]) == ("mine-1", "NEW")
    assert "strategyId" not in answer.body
    named = {"symbol": SYMBOL, "origClientOrderId": "mine-1"}
    assert "strategyId" not in gateway.signed("GET", "/api/v3/order", **named).body
    (listed,) = gateway.signed("GET", "/api/v3/openOrders", symbol=SYMBOL).body
    assert "strategyType" not in listed
    tag = Tag.of("trading", "tested")
    kept = gateway.exchange.signed("GET", "/api/v3/order", **named).body
    assert (kept["strategyId"], kept["strategyType"]) == (tag.strategy_id, STRATEGY_TYPE)


def test_parameters_may_be_in_the_query_in_the_body_or_in_both(gateway: Gateway) -> None:
    price = f"{gateway.price() * Decimal('0.98'):.2f}"
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    body = {"quantity": "0.001", "price": price, "timestamp": time.time_ns() // 10**6}
    query, form = urlencode(order), urlencode(body)
    signature = hmac.new(PLACEHOLDER.encode(), (query + form).encode(), hashlib.sha256).hexdigest()
    answer = gateway.request(
        "POST",
        f"/api/v3/order?{query}",
        body=f"{form}&signature={signature}".encode(),
        headers={"X-MBX-APIKEY": PLACEHOLDER},
    )
    assert (answer.status, answer.body["status"]) == (200, "NEW")


@pytest.mark.parametrize(
    ("asked", "kind", "names"),
    [
        ("ACK", "MARKET", {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}),
        ("RESULT", "MARKET", None),
        (None, "MARKET", None),
    ],
)
def test_the_form_of_the_answer_is_the_one_that_was_asked_for(
    gateway: Gateway, asked: str | None, kind: str, names: set[str] | None
) -> None:
    answer = gateway.order(type=kind, newOrderRespType=asked)
    assert answer.status == 200
    if names is not None:
        assert set(answer.body) == names
    else:
        assert ("fills" in answer.body) == (asked is None)


def test_reads_that_clients_make_at_their_start_are_answered(gateway: Gateway) -> None:
    for path in (
        *("capital/config/getall", "asset/tradeFee", "account/status"),
        *("margin/allPairs", "margin/isolated/allPairs"),
    ):
        answer = gateway.signed("GET", f"/sapi/v1/{path}")
        assert (path, answer.status) == (path, 200)
    assert gateway.signed("GET", "/sapi/v1/margin/allPairs").body == []


# Who asks


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"key": "other"}, -2015),
        ({"secret": "other"}, -1022),
        ({"timestamp": time.time_ns() // 10**6 - 3_600_000}, -1021),
    ],
)
def test_a_request_that_is_not_of_the_bot_is_refused(
    gateway: Gateway, changes: dict[str, Any], code: int
) -> None:
    answer = gateway.signed("GET", "/api/v3/account", **changes)
    assert answer.body["code"] == code
    before = len(gateway.drop_copy())
    assert gateway.order(**changes).body["code"] == code
    assert len(gateway.drop_copy()) == before


def test_a_request_without_a_key_or_signature_is_refused(gateway: Gateway) -> None:
    assert gateway.request("GET", "/api/v3/account").body["code"] == -2014
    answer = gateway.request("POST", "/api/v3/order", headers={"X-MBX-APIKEY": PLACEHOLDER})
    assert answer.body["code"] == -1102


# What is refused


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sapi/v1/capital/withdraw/apply"),
        ("POST", "/sapi/v1/asset/transfer"),
        ("POST", "/sapi/v1/margin/order"),
        ("POST", "/api/v3/orderList/otoco"),
        ("POST", "/api/v3/sor/order"),
        ("PUT", "/api/v3/order/amend/keepPriority"),
        ("POST", "/api/v3/%6frder"),
        ("POST", "//api/v3/order"),
        ("POST", "/api/v3/ping/../order"),
        ("GET", "/"),
    ],
)
def test_what_is_not_on_the_list_is_refused(gateway: Gateway, method: str, path: str) -> None:
    answer = gateway.signed(method, path, symbol=SYMBOL)
    assert refusal(answer) == (400, -1020, "NotAllowed")
    assert gateway.drop_copy()[-1]["call"] == f"{method} {path}"


@pytest.mark.parametrize(
    "changes",
    [{"icebergQty": "0.0001"}, {"trailingDelta": "100"}, {"pegPriceType": "PRIMARY_PEG"}],
)
def test_orders_that_the_gateway_does_not_understand_are_refused(
    gateway: Gateway, changes: dict[str, str]
) -> None:
    answer = gateway.limit(gateway.price() * Decimal("0.98"), **changes)
    assert refusal(answer) == (400, -1020, "NotAllowed")
    assert gateway.open_orders() == []


def test_an_unknown_parameter_is_refused_and_not_handed_on(gateway: Gateway) -> None:
    assert gateway.order(stopLoss="1").body["code"] == -1104


def test_a_position_that_would_be_too_large_is_refused_with_its_figures(gateway: Gateway) -> None:
    answer = gateway.order(quantity="0.02", newClientOrderId="too-large")
    assert refusal(answer) == (400, -2010, "MaxPositionSize")
    assert "1000" in answer.body["msg"]
    line = gateway.drop_copy()[-1]
    assert (line["clientId"], line["verdict"], line["control"]) == (
        "too-large",
        "refused",
        "MaxPositionSize",
    )
    assert Decimal(line["figures"]["limit"]) == 1000


def test_open_entries_count_until_the_exchange_confirms_their_cancel(gateway: Gateway) -> None:
    price = gateway.price() * Decimal("0.98")
    first = gateway.limit(price, quantity="0.01")
    assert first.status == 200
    assert refusal(gateway.limit(price, quantity="0.011")) == (400, -2010, "MaxPositionSize")
    cancel = gateway.signed("DELETE", "/api/v3/order", symbol=SYMBOL, orderId=first.body["orderId"])
    assert cancel.body["status"] == "CANCELED"
    assert gateway.limit(price, quantity="0.011").status == 200


def test_a_second_open_position_is_refused(gateway: Gateway) -> None:
    assert gateway.order().status == 200
    answer = gateway.order(symbol="ETHUSDT", quantity="0.01")
    assert refusal(answer) == (400, -2010, "MaxOpenPositions")


def test_a_symbol_in_another_currency_is_refused(gateway: Gateway) -> None:
    answer = gateway.order(symbol="ETHBTC", quantity="0.01")
    assert refusal(answer) == (400, -2010, "AllowedSymbols")


@pytest.mark.parametrize("factor", ["1.06", "1.5"])
def test_a_price_far_on_the_costly_side_is_refused(gateway: Gateway, factor: str) -> None:
    answer = gateway.limit(gateway.price() * Decimal(factor))
    assert refusal(answer) == (400, -2010, "PriceCollar")


def test_a_duplicate_is_refused(gateway: Gateway) -> None:
    price = gateway.price() * Decimal("0.98")
    assert gateway.limit(price, newClientOrderId="same").status == 200
    answer = gateway.limit(price, newClientOrderId="same", quantity="0.0011")
    assert refusal(answer) == (400, -2010, "Duplicate")


def test_too_many_entries_in_a_minute_are_refused_and_exits_are_not(start: Gateways) -> None:
    gateway = start(maxOrdersPerMinute=2).ready()
    assert gateway.order(quantity="0.0011").status == 200
    assert gateway.order(quantity="0.0012").status == 200
    assert refusal(gateway.order(quantity="0.0013")) == (400, -2010, "MaxOrdersPerMinute")
    for quantity in ("0.0005", "0.0006", "0.0007"):
        assert gateway.order(side="SELL", quantity=quantity).status == 200


def test_a_cancel_replace_is_judged_by_its_new_order(gateway: Gateway) -> None:
    price = gateway.price() * Decimal("0.98")
    first = gateway.limit(price)
    sent = {
        "symbol": SYMBOL,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": f"{price:.2f}",
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrderId": first.body["orderId"],
    }
    path = "/api/v3/order/cancelReplace"
    answer = gateway.signed("POST", path, **sent, quantity="0.02")
    assert refusal(answer) == (400, -2010, "MaxPositionSize")
    assert [each["id"] for each in gateway.open_orders()] == [first.body["orderId"]]
    answer = gateway.signed("POST", path, **sent, quantity="0.002")
    assert answer.body["cancelResult"] == answer.body["newOrderResult"] == "SUCCESS"
    replaced = answer.body["newOrderResponse"]["orderId"]
    assert [each["id"] for each in gateway.open_orders()] == [replaced]
    sent["cancelOrderId"] = 1
    answer = gateway.signed("POST", path, **sent, quantity="0.003")
    assert answer.body["code"] == -2022
    assert json.dumps(answer.body["data"]["newOrderResult"]) == '"NOT_ATTEMPTED"'
    assert gateway.limit(price, quantity="0.01").status == 200  # it counts no more


def test_an_order_list_is_judged_as_one_entry(gateway: Gateway) -> None:
    price = gateway.price()
    sent = {
        "symbol": SYMBOL,
        "side": "BUY",
        "aboveType": "STOP_LOSS_LIMIT",
        "aboveStopPrice": f"{price * Decimal('1.02'):.2f}",
        "abovePrice": f"{price * Decimal('1.03'):.2f}",
        "aboveTimeInForce": "GTC",
        "belowType": "LIMIT_MAKER",
        "belowPrice": f"{price * Decimal('0.97'):.2f}",
    }
    answer = gateway.signed("POST", "/api/v3/orderList/oco", **sent, quantity="0.05")
    assert refusal(answer) == (400, -2010, "MaxPositionSize")
    answer = gateway.signed("POST", "/api/v3/orderList/oco", **sent, quantity="0.01")
    assert answer.status == 200
    assert len(gateway.open_orders()) == 2
    assert all("strategyType" not in report for report in answer.body["orderReports"])
    listed = gateway.exchange.signed("GET", "/api/v3/openOrders", symbol=SYMBOL).body
    assert {each["strategyType"] for each in listed} == {STRATEGY_TYPE}


# Protection


def test_a_fill_is_protected_and_the_protection_does_not_look_like_a_hold(
    gateway: Gateway,
) -> None:
    before = free(gateway, "BTC") - Decimal(gateway.statement()["symbols"]["BTC-USDT"]["position"])
    gateway.buy()
    kinds = {each["type"]: each for each in gateway.open_orders()}
    assert set(kinds) == {"LIMIT", "STOP_MARKET"}
    assert {each["side"] for each in kinds.values()} == {"SELL"}
    entry = Decimal(gateway.statement()["symbols"]["BTC-USDT"]["averagePrice"])
    assert Decimal(kinds["STOP_MARKET"]["stopPrice"]) >= entry * Decimal("0.975")
    assert Decimal(kinds["LIMIT"]["price"]) <= entry * Decimal("1.06")
    position = Decimal(gateway.statement()["symbols"]["BTC-USDT"]["position"])
    assert free(gateway, "BTC") == before + position


def test_protection_that_somebody_cancels_is_placed_again(gateway: Gateway) -> None:
    gateway.buy()
    first = {each["id"] for each in gateway.open_orders()}
    answer = gateway.exchange.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL)
    assert answer.status == 200
    eventually(
        lambda: (
            len(gateway.open_orders()) == 2
            and not first & {each["id"] for each in gateway.open_orders()}
        )
    )


def test_a_cancel_of_all_orders_leaves_protection_and_the_orders_of_others(
    gateway: Gateway,
) -> None:
    gateway.buy()
    price = gateway.price() * Decimal("0.98")
    foreign = gateway.exchange.order(
        type="LIMIT", timeInForce="GTC", price=f"{price:.2f}", client_id="foreign"
    )
    assert foreign.status == 200
    assert gateway.limit(price, newClientOrderId="mine-2").status == 200
    listed = gateway.signed("GET", "/api/v3/openOrders", symbol=SYMBOL).body
    assert {each["clientOrderId"] for each in listed} == {"mine-2", "foreign"}
    answer = gateway.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL)
    assert [each["origClientOrderId"] for each in answer.body] == ["mine-2"]
    left = {each["clientId"] for each in gateway.open_orders()}
    assert len(left) == 3
    assert "foreign" in left
    answer = gateway.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL)
    assert (answer.status, answer.body["code"]) == (400, -2011)
    gateway.exchange.signed("DELETE", "/api/v3/order", symbol=SYMBOL, origClientOrderId="foreign")


def test_the_bots_own_stop_takes_the_place_of_the_gateways(gateway: Gateway) -> None:
    gateway.buy()
    stop = f"{gateway.price() * Decimal('0.99'):.2f}"
    answer = gateway.order(
        side="SELL",
        type="STOP_LOSS",
        quantity=f"{gateway.held()}",
        stopPrice=stop,
        newClientOrderId="stop",
    )
    assert answer.status == 200
    eventually(lambda: [each["clientId"] for each in gateway.open_orders()] == ["stop"])


def test_an_exit_at_the_market_releases_the_protection(gateway: Gateway) -> None:
    gateway.buy()
    answer = gateway.order(side="SELL", quantity=f"{gateway.held()}")
    assert (answer.status, answer.body["status"]) == (200, "FILLED")
    assert gateway.open_orders() == []


def free(gateway: Gateway, asset: str) -> Decimal:
    balances = gateway.signed("GET", "/api/v3/account").body["balances"]
    return next(Decimal(each["free"]) for each in balances if each["asset"] == asset)


# Reports


def test_the_report_has_the_position_and_its_loss(gateway: Gateway) -> None:
    before = gateway.risk()
    assert before["openPositions"] == 0
    gateway.buy()
    eventually(lambda: gateway.risk()["openPositions"] == 1)
    report = gateway.risk()
    assert 590 < Decimal(report["exposure"]) < 1000
    assert Decimal(report["dayPnL"]) < Decimal(before["dayPnL"])
    assert report["configHash"] == json.loads(gateway.config.read_text())["configHash"]


def test_metrics_count_verdicts_and_show_the_distance_to_limits(gateway: Gateway) -> None:
    gateway.order(quantity="0.02")
    text = gateway.report("/metrics").body.decode()
    assert 'verdicts_total{control="MaxPositionSize",verdict="refused"}' in text
    assert 'tradingbot_gateway_limit_distance{limit="dailyLossLimit"}' in text
    before = room(gateway)
    assert 990 < before <= 1000  # dust may be left of another test
    assert gateway.limit("50000", quantity="0.01").status == 200
    assert 500 < before - room(gateway) < 700


def room(gateway: Gateway) -> float:
    """Return the distance to maxPositionSize."""
    text = gateway.report("/metrics").body.decode()
    found = re.search(r'limit_distance\{limit="maxPositionSize"\} (\S+)', text)
    assert found is not None
    return float(found[1])


def test_no_key_is_in_any_output(gateway: Gateway) -> None:
    key = gateway.exchange.key()
    written = gateway.log.read_text() + gateway.output.read_text()
    for value in (key["name"], key["secret"]):
        assert value not in written
    assert gateway.process is not None
    assert key["secret"] not in " ".join(map(str, gateway.process.args))
