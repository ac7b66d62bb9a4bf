"""REST over a real socket: bytes as clients send them, answers as Binance writes them."""

import hashlib
import hmac
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from binance_harness import ED25519, HMAC, OTHER, READ_ONLY, ROOMY, START, Server, serving
from tradingbot_exchange.binance.errors import REFUSALS
from tradingbot_exchange.binance.fault_errors import BinanceFaultErrors
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.signing import sign
from tradingbot_exchange.binance.spot import Settings
from tradingbot_exchange.engine.types import Reason

ORDER = "/api/v3/order"
NEW = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=50000"


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    for name in ("BTCUSDT", "ETHUSDT"):
        shared.signed("DELETE", "/api/v3/openOrders", symbol=name)


# Where parameters are, and what is signed


def signature_of(text: str) -> str:
    return hmac.new(HMAC.secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_parameters_may_be_in_the_query_the_body_or_both(server: Server) -> None:
    stamp = f"timestamp={server.clock.now}"
    whole = f"{NEW}&{stamp}"
    signed = f"{whole}&signature={signature_of(whole)}"
    first, second = NEW.split("&timeInForce")
    second = f"timeInForce{second}&{stamp}"
    split = signature_of(first + second)
    for query, body in [
        (signed, ""),
        ("", signed),
        (first, f"{second}&signature={split}"),
        (f"{first}&signature={split}", second),
    ]:
        answer = server.send("POST", ORDER, query=query, body=body, key=HMAC.name)
        assert answer.status == 200, answer.text


def test_the_query_counts_where_the_body_says_otherwise(server: Server) -> None:
    query = f"{NEW}&timestamp={server.clock.now}"
    body = "quantity=5"
    signed = f"{query}&signature={signature_of(query + body)}"
    answer = server.send("POST", ORDER, query=signed, body=body, key=HMAC.name)
    assert answer.json["origQty"] == "0.01000000"


def test_a_delete_may_have_its_parameters_in_a_body(server: Server) -> None:
    number = server.order().json["orderId"]
    body = f"orderId={number}&symbol=BTCUSDT&timestamp={server.clock.now}"
    body += f"&signature={signature_of(body)}"
    assert server.send("DELETE", ORDER, body=body, key=HMAC.name).json["status"] == "CANCELED"


def test_the_order_of_signed_parameters_matters(server: Server) -> None:
    text = f"{NEW}&timestamp={server.clock.now}"
    other = "&".join(reversed(text.split("&")))
    query = f"{text}&signature={signature_of(other)}"
    answer = server.send("POST", ORDER, query=query, key=HMAC.name)
    assert answer.error == (400, -1022, "Signature for this request is not valid.")


def test_a_payload_that_is_signed_before_it_is_encoded_is_refused(server: Server) -> None:
    sent = f"symbol=BTCUSDT&origClientOrderId=a%2Db&timestamp={server.clock.now}"
    query = f"{sent}&signature={signature_of(sent.replace('%2D', '-'))}"
    assert server.send("GET", ORDER, query=query, key=HMAC.name).error[1] == -1022


def test_bytes_that_are_not_encoded_are_refused(server: Server) -> None:
    body = f"{NEW}&timestamp={server.clock.now}".replace("BTCUSDT", "\uff11\uff12\uff13").encode()
    mac = hmac.new(HMAC.secret.encode(), body, hashlib.sha256).hexdigest()
    answer = server.send("POST", ORDER, body=body + f"&signature={mac}".encode(), key=HMAC.name)
    assert answer.error[1] == -1022


def test_ed25519_keys_sign_in_base64(server: Server) -> None:
    assert server.order(by=ED25519).status == 200
    text = f"{NEW}&timestamp={server.clock.now}"
    unencoded = f"{text}&signature={sign(ED25519.secret, text.encode())}"
    answer = server.send("POST", ORDER, query=unencoded, key=ED25519.name)
    assert answer.status == 200
    wrong = f"{text}&signature={quote(sign(ED25519.secret, b'x'), safe='')}"
    assert server.send("POST", ORDER, query=wrong, key=ED25519.name).error[1] == -1022


# Keys, times, unknown things


@pytest.mark.parametrize(
    ("key", "code"),
    [(None, -2014), ("", -2014), ("not a key", -2014), ("unknown", -2015)],
)
def test_wrong_keys_are_unauthorized(server: Server, key: str | None, code: int) -> None:
    text = f"timestamp={server.clock.now}"
    query = f"{text}&signature={signature_of(text)}"
    answer = server.send("GET", "/api/v3/account", query=query, key=key)
    assert answer.error[:2] == (401, code)


def test_a_key_that_may_only_read_places_no_order(server: Server) -> None:
    assert server.signed("GET", "/api/v3/account", by=READ_ONLY).status == 200
    assert server.order(by=READ_ONLY).error[:2] == (401, -2015)


def test_a_key_of_another_account_sees_none_of_its_orders(server: Server) -> None:
    number = server.order().json["orderId"]
    for method, code in (("GET", -2013), ("DELETE", -2011)):
        answer = server.signed(method, ORDER, by=OTHER, symbol="BTCUSDT", orderId=number)
        assert answer.error[:2] == (400, code)
    assert server.signed("GET", "/api/v3/openOrders", by=OTHER).json == []


def test_a_request_without_signature_or_timestamp_is_refused(server: Server) -> None:
    for query, name in ((f"timestamp={START}", "signature"), ("signature=a", "timestamp")):
        answer = server.send("GET", "/api/v3/account", query=query, key=HMAC.name)
        assert answer.error[1] == -1102
        assert f"'{name}'" in answer.error[2]


def test_a_signature_ends_with_its_window(server: Server) -> None:
    query = server.signed_query(HMAC, {"recvWindow": 1000})
    assert server.send("GET", "/api/v3/account", query=query, key=HMAC.name).status == 200
    server.clock.now += 1001
    late = server.send("GET", "/api/v3/account", query=query, key=HMAC.name)
    assert late.error == (
        400,
        -1021,
        "Timestamp for this request is outside of the recvWindow.",
    )


def test_microseconds_are_timestamps(server: Server) -> None:
    text = f"timestamp={server.clock.now}000"
    query = f"{text}&signature={signature_of(text)}"
    assert server.send("GET", "/api/v3/account", query=query, key=HMAC.name).status == 200


def test_unknown_paths_and_methods_are_not_found(server: Server) -> None:
    for method, path in (("GET", "/api/v3/nothing"), ("PUT", ORDER), ("GET", "/")):
        answer = server.send(method, path)
        assert answer.status == 404
        assert "404 Not found" in answer.text


def test_calls_that_only_binance_has_say_that_they_are_not_supported(server: Server) -> None:
    answer = server.send("POST", "/api/v3/orderList/oto")
    assert answer.error == (400, -1020, "This operation is not supported.")


# Orders


def test_response_types_grow_from_ack_to_full(server: Server) -> None:
    fields = {
        kind: set(server.order(newOrderRespType=kind, price="51000").json)
        for kind in ("ACK", "RESULT", "FULL")
    }
    assert fields["ACK"] == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert fields["RESULT"] - fields["ACK"] == {
        *("price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty"),
        *("status", "timeInForce", "type", "side", "workingTime", "selfTradePreventionMode"),
    }
    assert fields["FULL"] - fields["RESULT"] == {"fills"}


def test_the_default_response_depends_on_the_type(server: Server) -> None:
    assert "fills" in server.order().json
    stop = server.order(
        type="STOP_LOSS", side="SELL", price=None, timeInForce=None, stopPrice="40000"
    )
    assert "status" not in stop.json


def test_a_market_order_answers_its_fills(server: Server) -> None:
    answer = server.order(type="MARKET", price=None, timeInForce=None).json
    assert answer["status"] == "FILLED"
    assert answer["price"] == "0.00000000"
    fills = answer["fills"]
    assert sum(float(fill["qty"]) for fill in fills) == pytest.approx(0.01)
    cost = sum(float(fill["qty"]) * float(fill["price"]) for fill in fills)
    assert float(answer["cummulativeQuoteQty"]) == pytest.approx(cost)
    trades = server.signed(
        "GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=answer["orderId"]
    ).json
    assert [trade["id"] for trade in trades] == [fill["tradeId"] for fill in fills]
    assert all(trade["isBuyer"] and not trade["isMaker"] for trade in trades)


def test_strategy_tags_come_back_in_every_answer(server: Server) -> None:
    tags = {"strategyId": 7, "strategyType": 1_000_001}
    placed = server.order(**tags).json
    found = server.signed("GET", ORDER, symbol="BTCUSDT", orderId=placed["orderId"]).json
    canceled = server.signed("DELETE", ORDER, symbol="BTCUSDT", orderId=placed["orderId"]).json
    for answer in (placed, found, canceled):
        assert {name: answer[name] for name in tags} == tags
    assert server.order(strategyType=999_999).error[1] == -1134


def test_a_cancel_has_an_id_of_its_own(server: Server) -> None:
    server.order(newClientOrderId="mine")
    canceled = server.signed(
        "DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="the-cancel"
    ).json
    assert (canceled["origClientOrderId"], canceled["clientOrderId"]) == ("mine", "the-cancel")
    found = server.signed("GET", ORDER, symbol="BTCUSDT", origClientOrderId="mine").json
    assert (found["clientOrderId"], found["status"]) == ("mine", "CANCELED")


def test_a_cancel_may_be_restricted_to_a_status(server: Server) -> None:
    number = server.order().json["orderId"]
    wanted = {"symbol": "BTCUSDT", "orderId": number}
    refused = server.signed("DELETE", ORDER, cancelRestrictions="ONLY_PARTIALLY_FILLED", **wanted)
    assert refused.error[1:] == (-2011, "Order was not canceled due to cancel restrictions.")
    assert server.signed("DELETE", ORDER, cancelRestrictions="SOME", **wanted).error[1] == -1145
    assert server.signed("DELETE", ORDER, cancelRestrictions="ONLY_NEW", **wanted).status == 200


def test_an_order_and_an_id_that_belong_to_different_orders_are_refused(server: Server) -> None:
    first, second = server.order().json, server.order(price="51000").json
    answer = server.signed(
        "GET",
        ORDER,
        symbol="BTCUSDT",
        orderId=first["orderId"],
        origClientOrderId=second["clientOrderId"],
    )
    assert answer.error[1] == -2039
    wrong = server.signed("GET", ORDER, symbol="ETHUSDT", orderId=first["orderId"])
    assert wrong.error[1] == -2013


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"price": None}, -1102, "Mandatory parameter 'price'"),
        ({"timeInForce": None}, -1102, "Mandatory parameter 'timeInForce'"),
        ({"quantity": None}, -1102, "Mandatory parameter 'quantity'"),
        ({"stopPrice": "1"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"quoteOrderQty": "10"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        ({"type": "LIMIT_MAKER"}, -1114, "TimeInForce parameter sent when not required."),
        ({"type": "MARKET", "timeInForce": None}, -1106, "Parameter 'price'"),
        (
            {"type": "MARKET", "timeInForce": None, "price": None, "quantity": None},
            -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent",
        ),
        ({"type": "STOP_LOSS_LIMIT"}, -1102, "Mandatory parameter 'stopPrice'"),
        ({"icebergQty": "0.005"}, -2010, "Iceberg orders are not supported for this symbol."),
        ({"trailingDelta": "100"}, -2010, "Trailing stop orders are not supported"),
        ({"pegPriceType": "PRIMARY_PEG"}, -2010, "Pegged orders are not supported"),
        ({"selfTradePreventionMode": "DECREMENT"}, -1130, "'selfTradePreventionMode'"),
        ({"price": "50000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
        ({"price": "999999"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "9000"}, -2010, "Account has insufficient balance for requested action."),
    ],
)
def test_an_order_that_cannot_be_placed_has_the_documented_error(
    server: Server, changes: dict[str, object], code: int, text: str
) -> None:
    answer = server.order(**changes)
    assert answer.error[:2] == (400, code)
    assert text in answer.error[2]


def test_an_order_does_not_trade_with_its_own_account(server: Server) -> None:
    best = float(server.get("/api/v3/ticker/bookTicker", symbol="BTCUSDT").json["bidPrice"])
    price = f"{best + 0.01:.2f}"
    maker = server.order(price=price).json
    taker = server.order(side="SELL", price=price, timeInForce="IOC").json
    assert (taker["status"], taker["executedQty"]) == ("EXPIRED", "0.00000000")
    assert taker["selfTradePreventionMode"] == "EXPIRE_MAKER"
    found = server.signed("GET", ORDER, symbol="BTCUSDT", orderId=maker["orderId"]).json
    assert (found["status"], found["preventedQuantity"]) == ("EXPIRED_IN_MATCH", "0.01000000")


def test_an_iceberg_quantity_of_zero_is_no_iceberg(server: Server) -> None:
    assert server.order(icebergQty="0").status == 200


def test_a_test_order_checks_and_places_nothing(server: Server) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert server.signed("POST", "/api/v3/order/test", **order).json == {}
    rates = server.signed("POST", "/api/v3/order/test", computeCommissionRates="true", **order)
    assert rates.json["standardCommissionForOrder"]["maker"] == "0.00100000"
    order["quantity"] = "0.000001"
    assert server.signed("POST", "/api/v3/order/test", **order).error[1] == -1013
    assert server.signed("GET", "/api/v3/openOrders").json == []


def test_a_fault_that_rejects_words_each_reason_as_the_engine_does() -> None:
    for reason in (Reason.INSUFFICIENT_BALANCE, Reason.SYMBOL_HALTED):
        response = BinanceFaultErrors().rejected(reason)
        assert response.status == 400
        assert REFUSALS[reason][1] in str(response.text)


# Limits


def test_the_weight_of_each_request_is_in_its_headers() -> None:
    with serving() as server:

        def used(answer_headers: object) -> int:
            return int(dict(answer_headers)["X-MBX-USED-WEIGHT-1M"])  # type: ignore[call-overload]

        weights = [
            ("/api/v3/ping", {}, 1),
            ("/api/v3/exchangeInfo", {}, 20),
            ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": 500}, 25),
            ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": 5000}, 250),
            ("/api/v3/ticker/24hr", {}, 80),
            ("/api/v3/ticker/24hr", {"symbols": '["BTCUSDT"]'}, 2),
            ("/api/v3/ticker/price", {"symbol": "BTCUSDT"}, 2),
            ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m"}, 2),
        ]
        before = 0
        for path, parameters, weight in weights:
            after = used(server.get(path, **parameters).headers)
            assert after - before == weight, path
            before = after
        assert used(server.order().headers) == before
        assert used(server.order(price="1").headers) == before + 1


def test_orders_are_counted_in_headers_until_they_fill() -> None:
    with serving() as server:
        first = server.order()
        assert first.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert first.headers["X-MBX-ORDER-COUNT-1D"] == "1"
        filled = server.order(type="MARKET", price=None, timeInForce=None)
        assert filled.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        server.order(price="1")
        counts = server.signed("GET", "/api/v3/rateLimit/order").json
        assert [row["count"] for row in counts] == [1, 1]


def test_a_client_that_ignores_429_is_banned() -> None:
    limits = RateLimits(weight=50, patience=2)
    with serving(Settings(limits=limits)) as server:
        statuses = [server.get("/api/v3/exchangeInfo") for _ in range(6)]
        assert [answer.status for answer in statuses] == [200, 200, 429, 429, 418, 418]
        assert statuses[2].headers["Retry-After"] == "60"
        assert statuses[4].headers["Retry-After"] == "120"
        assert statuses[4].error[1] == -1003


def test_too_many_orders_are_refused_for_their_account_alone() -> None:
    limits = RateLimits(orders_10s=2, weight=ROOMY.weight)
    with serving(Settings(limits=limits)) as server:
        statuses = [server.order(price=f"5000{n}").status for n in range(3)]
        assert statuses == [200, 200, 429]
        refused = server.order()
        assert refused.error[1:] == (
            -1015,
            "Too many new orders; current limit is 2 orders per 10 SECOND.",
        )
        assert refused.headers["Retry-After"] == "10"
        assert server.order(by=OTHER).status == 200
