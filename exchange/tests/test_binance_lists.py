"""Order lists and cancelReplace: several orders in one request."""

from collections.abc import Iterator

import pytest
from binance_harness import ROOMY, Answer, Server, serving
from tradingbot_exchange.binance.limits import RateLimits
from tradingbot_exchange.binance.spot import Settings

OCO = "/api/v3/orderList/oco"
REPLACE = "/api/v3/order/cancelReplace"


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")


def place_oco(server: Server, **changes: object) -> Answer:
    parameters: dict[str, object] = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "70000",
        "belowType": "STOP_LOSS_LIMIT",
        "belowStopPrice": "50000",
        "belowPrice": "49000",
        "belowTimeInForce": "GTC",
    }
    parameters |= changes
    sent = {name: value for name, value in parameters.items() if value is not None}
    return server.signed("POST", OCO, **sent)


def test_a_pair_holds_the_asset_once(server: Server) -> None:
    def locked() -> float:
        rows = server.signed("GET", "/api/v3/account").json["balances"]
        return float(next(row["locked"] for row in rows if row["asset"] == "BTC"))

    before = locked()
    answer = place_oco(server, listClientOrderId="pair", aboveStrategyId=4).json
    assert locked() == pytest.approx(before + 0.01)
    assert answer["listStatusType"] == "EXEC_STARTED"
    assert answer["listClientOrderId"] == "pair"
    stop, limit = answer["orderReports"]
    assert (stop["type"], stop["stopPrice"], stop["workingTime"]) == (
        "STOP_LOSS_LIMIT",
        "50000.00000000",
        -1,
    )
    assert (limit["type"], limit["strategyId"]) == ("LIMIT_MAKER", 4)
    assert [row["orderId"] for row in answer["orders"]] == [stop["orderId"], limit["orderId"]]


def test_a_list_is_queried_and_canceled_as_a_whole(server: Server) -> None:
    number = place_oco(server, listClientOrderId="whole").json["orderListId"]
    assert server.signed("GET", "/api/v3/openOrderList").json[0]["orderListId"] == number
    by_id = server.signed("GET", "/api/v3/orderList", origClientOrderId="whole").json
    assert by_id["orderListId"] == number
    canceled = server.signed(
        "DELETE", "/api/v3/orderList", symbol="BTCUSDT", orderListId=number
    ).json
    assert canceled["listOrderStatus"] == "ALL_DONE"
    assert [report["status"] for report in canceled["orderReports"]] == ["CANCELED"] * 2
    assert server.signed("GET", "/api/v3/openOrderList").json == []
    again = server.signed("DELETE", "/api/v3/orderList", symbol="BTCUSDT", orderListId=number)
    assert again.error[1] == -2011
    assert server.signed("GET", "/api/v3/allOrderList").json[-1]["orderListId"] == number


def test_canceling_all_orders_answers_a_list_as_a_list(server: Server) -> None:
    place_oco(server)
    server.order()
    answers = server.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT").json
    assert sorted("orderReports" in answer for answer in answers) == [False, True]
    empty = server.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
    assert empty.error == (400, -2011, "Unknown order sent.")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aboveType": None}, -1102),
        ({"abovePrice": None}, -1102),
        ({"belowTimeInForce": None}, -1102),
        ({"aboveType": "LIMIT"}, -1158),
        ({"aboveType": "STOP_LOSS", "abovePrice": None, "aboveStopPrice": "70000"}, -1158),
        ({"belowType": "LIMIT_MAKER", "belowStopPrice": None, "belowTimeInForce": None}, -1168),
        ({"side": "BUY"}, -1165),
        ({"abovePrice": "50000"}, -2010),
        ({"belowStopPrice": "69000", "belowPrice": "69000"}, -2010),
        ({"price": "1"}, -1104),
        ({"belowTrailingDelta": "100"}, -2010),
    ],
)
def test_a_pair_that_makes_no_sense_is_refused(
    server: Server, changes: dict[str, object], code: int
) -> None:
    answer = place_oco(server, **changes)
    assert answer.error[1] == code


def test_an_id_of_an_open_list_is_refused(server: Server) -> None:
    place_oco(server, listClientOrderId="once")
    assert place_oco(server, listClientOrderId="once").error[2] == "Duplicate order sent."


def test_the_deprecated_call_places_the_same_pair(server: Server) -> None:
    answer = server.signed(
        "POST",
        "/api/v3/order/oco",
        symbol="BTCUSDT",
        side="SELL",
        quantity="0.01",
        price="70000",
        stopPrice="50000",
        stopLimitPrice="49000",
        stopLimitTimeInForce="GTC",
    ).json
    types = [report["type"] for report in answer["orderReports"]]
    assert types == ["STOP_LOSS_LIMIT", "LIMIT_MAKER"]


def test_a_pair_counts_as_two_orders(server: Server) -> None:
    before = int(server.order().headers["X-MBX-ORDER-COUNT-1D"])
    assert int(place_oco(server).headers["X-MBX-ORDER-COUNT-1D"]) == before + 2


# cancelReplace


def replace(server: Server, **changes: object) -> Answer:
    parameters: dict[str, object] = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "51000",
        "cancelReplaceMode": "STOP_ON_FAILURE",
    }
    return server.signed("POST", REPLACE, **(parameters | changes))


def open_prices(server: Server) -> list[str]:
    rows = server.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT").json
    return [row["price"] for row in rows]


def test_an_order_is_replaced(server: Server) -> None:
    number = server.order().json["orderId"]
    answer = replace(server, cancelOrderId=number, cancelNewClientOrderId="the-cancel").json
    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert answer["cancelResponse"]["clientOrderId"] == "the-cancel"
    assert answer["newOrderResponse"]["status"] == "NEW"
    assert open_prices(server) == ["51000.00000000"]


def test_nothing_is_placed_if_the_cancel_fails(server: Server) -> None:
    answer = replace(server, cancelOrderId=999)
    assert (answer.status, answer.json["code"]) == (400, -2022)
    data = answer.json["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "NOT_ATTEMPTED")
    assert data["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    assert data["newOrderResponse"] is None
    assert open_prices(server) == []


def test_a_failed_cancel_may_be_allowed(server: Server) -> None:
    answer = replace(server, cancelOrderId=999, cancelReplaceMode="ALLOW_FAILURE")
    assert (answer.status, answer.json["code"]) == (409, -2021)
    assert answer.json["data"]["newOrderResult"] == "SUCCESS"
    assert open_prices(server) == ["51000.00000000"]


def test_the_order_is_gone_if_only_the_new_one_fails(server: Server) -> None:
    number = server.order().json["orderId"]
    answer = replace(server, cancelOrderId=number, quantity="9000")
    assert (answer.status, answer.json["code"]) == (409, -2021)
    data = answer.json["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert data["newOrderResponse"]["code"] == -2010
    assert open_prices(server) == []


def test_both_may_fail(server: Server) -> None:
    answer = replace(server, cancelOrderId=999, cancelReplaceMode="ALLOW_FAILURE", quantity="9000")
    assert (answer.status, answer.json["code"]) == (400, -2022)
    assert answer.json["data"]["newOrderResult"] == "FAILURE"


def test_filters_are_checked_before_the_cancel(server: Server) -> None:
    number = server.order().json["orderId"]
    answer = replace(server, cancelOrderId=number, quantity="0.000001")
    assert answer.error == (400, -1013, "Filter failure: LOT_SIZE")
    assert len(open_prices(server)) == 1


def test_an_order_to_cancel_must_be_named(server: Server) -> None:
    assert replace(server).error[1] == -1102


@pytest.mark.parametrize(
    ("mode", "canceled", "status"),
    [
        ("STOP_ON_FAILURE", True, 429),
        ("STOP_ON_FAILURE", False, 429),
        ("ALLOW_FAILURE", True, 409),
        ("ALLOW_FAILURE", False, 400),
    ],
)
def test_a_cancel_may_be_wanted_although_there_are_too_many_orders(
    mode: str, canceled: bool, status: int
) -> None:
    limits = RateLimits(weight=ROOMY.weight, orders_10s=1)
    with serving(Settings(limits=limits)) as server:
        number = server.order().json["orderId"]
        wanted = {"cancelOrderId": number if canceled else 999, "cancelReplaceMode": mode}
        assert replace(server, **wanted).error[:2] == (429, -1015)
        assert len(open_prices(server)) == 1
        answer = replace(server, **wanted, orderRateLimitExceededMode="CANCEL_ONLY")
        assert answer.status == status
        assert answer.json["data"]["cancelResult"] == ("SUCCESS" if canceled else "FAILURE")
        assert len(open_prices(server)) == (0 if canceled else 1)
