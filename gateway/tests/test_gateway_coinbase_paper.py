"""Mode Paper in Coinbase's dialect: orders are filled inside the gateway, by the real market."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from coinbase_gateway import PRODUCT, Bot, start_bot
from exchange_process import eventually
from gateway_process import Gateways, gateways
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.wire import instant
from tradingbot_exchange.engine.types import (
    Event,
    Instrument,
    NewOrder,
    OrderEvent,
    OrderStatus,
    OrderType,
    Side,
)
from tradingbot_gateway.coinbase.instruments import read_instrument
from tradingbot_gateway.coinbase.paper import ACCOUNT, paper_venue
from tradingbot_gateway.markets import Depth


def paper_bot(start: Gateways, *arguments: str) -> Bot:
    bot = start_bot(start, *arguments, mode="Paper", begin=False)
    bot.gateway.content["exchange"]["paperBalance"] = [{"asset": "USD", "amount": "5000"}]
    bot.gateway.configure()
    bot.gateway.without_keys = True
    bot.gateway.begin()
    bot.gateway.ready()
    return bot


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """A bot of a gateway that has no key of the exchange."""
    with gateways(tmp_path_factory.mktemp("paper")) as start:
        yield paper_bot(start)


@pytest.fixture
def flat(bot: Bot) -> Iterator[Bot]:
    """The same bot, which sells what a test has bought."""
    yield bot
    own = [each["order_id"] for each in bot.listed()]
    if own:
        bot.cancel(*own)
    held = bot.balance("BTC")[0]
    if held:
        assert bot.order(side="SELL", base_size=f"{held:f}").body["success"]
    eventually(lambda: bot.gateway.risk()["openPositions"] == 0)


def protection(bot: Bot) -> list[str]:
    """The types of the protective orders that this run has placed."""
    return [each["type"] for each in bot.gateway.drop_copy() if each.get("action") == "protection"]


def test_an_order_is_filled_at_the_markets_quote_and_never_leaves(flat: Bot) -> None:
    assert flat.request("GET", f"{V3}/time").headers["x-tradingbot-simulated"] == "true"
    answer = flat.order(base_size="0.01")
    assert answer.body["success"], answer.body
    shown = flat.shown(answer.body["order_id"])
    assert (shown["status"], shown["filled_size"]) == ("FILLED", "0.01")
    assert shown["client_order_id"] == answer.body["success_response"]["client_order_id"]
    paid = Decimal(shown["average_filled_price"])
    assert abs(paid - flat.price()) < paid * Decimal("0.01")
    assert flat.balance("BTC") == (Decimal("0.01"), 0)  # the bracket's hold counts as available
    left = flat.balance("USD")[0]
    assert left == 5000 - Decimal(shown["total_value_after_fees"])
    assert flat.gateway.statement()["fills"] == []
    assert flat.open_orders() == []
    report = flat.gateway.risk()
    assert (report["openPositions"], Decimal(report["dayPnL"]) < 0) == (1, True)


def test_limits_hold(flat: Bot) -> None:
    for members in ({"base_size": "0.02"}, {"quote_size": "1200"}):
        refused = flat.order(**members)
        assert refused.headers["x-tradingbot-refused"] == "MaxPositionSize", refused.body
        assert refused.headers["x-tradingbot-simulated"] == "true"
    assert flat.gateway.risk()["openPositions"] == 0


def test_market_data_are_the_real_markets_and_the_account_is_not(flat: Bot) -> None:
    shown = flat.signed("GET", f"{V3}/products/{PRODUCT}").body
    assert abs(Decimal(shown["price"]) - flat.price()) < flat.price() * Decimal("0.01")
    assert flat.signed("GET", f"{V3}/products/{PRODUCT}/ticker?limit=3").body["trades"]
    book = flat.signed("GET", f"{V3}/product_book?product_id={PRODUCT}").body["pricebook"]
    assert len(book["bids"]) > 1
    best = flat.signed("GET", f"{V3}/best_bid_ask?product_ids={PRODUCT}").body
    (price,) = (each["bids"][0]["price"] for each in best["pricebooks"])
    assert abs(Decimal(price) - flat.price()) < flat.price() * Decimal("0.01")
    assert flat.signed("GET", f"{V3}/key_permissions").body["can_transfer"] is False
    (money,) = (
        each
        for each in flat.signed("GET", f"{V3}/accounts?limit=250").body["accounts"]
        if Decimal(each["available_balance"]["value"]) and each["currency"] == "USD"
    )
    assert Decimal(money["available_balance"]["value"]) <= 5000  # the exchange's has 100000


def test_a_limit_order_is_filled_when_the_market_comes_to_it(flat: Bot) -> None:
    resting = flat.order(
        "limit_limit_gtc", base_size="0.01", limit_price=f"{flat.price() * Decimal('0.98'):.2f}"
    )
    order_id = resting.body["order_id"]
    assert flat.shown(order_id)["status"] == "OPEN"
    fault = flat.exchange.fault(type="crash", percent=2.5, over="1s")
    eventually(lambda: flat.shown(order_id)["status"] == "FILLED", seconds=60)
    flat.exchange.control("DELETE", f"/faults/{fault}")


def test_an_order_with_an_end_ends(flat: Bot) -> None:
    end = int(time.time() * 1000) + 2_000
    answer = flat.order(
        "limit_limit_gtd",
        base_size="0.001",
        limit_price=f"{flat.price() * Decimal('0.9'):.2f}",
        end_time=instant(end),
    )
    order_id = answer.body["order_id"]
    eventually(lambda: flat.shown(order_id)["status"] == "EXPIRED", seconds=60)
    eventually(lambda: flat.balance("USD")[1] == 0)


def test_positions_are_protected_and_an_account_goes_on_after_a_crash(
    start: Gateways, tmp_path: Path
) -> None:
    bot = paper_bot(start, "--state", str(tmp_path / "ledger"))
    assert bot.order(base_size="0.01").body["success"]
    eventually(lambda: protection(bot) == ["LIMIT", "STOP_MARKET"])
    assert bot.listed() == []
    before, money = bot.gateway.risk(), bot.balance("USD")
    bot.gateway.kill()
    bot.gateway.begin()
    bot.gateway.ready()
    assert (before["openPositions"], bot.gateway.risk()["openPositions"]) == (1, 1)
    assert bot.balance("USD") == money
    assert protection(bot) == []  # that of the first run is still there
    bot.exchange.fault(type="crash", percent=5, over="1s")
    eventually(lambda: bot.gateway.risk()["openPositions"] == 0, seconds=60)
    assert Decimal(bot.gateway.risk()["dayPnL"]) < -10


# Coinbase's sizes


def fine_product(**changes: str) -> Instrument:
    """BTC-USD as the real exchange has it: what `tick * lot` makes is finer than 8 places."""
    found = read_instrument(
        {
            "product_id": "BTC-USD",
            "base_currency_id": "BTC",
            "quote_currency_id": "USD",
            "product_type": "SPOT",
            "price_increment": "0.01",
            "quote_increment": "0.01",
            "base_increment": "0.00000001",
            "base_min_size": "0.00000001",
            "base_max_size": "3400",
            "quote_min_size": "1",
            **changes,
        }
    )
    assert found is not None
    return found


def test_sizes_and_fees_are_as_fine_as_coinbases(tmp_path: Path) -> None:
    balances, seen = {"USD": Decimal(10_000)}, list[Event]()
    state = tmp_path / "ledger.paper"
    venue, _ = paper_venue(
        {"BTC-USD": fine_product()}, balances, wall=lambda: 1_800_000_000_000, state=state
    )
    venue.listen(seen.extend)
    depth = Depth(
        ((Decimal("59999.99"), Decimal("0.12345678")),),
        ((Decimal("60000.01"), Decimal("0.00012345")), (Decimal("60000.02"), Decimal(1))),
        0,
    )
    venue.quoted("BTC-USD", depth)
    order = NewOrder(
        symbol="BTC-USD", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01234567")
    )
    venue.apply(lambda engine, now: engine.submit(ACCOUNT, order, now=now))
    (done,) = venue.engine.orders(ACCOUNT)
    cost = Decimal("0.00012345") * Decimal("60000.01") + Decimal("0.01222222") * Decimal("60000.02")
    assert (done.status, done.filled_quote) == (OrderStatus.FILLED, cost)
    assert done.fees == {"USD": cost * Decimal("0.006")}
    assert venue.engine.free(ACCOUNT, "USD") == 10_000 - cost * Decimal("1.006")
    assert any(isinstance(each, OrderEvent) for each in seen)
    again, _ = paper_venue(
        {"BTC-USD": fine_product()}, balances, wall=lambda: 1_800_000_000_000, state=state
    )
    assert again.engine.free(ACCOUNT, "USD") == venue.engine.free(ACCOUNT, "USD")


def test_products_of_tiny_prices_can_be_traded(tmp_path: Path) -> None:
    tiny = fine_product(price_increment="0.0000000001", base_increment="0.00000001")
    venue, _ = paper_venue({"BTC-USD": tiny}, {}, wall=lambda: 1, state=None)
    assert [each.symbol for each in venue.engine.instruments()] == ["BTC-USD"]


def test_the_book_of_a_coin_of_which_there_are_many_is_whole() -> None:
    changes = {
        "price_increment": "0.00000001",
        "base_increment": "1",
        "base_min_size": "1",
        "base_max_size": "99000000000",
    }
    venue, _ = paper_venue(
        {"BTC-USD": fine_product(**changes)},
        {"USD": Decimal(10_000)},
        wall=lambda: 1_800_000_000_000,
        state=None,
    )
    many = Decimal(90_000_000_000)
    bids = tuple((Decimal(f"0.0000069{level}"), many) for level in (2, 1, 0))
    asks = tuple((Decimal(f"0.0000070{level}"), many) for level in (0, 1, 2))
    venue.quoted("BTC-USD", Depth(bids, asks, 0))
    book = venue.engine.book("BTC-USD", 10)
    assert [(each.price, each.quantity) for each in book.bids] == list(bids)
    assert [(each.price, each.quantity) for each in book.asks] == list(asks)
