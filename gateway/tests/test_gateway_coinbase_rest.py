"""Coinbase's REST through the gateway: what passes, what is refused, and in which words."""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from coinbase_gateway import PRODUCT, Bot, one_bot, patiently
from cryptography.hazmat.primitives.asymmetric import ec
from exchange_process import Answer, eventually
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.wire import instant

REFUSED = "x-tradingbot-refused"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with one_bot(tmp_path_factory.mktemp("coinbase")) as bot:
        yield bot


@pytest.fixture
def bot(running: Bot) -> Iterator[Bot]:
    yield running
    running.exchange.control("DELETE", "/faults")
    running.flatten()


def refusal(answer: Answer) -> tuple[int, bool, str]:
    return answer.status, answer.body["success"], answer.headers[REFUSED]


# What passes


def test_public_calls_need_no_key_and_come_back_as_the_exchange_answered(bot: Bot) -> None:
    path = f"{V3}/market/products/{PRODUCT}"
    through, direct = bot.request("GET", path), bot.exchange.request("GET", path)
    assert through.status == direct.status == 200
    assert set(through.body) == set(direct.body)
    assert int(through.headers["x-ratelimit-limit"]) > 0
    assert bot.request("GET", "/v2/time").status == 200


def test_reads_are_signed_with_the_real_key(bot: Bot) -> None:
    for path in ("products", "transaction_summary", "key_permissions", "portfolios"):
        assert (path, bot.signed("GET", f"{V3}/{path}").status) == (path, 200)


def test_an_order_is_marked_and_the_bot_sees_its_own_id(bot: Bot) -> None:
    answer = bot.limit(bot.price() * Decimal("0.98"), client_id="mine-1")
    assert answer.body["success"] is True
    assert answer.body["success_response"]["client_order_id"] == "mine-1"
    order_id = answer.body["order_id"]
    assert bot.shown(order_id)["client_order_id"] == "mine-1"
    assert [each["client_order_id"] for each in bot.listed()] == ["mine-1"]
    (kept,) = bot.open_orders()
    assert kept["clientId"].startswith("tb")
    assert kept["clientId"].endswith("-mine-1")


def test_the_same_client_id_again_is_answered_with_the_first_order(bot: Bot) -> None:
    price = bot.price() * Decimal("0.98")
    first = bot.limit(price, client_id="twice")
    again = bot.limit(price - 1000, client_id="twice")
    assert again.body["success"] is True
    assert again.body["order_id"] == first.body["order_id"]
    assert len(bot.open_orders()) == 1


def test_a_round_trip_counts_each_fill_before_the_bot_knows_of_it(bot: Bot) -> None:
    for _ in range(3):
        bought = bot.order(base_size=f"{Decimal('0.01') + bot.sent * Decimal('0.00001'):f}")
        assert bought.body["success"], bought.body
        size = bot.held()
        sold = bot.order(side="SELL", base_size=f"{size:f}")
        assert sold.body.get("success"), sold.body
        assert bot.held() == 0
    assert bot.gateway.risk()["openPositions"] == 0


# Who asks


def test_the_certificate_is_of_the_authority_that_was_handed_over(bot: Bot) -> None:
    assert bot.request("GET", "/v2/time").status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        Bot.request(Untrusting(bot.gateway), "GET", "/v2/time")


class Untrusting(Bot):
    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def test_a_request_that_the_bot_has_not_signed_is_refused(bot: Bot) -> None:
    name, key = bot.key
    other = ec.generate_private_key(ec.SECP256R1())
    now = int(time.time())
    for changes in (
        {"key": (name, other)},
        {"key": ("other", key)},
        {"now_s": now - 3600},
        {"now_s": now + 3600},
    ):
        for method, path in (("GET", f"{V3}/accounts"), ("POST", f"{V3}/orders")):
            assert bot.signed(method, path, {}, **changes).status == 401
    assert bot.request("GET", f"{V3}/accounts").status == 401
    assert bot.signed("GET", f"{V3}/accounts").status == 200


# What is refused


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/accounts/x/transactions"),
        ("POST", f"{V3}/portfolios/move_funds"),
        ("POST", f"{V3}/portfolios"),
        ("DELETE", f"{V3}/portfolios/x"),
        ("POST", f"{V3}/convert/quote"),
        ("POST", f"{V3}/convert/trade/x"),
        ("POST", f"{V3}/intx/allocate"),
        ("POST", f"{V3}/intx/multi_asset_collateral"),
        ("POST", f"{V3}/cfm/sweeps/schedule"),
        ("GET", f"{V3}/payment_methods"),
        ("POST", "/v2/accounts/x/deposits"),
        ("POST", "/v2/accounts/x/addresses"),
        ("POST", f"{V3}/orders/edit"),
        ("POST", f"{V3}/orders/close_position"),
        ("POST", f"{V3}/%6frders"),
        ("POST", f"/{V3}/orders"),
        ("POST", f"{V3}/orders/"),
        ("GET", f"{V3}/accounts/../orders"),
        ("DELETE", f"{V3}/orders"),
        ("GET", "/"),
    ],
)
def test_what_is_not_on_the_list_is_refused(bot: Bot, method: str, path: str) -> None:
    answer = bot.signed(method, path, {})
    assert (answer.status, answer.headers[REFUSED]) == (403, "NotAllowed")
    assert answer.body["error"] == "PERMISSION_DENIED"
    assert bot.gateway.drop_copy()[-1]["call"] == f"{method} {path}"


def test_a_change_of_an_open_order_is_refused_and_says_what_to_do(bot: Bot) -> None:
    placed = bot.limit(bot.price() * Decimal("0.98"), "0.01")
    edit = {"order_id": placed.body["order_id"], "price": "1000", "size": "5"}
    answer = bot.signed("POST", f"{V3}/orders/edit", edit)
    assert answer.status == 403  # Coinbase's own library raises nothing for success: false
    assert "cancel the order, and send another one" in answer.body["message"]
    (kept,) = bot.open_orders()
    assert Decimal(kept["quantity"]) == Decimal("0.01")


@pytest.mark.parametrize(
    ("form", "members"),
    [
        ("market_market_ioc", {"base_size": "0.02"}),
        ("market_market_ioc", {"quote_size": "1200"}),
        ("sor_limit_ioc", {"base_size": "0.02", "limit_price": "{ask}"}),
        ("limit_limit_fok", {"base_size": "0.02", "limit_price": "{ask}"}),
        ("limit_limit_gtc", {"base_size": "0.02", "limit_price": "{low}"}),
        ("limit_limit_gtc", {"base_size": "0.02", "limit_price": "{low}", "post_only": True}),
        ("limit_limit_gtd", {"base_size": "0.02", "limit_price": "{low}", "end_time": "{end}"}),
        ("stop_limit_stop_limit_gtc", {"base_size": "0.02", "stop": "{high}"}),
        ("stop_limit_stop_limit_gtd", {"base_size": "0.02", "stop": "{high}", "end_time": "{end}"}),
        ("trigger_bracket_gtc", {"base_size": "0.02", "bracket": "{low}"}),
        ("trigger_bracket_gtd", {"base_size": "0.02", "bracket": "{low}", "end_time": "{end}"}),
    ],
)
def test_no_form_of_an_order_passes_the_size(bot: Bot, form: str, members: dict[str, Any]) -> None:
    price = bot.price()
    values = {
        "ask": f"{price * Decimal('1.01'):.2f}",
        "low": f"{price * Decimal('0.98'):.2f}",
        "high": f"{price * Decimal('1.02'):.2f}",
        "end": instant(int(time.time() * 1000) + 3_600_000),
    }
    sent = {
        name: value.format(**values) if isinstance(value, str) else value
        for name, value in members.items()
    }
    if stop := sent.pop("stop", None):
        sent |= {"stop_price": stop, "limit_price": stop}
        sent["stop_direction"] = "STOP_DIRECTION_STOP_UP"
    if low := sent.pop("bracket", None):
        sent |= {"limit_price": low, "stop_trigger_price": values["high"]}
    assert refusal(bot.order(form, **sent))[2] == "MaxPositionSize"
    assert (bot.held(), bot.open_orders()) == (0, [])


def test_a_preview_changes_nothing_and_lends_its_name_to_no_other_order(bot: Bot) -> None:
    body = {
        "product_id": PRODUCT,
        "side": "BUY",
        "order_configuration": {"market_market_ioc": {"base_size": "0.5"}},
    }
    assert bot.signed("POST", f"{V3}/orders/preview", body).body["errs"] == []
    assert bot.held() == 0
    answer = bot.order(base_size="0.5", more={"preview_id": "some-preview"})
    assert refusal(answer)[2] == "MaxPositionSize"


def test_cancels_reach_the_bots_own_orders_alone(bot: Bot) -> None:
    bot.buy()
    price = bot.price() * Decimal("0.97")
    terms = {"limit_limit_gtc": {"base_size": "0.001", "limit_price": f"{price:.2f}"}}
    of_a_person = {
        "client_order_id": "a-person",
        "product_id": PRODUCT,
        "side": "BUY",
        "order_configuration": terms,
    }
    person = bot.real("POST", f"{V3}/orders", of_a_person).body["order_id"]
    listed = bot.real("GET", f"{V3}/orders/historical/batch?order_status=OPEN").body["orders"]
    (bracket,) = (each["order_id"] for each in listed if each["order_id"] != person)
    own = bot.order("limit_limit_gtc", base_size="0.0015", limit_price=f"{price:.2f}")
    mine = own.body["order_id"]
    answer = bot.cancel(person, mine, bracket, "nothing")
    assert [each["order_id"] for each in answer.body["results"]] == [
        person,
        mine,
        bracket,
        "nothing",
    ]
    assert [each["success"] for each in answer.body["results"]] == [False, True, False, False]
    assert bot.cancel(bracket).body["results"][0]["failure_reason"] == "UNKNOWN_CANCEL_ORDER"
    left = bot.real("GET", f"{V3}/orders/historical/batch?order_status=OPEN").body["orders"]
    assert {each["order_id"] for each in left} == {person, bracket}
    bot.real("POST", f"{V3}/orders/batch_cancel", {"order_ids": [person]})


def test_a_question_that_fails_cancels_nothing_of_others(bot: Bot) -> None:
    price = f"{bot.price() * Decimal('0.97'):.2f}"
    terms = {"limit_limit_gtc": {"base_size": "0.001", "limit_price": price}}
    order = {"product_id": PRODUCT, "side": "BUY", "order_configuration": terms}
    named = {"client_order_id": "of-a-person", **order}
    person = patiently(lambda: bot.real("POST", f"{V3}/orders", named)).body["order_id"]
    placed = bot.order("limit_limit_gtc", base_size="0.0017", limit_price=price)
    assert placed.body.get("success"), placed.body
    own = placed.body["order_id"]
    many = (str(uuid.uuid4()) for _ in range(400))  # as one question, longer than servers take
    endless = "x" * 9000
    answer = bot.cancel(*many, person, endless, "a&b", "", own)
    results = {each["order_id"]: each["success"] for each in answer.body["results"]}
    assert len(results) == 405
    assert [each for each, success in results.items() if success] == [own]
    asked = f"{V3}/orders/historical/batch?order_status=OPEN"
    (left,) = patiently(lambda: bot.real("GET", asked)).body["orders"]
    assert left["order_id"] == person
    bot.exchange.fault(type="server-error", match=f"GET {V3}/orders/historical/batch")
    again = bot.cancel(person).body["results"][0]
    assert (again["success"], again["failure_reason"]) == (False, "UNKNOWN_CANCEL_FAILURE_REASON")
    bot.exchange.control("DELETE", "/faults")
    ids = {"order_ids": [person]}
    canceled = patiently(lambda: bot.real("POST", f"{V3}/orders/batch_cancel", ids))
    assert canceled.body["results"][0]["success"] is True


def test_text_that_utf_8_does_not_have_is_answered_like_any_other(bot: Bot) -> None:
    half = "\ud800"
    answer = bot.cancel(half)
    assert (answer.status, answer.body["results"][0]["success"]) == (200, False)
    terms = {"base_size": "0.5", "rfq_disabled": half}
    assert refusal(bot.order("market_market_ioc", **terms))[2] == "MaxPositionSize"


def test_a_position_that_would_be_too_large_is_refused_with_its_figures(bot: Bot) -> None:
    answer = bot.order(base_size="0.02", client_id="too-large")
    assert refusal(answer) == (200, False, "MaxPositionSize")
    error = answer.body["error_response"]
    assert "maxPositionSize is 1000" in error["message"]
    assert error["preview_failure_reason"] == "PREVIEW_BREACHED_ACCOUNT_POSITION_LIMIT"
    line = bot.gateway.drop_copy()[-1]
    assert (line["clientId"], line["control"]) == ("too-large", "MaxPositionSize")
    assert bot.held() == 0


def test_open_entries_count_until_they_are_canceled(bot: Bot) -> None:
    price = bot.price() * Decimal("0.98")
    first = bot.limit(price, "0.01")
    assert first.body["success"]
    assert refusal(bot.limit(price, "0.011"))[2] == "MaxPositionSize"
    assert bot.cancel(first.body["order_id"]).body["results"][0]["success"] is True
    assert bot.limit(price, "0.011").body["success"]


def test_a_second_open_position_is_refused(bot: Bot) -> None:
    assert bot.order().body["success"]
    answer = bot.order(product="ETH-USD", base_size="0.01")
    assert refusal(answer)[2] == "MaxOpenPositions"


@pytest.mark.parametrize(
    "more",
    [
        {"attached_order_configuration": {"trigger_bracket_gtc": {"limit_price": "1"}}},
        {"leverage": "3"},
        {"margin_type": "CROSS"},
    ],
)
def test_ways_to_enter_that_the_gateway_does_not_understand_are_refused(
    bot: Bot, more: dict[str, Any]
) -> None:
    answer = bot.order(more=more)
    assert answer.body["success"] is False
    assert bot.held() == 0


def test_an_unknown_member_is_refused_and_not_handed_on(bot: Bot) -> None:
    assert bot.order(more={"stopLoss": {"triggerPrice": 1}}).status == 400
    assert bot.order("twap_limit_gtd", base_size="1").body["success"] is False
    assert (
        bot.order("limit_limit_gtc", base_size="0.001", limit_price="1", iceberg="1").status == 400
    )


@pytest.mark.parametrize("client_id", ["tbgw-1-0", "with/slash", "with space", "x" * 120])
def test_client_ids_that_could_be_taken_for_another_order_are_refused(
    bot: Bot, client_id: str
) -> None:
    answer = bot.order(client_id=client_id)
    assert (answer.status, answer.body["error"]) == (400, "INVALID_ARGUMENT")


def test_errors_of_the_exchange_are_handed_on(bot: Bot) -> None:
    assert bot.order(product="NO-SUCH").body["error_response"]["error"] == "INVALID_PRODUCT_ID"
    answer = bot.order(base_size="0.0000001")
    assert answer.body["success"] is False
    assert REFUSED not in answer.headers
    assert bot.request("GET", f"{V3}/market/products/NO-SUCH").status == 404


# Protection


def test_a_position_is_protected_by_a_bracket_that_the_bot_does_not_see(bot: Bot) -> None:
    bot.buy()
    kinds = {each["type"] for each in bot.open_orders()}
    assert kinds == {"LIMIT", "STOP_LIMIT"}
    assert bot.listed() == []
    available, held = bot.balance("BTC")
    assert (available, held) == (1 + bot.held(), 0)


def test_protection_is_released_for_an_exit_of_the_bot(bot: Bot) -> None:
    bot.buy()
    sold = bot.order(side="SELL", base_size=f"{bot.held():f}")
    assert sold.body["success"], sold.body
    assert bot.held() == 0
    eventually(lambda: bot.open_orders() == [])


def test_a_part_that_is_sold_leaves_the_rest_protected(bot: Bot) -> None:
    bot.buy()
    half = (bot.held() / 2).quantize(Decimal("0.00001"))
    assert bot.order(side="SELL", base_size=f"{half:f}").body["success"]
    rest = bot.held()
    eventually(lambda: {Decimal(each["quantity"]) for each in bot.open_orders()} == {rest})


def test_a_stop_of_the_bot_takes_the_place_of_the_gateways(bot: Bot) -> None:
    bot.buy()
    stop = bot.price() * Decimal("0.99")
    answer = bot.order(
        "stop_limit_stop_limit_gtc",
        side="SELL",
        base_size=f"{bot.held():f}",
        stop_price=f"{stop:.2f}",
        limit_price=f"{stop * Decimal('0.98'):.2f}",
        stop_direction="STOP_DIRECTION_STOP_DOWN",
    )
    assert answer.body["success"], answer.body
    eventually(lambda: [each["type"] for each in bot.open_orders()] == ["STOP_LIMIT"])
    assert [each["order_id"] for each in bot.listed()] == [answer.body["order_id"]]


def test_a_bracket_of_the_bot_takes_the_place_of_the_gateways(bot: Bot) -> None:
    bot.buy()
    price = bot.price()
    answer = bot.order(
        "trigger_bracket_gtc",
        side="SELL",
        client_id="my-bracket",
        base_size=f"{bot.held():f}",
        limit_price=f"{price * Decimal('1.04'):.2f}",
        stop_trigger_price=f"{price * Decimal('0.985'):.2f}",
    )
    assert answer.body["success"], answer.body
    assert [each["client_order_id"] for each in bot.listed()] == ["my-bracket"]
    eventually(lambda: len(bot.open_orders()) == 2)
    assert bot.gateway.risk()["openPositions"] == 1


def test_protection_that_somebody_cancels_is_placed_again(bot: Bot) -> None:
    bot.buy()
    before = {each["id"] for each in bot.open_orders()}
    (found,) = bot.real("GET", f"{V3}/orders/historical/batch?order_status=OPEN").body["orders"]
    bot.real("POST", f"{V3}/orders/batch_cancel", {"order_ids": [found["order_id"]]})
    eventually(lambda: len(bot.open_orders()) == 2)
    assert {each["id"] for each in bot.open_orders()} & before == set()


def test_a_crash_is_sold_at_the_stop(bot: Bot) -> None:
    bot.buy()
    bot.exchange.fault(type="crash", percent=4, over="1s")
    eventually(lambda: bot.held() == 0)
    eventually(lambda: bot.gateway.risk()["openPositions"] == 0)
