"""A bot over HTTP on the simulated Binance and Coinbase: orders, brackets, restarts, statements."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from bots import Halts, config_of
from exchange_clients import KEY, SECRET, BinanceClient, CoinbaseClient
from tradingbot_exchange.assembly import Choices, simulated_venue
from tradingbot_exchange.binance.app import application as binance_app
from tradingbot_exchange.coinbase.app import application as coinbase_app
from tradingbot_exchange.engine.types import Side
from tradingbot_exchange.market.symbols import DialectName
from tradingbot_exchange.simulated import SimulatedVenue
from tradingbot_exchange.venue import ApiKey, Venue
from tradingbot_strategies.binance import Binance
from tradingbot_strategies.calls import Calls
from tradingbot_strategies.catalog import strategy
from tradingbot_strategies.coinbase import Coinbase
from tradingbot_strategies.exchange import NotAcceptedError
from tradingbot_strategies.orders import ClientIds, NewCover, NewOrder, Role
from tradingbot_strategies.records import Records
from tradingbot_strategies.trader import Trader
from tradingbot_strategies.view import Style

D = Decimal
START = 1_800_000_000_000
DIALECTS: dict[DialectName, tuple[Callable[[Venue], web.Application], Any, Any]] = {
    DialectName.BINANCE: (binance_app, BinanceClient, Binance),
    DialectName.COINBASE: (coinbase_app, CoinbaseClient, Coinbase),
}


@dataclass
class Lab:
    """A simulated exchange, a connection to it, and a clock that the test moves."""

    dialect: DialectName
    money: str
    now: int = START
    venue: SimulatedVenue = field(init=False)
    exchange: Any = field(init=False)
    calls: Calls = field(init=False)

    @property
    def symbol(self) -> str:
        return f"BTC-{self.money}"

    def pass_time(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.venue.advance()


@asynccontextmanager
async def lab(dialect: DialectName) -> AsyncIterator[Lab]:
    made = Lab(dialect, "USDT" if dialect is DialectName.BINANCE else "USD")
    made.venue = simulated_venue(
        Choices(dialect=dialect, seed=5, balances={made.money: D(10_000)}),
        keys=[ApiKey(name=KEY, account="alice", secret=SECRET)],
        wall=lambda: made.now,
    )
    app, client, adapter = DIALECTS[dialect]
    async with TestServer(app(made.venue)) as server, ClientSession() as session:
        root = str(server.make_url("")).rstrip("/")
        made.calls = Calls(client(session, root, lambda: made.now))
        made.exchange = adapter(made.calls, clock=lambda: made.now, has_keys=True)
        yield made


def on(dialect: DialectName, test: Callable[[Lab], Awaitable[None]]) -> None:
    async def run() -> None:
        async with lab(dialect) as made:
            await test(made)

    asyncio.run(run())


def statement(made: Lab) -> tuple[Decimal, Decimal]:
    """Return equity less deposits, and the coins, out of the engine's fills."""
    money, coins = D(0), D(0)
    for fill in made.venue.engine.fills("alice"):
        sign = 1 if fill.side is Side.BUY else -1
        money -= sign * fill.quote_quantity
        coins += sign * fill.quantity
        if fill.fee_asset == made.money:
            money -= fill.fee
        else:
            coins -= fill.fee
    return money, coins


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_market_maker_reports_what_the_exchange_has_recorded(dialect: DialectName) -> None:
    async def test(made: Lab) -> None:
        config = config_of(
            "MarketMaking",
            {
                "symbol": made.symbol,
                "spread": "0.0004",
                "requoteTolerance": "0.0001",
                "requoteInterval": "1s",
                "levels": "2",
            },
        )
        chosen = strategy(config.strategy.type, config.strategy.parameters)
        for _ in range(3):  # three processes, of which two are killed
            trader = Trader(
                made.exchange, chosen, config,
                halts=Halts(), started=made.now, clock=lambda: made.now,
            )  # fmt: skip
            await trader.start()
            made.pass_time(11_000)
            for _ in range(12):
                money, coins = statement(made)
                await trader.turn()
                made.pass_time(1_500)
                assert trader.report is not None
                # An order of this turn may have been filled since the statement.
                if statement(made) == (money, coins):
                    bid = trader._quotes[made.symbol].bid
                    assert trader.report.day_pnl == (money + coins * bid).quantize(D("1e-8"))
        assert len(made.venue.engine.fills("alice")) > 4
        await trader.stop()
        sides = {order.side for order in await made.exchange.open_orders(made.symbol)}
        assert Side.BUY not in sides
        covered = sum((o.remaining for o in await made.exchange.open_orders(made.symbol)), D(0))
        (market,) = (await made.exchange.markets([made.symbol])).values()
        assert covered == market.quantity_down(statement(made)[1])

    on(dialect, test)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_protective_order_is_found_and_cancelled_as_one(dialect: DialectName) -> None:
    async def test(made: Lab) -> None:
        symbol, exchange = made.symbol, made.exchange
        quote = (await exchange.quotes([symbol]))[symbol]
        await exchange.submit(
            NewOrder(
                client_id="tb0123456789-e-1-1", symbol=symbol, side=Side.BUY, quantity=D("0.01"),
                price=quote.ask, style=Style.TAKE,
            )
        )  # fmt: skip
        (bought,) = await exchange.fills(symbol, 0)
        assert await exchange.fills(symbol, bought.number) == []
        order = await exchange.find(symbol, "tb0123456789-e-1-1")
        assert order == await exchange.order(symbol, bought.order_id)
        assert (order.open, order.filled) == (False, D("0.01"))

        cover = NewCover(
            client_id="tb0123456789-c-1-2", symbol=symbol, quantity=D("0.009"),
            price=D("66000"), stop_price=D("54000"),
        )  # fmt: skip
        await exchange.protect(cover)
        (open_order,) = await exchange.open_orders(symbol)
        assert (open_order.price, open_order.stop_price) == (D(66000), D(54000))
        assert open_order.remaining == D("0.009")
        found = await exchange.find(symbol, cover.client_id)
        assert found is not None
        assert found.order_ids == open_order.order_ids

        ended = await exchange.cancel(open_order)
        assert (ended.open, ended.filled) == (False, D(0))
        assert await exchange.open_orders(symbol) == []
        with pytest.raises(NotAcceptedError):
            await exchange.cancel(open_order)
        assert await exchange.find(symbol, "tb0123456789-e-1-9") is None
        assert await exchange.find(symbol, "tb0123456789-c-1-9") is None

    on(dialect, test)


def test_what_the_bots_own_gateway_has_sold_is_no_position_any_more() -> None:
    async def test(made: Lab) -> None:
        ids = ClientIds("trading", "bot", started=START)
        (market,) = (await made.exchange.markets([made.symbol])).values()
        records = Records(made.exchange, ids, {made.symbol: market}, made.money)
        await records.load()

        async def trade(client_id: str, side: Side, quantity: str, **more: str) -> Decimal:
            request = {"symbol": "BTCUSDT", "side": side.value, "type": "MARKET"}
            request |= {"quantity": quantity, "newClientOrderId": client_id, **more}
            await made.calls.write("private_post_order", request)
            records.distrust(made.symbol)
            await records.refresh(made.now)
            return records.account.positions()["BTC"].quantity

        held = await trade(ids.new(Role.ENTRY, "B0"), Side.BUY, "0.01")
        assert await trade("tbgw-1-0-1", Side.SELL, "0.004") == held - D("0.004")
        # That of another bot on the account has a tag.
        assert await trade("tbgw-2-0-1", Side.SELL, "0.001", strategyId="7") == held - D("0.004")

    on(DialectName.BINANCE, test)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_number_of_an_order_can_be_found(dialect: DialectName) -> None:
    """Numbers have the letters that roles have: the twelfth one is `c`, as in a cover."""

    async def test(made: Lab) -> None:
        quote = (await made.exchange.quotes([made.symbol]))[made.symbol]
        ids = ClientIds("default", "bot", started=1)
        for client_id in [ids.new(Role.ENTRY) for _ in range(13)]:
            order = NewOrder(
                client_id=client_id, symbol=made.symbol, side=Side.BUY, quantity=D("0.001"),
                price=quote.ask, style=Style.TAKE,
            )  # fmt: skip
            await made.exchange.submit(order)
            found = await made.exchange.find(made.symbol, client_id)
            assert found is not None, client_id
            assert found.client_id == client_id

    on(dialect, test)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_market_data_has_no_open_candle(dialect: DialectName) -> None:
    async def test(made: Lab) -> None:
        made.pass_time(90_000)
        closes = await made.exchange.closes(made.symbol, "1m", 400)
        assert len(closes.prices) == 400
        assert closes.last_start + 60_000 <= made.now < closes.last_start + 120_000
        assert await made.exchange.price_at(made.symbol, made.now) == closes.prices[-1]
        markets = await made.exchange.markets([made.symbol, "BTC-DOGE"])
        assert list(markets) == [made.symbol]
        assert markets[made.symbol].taker_fee in {D("0.001"), D("0.006")}

    on(dialect, test)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refusal_is_told_apart_from_an_unknown_outcome(dialect: DialectName) -> None:
    async def test(made: Lab) -> None:
        too_much = NewOrder(
            client_id="tb0123456789-e-1-1", symbol=made.symbol, side=Side.SELL, quantity=D(1),
            price=None, style=Style.AT_MARKET,
        )  # fmt: skip
        with pytest.raises(NotAcceptedError):
            await made.exchange.submit(too_much)

    on(dialect, test)
