"""Products of Coinbase that have the book of another one: BTC-USDC is streamed as BTC-USD."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from coinbase_gateway import Bot, start_bot
from exchange_process import Answer, eventually
from gateway_process import Gateways, gateways
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_gateway.coinbase.instruments import alias_of

ALIAS, BOOK = "BTC-USDC", "BTC-USD"
REFUSED = "x-tradingbot-refused"
ORDER = f"POST {V3}/orders"
ALWAYS = {"status": 503, "times": 1000}


def alias_bot(start: Gateways, *, money: str = "USDC", mode: str = "Live", **risk: Any) -> Bot:
    exchange = start.exchanges(
        "--aliases", "--balance", "USDC=100000,USD=100000", dialect="coinbase"
    )
    bot = start_bot(start, exchange=exchange, mode=mode, begin=False, **risk)
    bot.gateway.content["exchange"]["quoteCurrency"] = money
    if mode == "Paper":
        bot.gateway.content["exchange"]["paperBalance"] = [{"asset": money, "amount": "5000"}]
    bot.gateway.configure()
    bot.gateway.begin()
    bot.gateway.ready()
    return bot


@pytest.fixture(scope="module", params=["Live", "Paper"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bot]:
    with gateways(tmp_path_factory.mktemp("aliases")) as start:
        yield alias_bot(start, mode=request.param)


@pytest.fixture
def bot(running: Bot) -> Iterator[Bot]:
    yield running
    running.exchange.control("DELETE", "/faults")
    for each in running.listed():
        running.cancel(each["order_id"])
    held = running.balance("BTC")[0]
    if held:
        assert order(running, side="SELL", base_size=f"{held:f}").body["success"]
    eventually(lambda: running.gateway.risk()["openPositions"] == 0)


def order(bot: Bot, form: str = "market_market_ioc", **more: Any) -> Answer:
    return bot.order(form, product=ALIAS, **more)


def protection(bot: Bot) -> list[dict[str, Any]]:
    lines = bot.gateway.drop_copy()
    return [each for each in lines if each.get("action") == "protection"]


def test_prices_come_from_the_stream_under_the_name_of_the_book(bot: Bot) -> None:
    eventually(lambda: order(bot).body["success"])
    bot.exchange.fault(type="server-error", match=f"GET {V3}/market/product_book", **ALWAYS)
    bot.gateway.stop()
    bot.gateway.begin()
    bot.gateway.ready()
    eventually(lambda: order(bot).body["success"])


def test_what_is_bought_is_counted_and_protected_under_its_own_name(bot: Bot) -> None:
    before = len(protection(bot))
    answer = order(bot, base_size="0.01")
    assert answer.body["success"], answer.body
    shown = bot.shown(answer.body["order_id"])
    assert (shown["product_id"], shown["filled_size"]) == (ALIAS, "0.01")
    eventually(lambda: len(protection(bot)) > before)
    assert {each["symbol"] for each in protection(bot)} == {ALIAS}
    paid = Decimal(shown["total_value_after_fees"])
    figures = bot.gateway.risk()
    assert figures["openPositions"] == 1
    assert abs(Decimal(figures["exposure"]) - paid) < paid / 50
    assert -paid / 50 < Decimal(figures["dayPnL"]) < 0


def test_limits_hold(bot: Bot) -> None:
    assert order(bot, base_size="0.03").headers[REFUSED] == "MaxPositionSize"
    assert order(bot, quote_size="1200").headers[REFUSED] == "MaxPositionSize"
    price = f"{bot.price() * Decimal('1.2'):.2f}"
    far = order(bot, "limit_limit_gtc", base_size="0.001", limit_price=price)
    assert far.headers[REFUSED] == "PriceCollar"
    assert bot.order(product=BOOK).headers[REFUSED] == "AllowedSymbols"
    resting = f"{bot.price() * Decimal('0.98'):.2f}"
    assert order(bot, "limit_limit_gtc", base_size="0.01", limit_price=resting).body["success"]
    assert order(bot, base_size="0.0101").headers[REFUSED] == "MaxPositionSize"


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    with gateways(tmp_path_factory.mktemp("own")) as made:
        yield made


def test_a_crash_closes_the_position_and_halts(start: Gateways) -> None:
    bot = alias_bot(start, dailyLossLimit="30")
    assert order(bot, base_size="0.015").body["success"]
    eventually(lambda: len(bot.open_orders()) == 2)
    bot.exchange.fault(type="crash", percent=10, over="1s", symbol=BOOK)
    eventually(lambda: order(bot).headers.get(REFUSED) == "DailyLossLimit")
    fills = bot.gateway.statement()["fills"]
    assert {(each["symbol"], each["side"]) for each in fills} == {(ALIAS, "BUY"), (ALIAS, "SELL")}


def test_an_order_whose_answer_is_lost_counts(start: Gateways) -> None:
    bot = alias_bot(start)
    bot.exchange.fault(type="lose-answer", match=ORDER)
    assert order(bot, base_size="0.0101").status == 504
    assert order(bot, base_size="0.0102").headers[REFUSED] in {"UnknownOutcome", "MaxPositionSize"}
    eventually(lambda: bot.gateway.risk()["openPositions"] == 1)
    assert order(bot, base_size="0.0103").headers[REFUSED] == "MaxPositionSize"


@pytest.mark.parametrize(("money", "product"), [("USD", ALIAS), ("USDC", BOOK)])
def test_a_dollar_is_not_taken_for_the_other_one(start: Gateways, money: str, product: str) -> None:
    bot = alias_bot(start, money=money, allowedSymbols=[ALIAS, BOOK])
    assert bot.order(product=product).headers[REFUSED] == "AllowedSymbols"
    assert bot.order(product=f"BTC-{money}").body["success"]


@pytest.mark.parametrize(
    ("alias", "book"),
    [
        ("BTC-USD", "BTC-USD"),
        ("", None),
        (None, None),
        ("BTC-USDC", None),
        ("ETH-USD", None),
        ("BTC-USD ", None),
        (["BTC-USD"], None),
    ],
)
def test_an_alias_is_another_product_of_the_same_asset(alias: object, book: str | None) -> None:
    product = {"product_id": ALIAS, "base_currency_id": "BTC", "alias": alias}
    assert alias_of(product) == book
