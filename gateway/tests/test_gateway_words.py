"""Binance's words and the core's: pure translations, and what a bot sees of its account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tradingbot_exchange.engine.types import Instrument, OrderType, Side
from tradingbot_gateway.binance.addresses import addresses
from tradingbot_gateway.binance.calls import BY_PATH
from tradingbot_gateway.binance.instruments import read_instrument
from tradingbot_gateway.binance.refusals import RefusalError
from tradingbot_gateway.binance.requests import read_submission
from tradingbot_gateway.binance.translation import (
    Tag,
    list_parameters,
    order_parameters,
    placed,
    reported,
    trimmed,
)
from tradingbot_gateway.binance.views import in_account, in_event, of_the_bot, without_tag
from tradingbot_gateway.errors import SettingError
from tradingbot_gateway.risk.events import Acknowledged, End, Ended, Filled, Found
from tradingbot_gateway.risk.types import Order

TAG = Tag.of("trading", "tested")
D = Decimal
BTC = Instrument(
    symbol="BTC-USDT",
    base="BTC",
    quote="USDT",
    tick=D("0.01"),
    lot=D("0.00001"),
    min_price=D("0.01"),
    max_price=D(10**6),
    min_quantity=D("0.00001"),
    max_quantity=D(9000),
    min_notional=D(5),
    maker_fee=D("0.001"),
    taker_fee=D("0.001"),
)
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "50000",
    "timestamp": "1",
    "signature": "x",
}


def read(path: str, **sent: str) -> Any:
    return read_submission(BY_PATH["POST", path], sent, BTC, TAG, client_of={"7": "seven"}.get)


def test_the_tag_of_a_bot_is_its_own_and_fits_into_json() -> None:
    assert Tag.of("trading", "tested") == TAG
    assert Tag.of("trading", "other").strategy_id != TAG.strategy_id
    assert 0 < TAG.strategy_id < 2**53


def test_an_order_keeps_its_client_id_and_loses_signature_and_own_tag() -> None:
    made = read("/api/v3/order", **LIMIT, newClientOrderId="mine", strategyId="5")
    assert made.request.orders[0].client_id == "mine"
    assert made.parameters["strategyId"] == str(TAG.strategy_id)
    assert not {"signature", "timestamp"} & set(made.parameters)
    assert made.parameters["newOrderRespType"] == "FULL"


def test_an_order_without_a_client_id_gets_one_to_be_asked_for_by() -> None:
    made = read("/api/v3/order", **LIMIT)
    assert made.parameters["newClientOrderId"] == made.request.orders[0].client_id != ""


@pytest.mark.parametrize(("sent", "expected"), [(None, "5000"), ("60000", "5000"), ("9", "9")])
def test_an_order_can_arrive_for_five_seconds_at_most(sent: str | None, expected: str) -> None:
    window = {} if sent is None else {"recvWindow": sent}
    assert read("/api/v3/order", **LIMIT, **window).parameters["recvWindow"] == expected


def test_a_cancel_replace_names_the_order_that_goes() -> None:
    sent = {**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE"}
    path = "/api/v3/order/cancelReplace"
    assert read(path, **sent, cancelOrderId="7").request.replaces == "seven"
    assert read(path, **sent, cancelOrigClientOrderId="x").request.replaces == "x"
    assert read(path, **sent, cancelOrderId="8").request.replaces is None


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_both_orders_of_a_list_are_named_and_tagged(side: str) -> None:
    stop, limit = ("above", "below") if side == "BUY" else ("below", "above")
    sent = {
        "symbol": "BTCUSDT",
        "side": side,
        "quantity": "0.01",
        f"{stop}Type": "STOP_LOSS_LIMIT",
        f"{stop}StopPrice": "50000",
        f"{stop}Price": "50001",
        f"{stop}TimeInForce": "GTC",
        f"{limit}Type": "LIMIT_MAKER",
        f"{limit}Price": "49000",
        "timestamp": "1",
    }
    made = read("/api/v3/orderList/oco", **sent)
    first, second = made.request.orders
    assert (first.type, second.type) == (OrderType.LIMIT, OrderType.STOP_LIMIT)
    assert made.parameters[f"{limit}ClientOrderId"] == first.client_id
    assert made.parameters[f"{stop}ClientOrderId"] == second.client_id
    assert made.parameters["listClientOrderId"] == made.request.group
    for leg in (stop, limit):
        assert made.parameters[f"{leg}StrategyId"] == str(TAG.strategy_id)


@pytest.mark.parametrize("name", ["icebergQty", "trailingDelta", "pegPriceType"])
def test_ways_to_trade_that_are_not_understood_are_refused(name: str) -> None:
    with pytest.raises(RefusalError, match=name) as raised:
        read("/api/v3/order", **LIMIT, **{name: "1"})
    assert raised.value.control == "NotAllowed"


# Answers and events


def test_an_answer_counts_its_fills_and_its_end() -> None:
    order = Order(
        client_id="a", symbol="BTC-USDT", side=Side.BUY, type=OrderType.MARKET, quantity=D(1)
    )
    body = {
        "transactTime": 5,
        "orderId": 9,
        "clientOrderId": "a",
        "status": "EXPIRED",
        "executedQty": "0.5",
        "fills": [
            {
                "price": "100",
                "qty": "0.5",
                "commission": "0.01",
                "commissionAsset": "BNB",
                "tradeId": 3,
            }
        ],
    }
    assert list(placed(body, order)) == [
        Acknowledged(time=5, client_id="a", exchange_id="9"),
        Filled(
            time=5,
            client_id="a",
            symbol="BTC-USDT",
            trade_id="3",
            price=D(100),
            quantity=D("0.5"),
            fee=D("0.01"),
            fee_asset="BNB",
            exchange_id="9",
        ),
        Ended(time=5, client_id="a", how=End.EXPIRED, executed=D("0.5"), exchange_id="9"),
    ]
    assert set(trimmed(dict(body), "ACK", "MARKET")) == {
        "orderId",
        "clientOrderId",
        "transactTime",
    }
    assert "fills" not in trimmed(dict(body), "RESULT", "MARKET")
    assert "fills" in trimmed(dict(body), None, "LIMIT")
    assert "fills" not in trimmed(dict(body), None, "STOP_LOSS")


def test_a_cancel_is_reported_under_the_id_of_the_order() -> None:
    report = {
        "x": "CANCELED",
        "X": "CANCELED",
        "c": "of-cancel",
        "C": "of-order",
        "T": 4,
        "z": "0",
        "i": 9,
    }
    (event,) = reported(report, "BTC-USDT")
    assert event == Ended(
        time=4, client_id="of-order", how=End.CANCELED, executed=D(0), exchange_id="9"
    )


def test_the_gateways_own_orders_are_written_as_binance_reads_them() -> None:
    profit = Order(
        client_id="tbgw-1-0",
        symbol="BTC-USDT",
        side=Side.SELL,
        type=OrderType.LIMIT,
        quantity=D("0.01"),
        price=D("63000"),
    )
    stop = Order(
        client_id="tbgw-1-1",
        symbol="BTC-USDT",
        side=Side.SELL,
        type=OrderType.STOP_MARKET,
        quantity=D("0.01"),
        stop_price=D("58000"),
    )
    sent = list_parameters((profit, stop), "BTCUSDT", "tbgw-1", TAG)
    assert (sent["aboveType"], sent["abovePrice"]) == ("LIMIT_MAKER", "63000")
    assert (sent["belowType"], sent["belowStopPrice"]) == ("STOP_LOSS", "58000")
    assert "belowPrice" not in sent
    assert "aboveTimeInForce" not in sent
    single = order_parameters(stop, "BTCUSDT", TAG)
    assert (single["type"], single["stopPrice"]) == ("STOP_LOSS", "58000")


# What the bot sees


def test_holds_of_protection_count_as_free_and_no_more_than_is_locked() -> None:
    row = {"asset": "BTC", "free": "1.00000000", "locked": "0.50000000"}
    other = {"asset": "ETH", "free": "1", "locked": "1"}
    account = {"balances": [row, other], "canTrade": True}
    shown = in_account(account, {"BTC": D("0.3")})
    assert shown["balances"] == [
        {"asset": "BTC", "free": "1.30000000", "locked": "0.20000000"},
        other,
    ]
    assert in_account(account, {"BTC": D(9)})["balances"][0]["locked"] == "0.00000000"


def test_protection_is_not_listed_until_it_has_traded() -> None:
    mine = {"clientOrderId": "mine", "executedQty": "0"}
    idle = {"clientOrderId": "tbgw-1-0", "executedQty": "0.00000000"}
    traded = {"clientOrderId": "tbgw-1-1", "executedQty": "0.01000000"}
    assert of_the_bot([mine, idle, traded]) == [mine, traded]
    assert of_the_bot([{"listClientOrderId": "tbgw-1"}]) == []


@pytest.mark.parametrize(
    ("event", "seen"),
    [
        ({"e": "executionReport", "c": "mine", "C": "", "x": "NEW"}, True),
        ({"e": "executionReport", "c": "tbgw-1-0", "C": "", "x": "NEW"}, False),
        ({"e": "executionReport", "c": "x", "C": "tbgw-1-0", "x": "CANCELED"}, False),
        ({"e": "executionReport", "c": "tbgw-1-0", "C": "", "x": "TRADE"}, True),
        ({"e": "listStatus", "C": "tbgw-1"}, False),
        ({"e": "balanceUpdate"}, True),
    ],
)
def test_events_of_protection_are_seen_once_it_trades(event: dict[str, Any], seen: bool) -> None:
    assert (in_event(event, {}, TAG) is not None) is seen


def test_the_tag_is_nowhere_in_what_the_bot_sees_and_that_of_others_stays() -> None:
    own = {"orderId": 1, "strategyId": TAG.strategy_id, "strategyType": TAG.strategy_type}
    other = {"orderId": 2, "strategyId": 5, "strategyType": 1_000_001}
    body = {"data": {"newOrderResponse": own}, "orderReports": [own, other]}
    assert without_tag(body, TAG) == {
        "data": {"newOrderResponse": {"orderId": 1}},
        "orderReports": [{"orderId": 1}, other],
    }
    event = {"e": "executionReport", "c": "a", "j": TAG.strategy_id, "J": TAG.strategy_type}
    assert in_event(event, {}, TAG) == {"e": "executionReport", "c": "a"}


# The exchange


def test_filters_that_are_off_limit_nothing() -> None:
    symbol = {
        "baseAsset": "ABC",
        "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0", "maxPrice": "0", "tickSize": "0"},
            {"filterType": "LOT_SIZE", "minQty": "0.1", "maxQty": "100", "stepSize": "0.1"},
        ],
    }
    found = read_instrument(symbol)
    assert (found.symbol, found.tick, found.lot) == ("ABC-USDT", D("0.00000001"), D("0.1"))
    assert found.min_notional == 0


@pytest.mark.parametrize(
    ("url", "streams", "websocket_api"),
    [
        (
            None,
            "wss://stream.binance.com:9443",
            "wss://ws-api.binance.com:443/ws-api/v3",
        ),
        (
            "https://testnet.binance.vision",
            "wss://stream.testnet.binance.vision",
            "wss://ws-api.testnet.binance.vision/ws-api/v3",
        ),
        ("http://127.0.0.1:8070/", "ws://127.0.0.1:8070", "ws://127.0.0.1:8070/ws-api/v3"),
    ],
)
def test_an_exchange_has_three_addresses(url: str | None, streams: str, websocket_api: str) -> None:
    found = addresses(url)
    assert (found.streams, found.websocket_api) == (streams, websocket_api)


@pytest.mark.parametrize("url", ["ftp://x", "example.com", "https://", "https://x/?key=SECRET"])
def test_a_url_that_is_none_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingError, match=r"baseURL") as raised:
        addresses(url)
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("client_id", "number", "group"),
    [("tbgw-1a-7-0", 3, "tbgw-1a-7"), ("tbgw-1a-7-0", -1, None), ("mine-0", 3, None)],
)
def test_the_protection_of_another_gateway_is_one_list(
    client_id: str, number: int, group: str | None
) -> None:
    event = {
        "e": "executionReport",
        "x": "NEW",
        "X": "NEW",
        "c": client_id,
        "C": "",
        "g": number,
        "S": "SELL",
        "o": "LIMIT_MAKER",
        "q": "0.01",
        "p": "62000",
        "P": "0",
        "Q": "0",
        "i": 5,
        "T": 7,
        "O": 6,
        "z": "0",
    }
    (found,) = reported(event, "BTC-USDT")
    assert isinstance(found, Found)
    assert found.group == group
