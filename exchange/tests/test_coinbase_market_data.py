"""Products, books, candles, balances and what else is read over REST."""

from decimal import Decimal

import pytest
from coinbase_harness import START, Client, names, quiet_venue, run
from tradingbot_exchange.coinbase.calls import V3
from tradingbot_exchange.coinbase.market_data import GRANULARITIES, MINUTE_MS
from tradingbot_exchange.engine.types import Side
from tradingbot_exchange.venue import Candle

PUBLIC = "market/"


def candle(start: int, price: int) -> Candle:
    """Return a candle around a price."""
    return Candle(
        start=start,
        open=Decimal(price),
        high=Decimal(price + 2),
        low=Decimal(price - 2),
        close=Decimal(price + 1),
        volume=Decimal("1.50"),
        quote_volume=Decimal(150),
        trades=3,
    )


def test_a_product_has_the_members_that_clients_read() -> None:
    async def scenario(client: Client) -> None:
        client.venue.kept_candles = [candle(START - 3_600_000, 80), candle(START, 90)]
        product = await client.get("market/products/BTC-USD", key=None)
        assert product["product_id"] == "BTC-USD"
        assert product["price"] == "100"
        assert product["price_percentage_change_24h"] == "25"
        assert (product["volume_24h"], product["approximate_quote_24h_volume"]) == ("3", "300")
        assert (product["base_increment"], product["quote_increment"]) == ("0.0001", "0.01")
        assert (product["base_min_size"], product["base_max_size"]) == ("0.0001", "100")
        assert (product["quote_min_size"], product["quote_max_size"]) == ("1", "10000")
        assert (product["base_name"], product["quote_name"]) == ("Bitcoin", "US Dollar")
        assert (product["status"], product["product_type"]) == ("online", "SPOT")
        assert product["trading_disabled"] is False
        client.venue.engine.halt("BTC-USD", halted=True)
        halted = await client.get("products/BTC-USD")
        assert (halted["trading_disabled"], halted["cancel_only"]) == (True, True)

    run(scenario, quiet_venue())


def test_products_are_listed_and_chosen() -> None:
    async def scenario(client: Client) -> None:
        async def ids(query: str) -> list[str]:
            answer = await client.get(f"market/products?{query}", key=None)
            assert answer["num_products"] == len(answer["products"])
            return names(answer["products"], "product_id")

        everything = ["BTC-USD", "ETH-USD", "ETH-BTC"]
        assert await ids("") == everything
        assert await ids("product_type=SPOT") == everything
        assert await ids("product_type=FUTURE") == []
        assert await ids("product_ids=ETH-BTC&product_ids=BTC-USD") == ["BTC-USD", "ETH-BTC"]
        assert await ids("limit=1&offset=1") == ["ETH-USD"]

    run(scenario, quiet_venue())


def test_a_book_is_cut_and_joined_into_steps() -> None:
    async def scenario(client: Client) -> None:
        client.venue.quote(Side.BUY, "98.40", "1")
        client.venue.quote(Side.BUY, "98.60", "2")
        client.venue.quote(Side.SELL, "102.40", "3")
        book = await client.get("market/product_book?product_id=BTC-USD&limit=2", key=None)
        assert book["pricebook"]["bids"] == [
            {"price": "99", "size": "50"},
            {"price": "98.6", "size": "2"},
        ]
        assert len(book["pricebook"]["asks"]) == 2
        assert (book["last"], book["mid_market"]) == ("100", "100")
        assert (book["spread_absolute"], book["spread_bps"]) == ("2", "200")
        joined = await client.get("product_book?product_id=BTC-USD&aggregation_price_increment=1")
        assert joined["pricebook"]["bids"] == [
            {"price": "99", "size": "50"},
            {"price": "98", "size": "3"},
        ]
        assert joined["pricebook"]["asks"][1] == {"price": "103", "size": "3"}
        empty = await client.get("product_book?product_id=ETH-BTC")
        assert (empty["pricebook"]["bids"], empty["last"]) == ([], "0")
        assert "mid_market" not in empty

    run(scenario, quiet_venue())


def test_the_best_levels_of_some_products_or_of_all() -> None:
    async def scenario(client: Client) -> None:
        every = (await client.get("best_bid_ask"))["pricebooks"]
        assert names(every, "product_id") == ["BTC-USD", "ETH-BTC", "ETH-USD"]
        one = (await client.get("best_bid_ask?product_ids=BTC-USD"))["pricebooks"]
        assert one[0]["asks"] == [{"price": "101", "size": "50"}]

    run(scenario, quiet_venue())


def test_the_latest_trades_come_first_and_have_the_maker_s_side() -> None:
    async def scenario(client: Client) -> None:
        await client.placed("market_market_ioc", base_size="1")
        await client.placed("market_market_ioc", "SELL", base_size="2")
        answer = await client.get("market/products/BTC-USD/ticker?limit=2", key=None)
        assert names(answer["trades"], "side") == ["BUY", "SELL"]
        assert names(answer["trades"], "size") == ["2", "1"]
        assert (answer["best_bid"], answer["best_ask"]) == ("99", "101")
        times = f"start={START // 1000 + 2}&end={START // 1000 + 2}"
        some = await client.get(f"products/BTC-USD/ticker?{times}")
        assert names(some["trades"], "size") == ["2"]
        none = await client.get("products/ETH-USD/ticker")
        assert none == {"trades": [], "best_bid": "", "best_ask": ""}

    run(scenario, quiet_venue())


def test_candles_come_newest_first_in_seconds() -> None:
    async def scenario(client: Client) -> None:
        client.venue.kept_candles = [candle(START + number * MINUTE_MS, 90) for number in range(3)]
        start = START // 1000
        path = "market/products/BTC-USD/candles?granularity=ONE_MINUTE"
        query = f"{path}&start={start}&end={start + 60}"
        answer = await client.get(query, key=None)
        assert answer["candles"] == [
            {
                "start": str(start + 60),
                "low": "88",
                "high": "92",
                "open": "90",
                "close": "91",
                "volume": "1.5",
            },
            {**answer["candles"][0], "start": str(start)},
        ]
        assert len((await client.get(f"{query}&limit=1", key=None))["candles"]) == 1

    run(scenario, quiet_venue())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("market/products/XXX-USD", 404),
        ("market/product_book?product_id=XXX-USD", 404),
        ("market/product_book", 404),
        ("market/product_book?product_id=BTC-USD&aggregation_price_increment=0", 400),
        ("market/product_book?product_id=BTC-USD&limit=-1", 400),
        ("market/products/BTC-USD/candles?granularity=1m&start=1&end=2", 400),
        ("market/products/BTC-USD/candles?granularity=ONE_DAY", 400),
        ("market/products/BTC-USD/candles?granularity=ONE_DAY&start=2&end=1", 400),
        ("market/products/BTC-USD/candles?granularity=ONE_MINUTE&start=1&end=99999", 400),
        ("market/products/BTC-USD/candles?granularity=ONE_MINUTE&start=1&end=9999999999999", 400),
        ("market/nothing", 404),
        ("", 404),
    ],
)
def test_a_read_that_makes_no_sense_is_answered_in_the_exchange_s_form(
    path: str, status: int
) -> None:
    async def scenario(client: Client) -> None:
        answer = await client.send("GET", f"{V3}/{path}", key=None)
        assert answer.status == status
        assert set(answer.json()) == {"error", "error_details", "message"}

    run(scenario, quiet_venue())


def test_granularities_are_those_of_the_exchange() -> None:
    assert len(GRANULARITIES) == 9
    assert all(milliseconds % MINUTE_MS == 0 for milliseconds in GRANULARITIES.values())


def test_balances_come_in_pages_and_one_by_one() -> None:
    async def scenario(client: Client) -> None:
        everything = (await client.get("accounts"))["accounts"]
        assert names(everything, "currency") == ["BTC", "USD", "ETH"]
        assert names(everything, "type") == [
            "ACCOUNT_TYPE_CRYPTO",
            "ACCOUNT_TYPE_FIAT",
            "ACCOUNT_TYPE_CRYPTO",
        ]
        page = await client.get("accounts?limit=2")
        assert (page["has_next"], page["size"]) == (True, 2)
        rest = await client.get(f"accounts?limit=2&cursor={page['cursor']}")
        assert (rest["has_next"], rest["cursor"]) == (False, "")
        assert page["accounts"] + rest["accounts"] == everything
        one = await client.get(f"accounts/{everything[1]['uuid']}")
        assert one["account"] == everything[1]
        for path in ("accounts/nothing", "accounts?cursor=nothing"):
            answer = await client.send("GET", f"{V3}/{path}")
            assert answer.status in (400, 404)

    run(scenario, quiet_venue())


def test_an_account_that_has_never_had_anything_has_empty_wallets_and_no_orders() -> None:
    async def scenario(client: Client) -> None:
        accounts = (await client.get("accounts", key="bob"))["accounts"]
        assert {each["available_balance"]["value"] for each in accounts} == {"0"}
        for path in ("orders/historical/batch", "orders/historical/batch?order_status=OPEN"):
            assert (await client.get(path, key="bob"))["orders"] == []
        assert (await client.get("orders/historical/fills", key="bob"))["fills"] == []
        assert (await client.get("transaction_summary", key="bob"))["total_volume"] == 0
        body = {
            "client_order_id": "x",
            "product_id": "BTC-USD",
            "side": "BUY",
            "order_configuration": {"market_market_ioc": {"quote_size": "10"}},
        }
        refused = await client.post("orders", body, key="bob")
        assert refused["error_response"]["error"] == "INSUFFICIENT_FUND"
        cancel = await client.post("orders/batch_cancel", {"order_ids": ["x"]}, key="bob")
        assert cancel["results"][0]["success"] is False

    venue = quiet_venue()
    venue.engine = type(venue.engine)(venue.engine.instruments())
    run(scenario, venue)


def test_fees_portfolio_and_permissions_are_those_of_the_key() -> None:
    async def scenario(client: Client) -> None:
        await client.placed("market_market_ioc", base_size="1")
        summary = await client.get("transaction_summary")
        assert (summary["total_volume"], summary["total_fees"]) == (101, 0.606)
        assert summary["fee_tier"]["taker_fee_rate"] == "0.006"
        portfolios = (await client.get("portfolios"))["portfolios"]
        assert names(portfolios, "type") == ["DEFAULT"]
        assert (await client.get("portfolios?portfolio_type=INTX"))["portfolios"] == []
        path = f"portfolios/{portfolios[0]['uuid']}"
        positions = (await client.get(path))["breakdown"]["spot_positions"]
        assert positions[0]["total_balance_crypto"] == "11"
        assert (await client.send("GET", f"{V3}/portfolios/another")).status == 404
        permissions = await client.get("key_permissions", key="reader")
        assert permissions == {
            "can_view": True,
            "can_trade": False,
            "can_transfer": False,
            "portfolio_uuid": portfolios[0]["uuid"],
            "portfolio_type": "DEFAULT",
        }

    run(scenario, quiet_venue())


def test_the_old_api_has_what_clients_ask_for_at_their_start() -> None:
    async def scenario(client: Client) -> None:
        async def data(path: str, key: str | None = None) -> object:
            client.venue.time += 1000
            answer = await client.send("GET", path, key=key)
            assert answer.status == 200
            return answer.json()["data"]

        assert await data("/v2/time") == {
            "iso": "2027-01-15T08:00:01.000Z",
            "epoch": START // 1000 + 1,
        }
        fiat = await data("/v2/currencies")
        assert isinstance(fiat, list)
        assert fiat[0] == {"id": "USD", "name": "US Dollar", "min_size": "0.01"}
        crypto = await data("/v2/currencies/crypto")
        assert isinstance(crypto, list)
        assert names(crypto, "code") == ["BTC", "ETH"]
        rates = await data("/v2/exchange-rates")
        assert rates == {"currency": "USD", "rates": {"USD": "1", "BTC": "0.01"}}
        rates = await data("/v2/exchange-rates?currency=BTC")
        assert rates == {"currency": "BTC", "rates": {"BTC": "1", "USD": "100"}}
        wallets = await data("/v2/accounts?limit=250", key="ed")
        assert isinstance(wallets, list)
        assert wallets[0]["balance"] == {"amount": "10", "currency": "BTC"}
        unknown = await client.send("GET", "/v2/user", key=None)
        assert (unknown.status, unknown.json()["errors"][0]["id"]) == (404, "not_found")

    run(scenario, quiet_venue())
