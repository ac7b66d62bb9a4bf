"""What each strategy does, on the matching engine, with the runtime that runs it in a pod."""

import asyncio
from decimal import Decimal
from typing import ClassVar

import pytest
from bots import START, RunningBot
from trading_world import D, World
from tradingbot_exchange.engine.types import Side
from tradingbot_strategies.catalog import ParametersError, strategy
from tradingbot_strategies.orders import OrderState

MINUTE = 60_000


def world(seed: int = 1) -> World:
    """Return a world whose prices are those of the test, with much at each."""
    made = World(seed, start=START, volatility=0, apart=0)
    for symbol, price in (("BTC-USDT", "60000"), ("ETH-USDT", "3000"), ("ETH-BTC", "0.05")):
        made.price(symbol, price)
    return made


class TestArbitrage:
    PARAMETERS: ClassVar = {"minProfitThreshold": "0.002", "orderSize": "600", "cooldown": "10s"}

    def test_takes_a_cycle_that_is_worth_it_and_ends_without_a_middle_currency(self) -> None:
        bot = RunningBot(world(), "Arbitrage", self.PARAMETERS)
        bot.world.price("ETH-BTC", "0.0490")  # 2 % too low: buy ETH with BTC
        bot.wait()

        assert [(f.symbol, f.side) for f in bot.fills()] == [
            ("BTC-USDT", Side.BUY),
            ("ETH-BTC", Side.BUY),
            ("ETH-USDT", Side.SELL),
        ]
        assert bot.held("USDT") > 10_005
        assert bot.held("BTC") * 60_000 < 5
        assert bot.held("ETH") * 3000 < 5

    def test_goes_the_other_way_round_too(self) -> None:
        bot = RunningBot(world(), "Arbitrage", self.PARAMETERS)
        bot.world.price("ETH-BTC", "0.0510")
        bot.wait()

        assert [f.symbol for f in bot.fills()] == ["ETH-USDT", "ETH-BTC", "BTC-USDT"]
        assert bot.held("USDT") > 10_005

    @pytest.mark.parametrize("cross", ["0.05", "0.04985", "0.05015"])
    def test_leaves_everything_else_alone(self, cross: str) -> None:
        bot = RunningBot(world(), "Arbitrage", self.PARAMETERS)
        bot.world.price("ETH-BTC", cross)
        bot.wait()

        assert bot.fills() == []

    def test_uses_no_more_than_is_there_at_the_best_prices(self) -> None:
        bot = RunningBot(world(), "Arbitrage", self.PARAMETERS)
        bot.world.price("ETH-BTC", "0.0490", size="0.05")
        bot.wait()

        assert sum(f.quantity for f in bot.fills() if f.symbol == "ETH-BTC") <= D("0.05")

    def test_trades_back_if_the_second_market_has_moved_away(self) -> None:
        bot = RunningBot(world(), "Arbitrage", self.PARAMETERS)
        bot.world.price("ETH-BTC", "0.0490")
        submit = bot.account.submit

        def first_trade_then_move(order: object) -> None:
            submit(order)  # type: ignore[arg-type]
            bot.account.submit = submit  # type: ignore[method-assign]
            bot.world.price("ETH-BTC", "0.0510")

        bot.account.submit = first_trade_then_move  # type: ignore[method-assign,assignment]
        bot.wait()

        assert [f.symbol for f in bot.fills()] == ["BTC-USDT", "BTC-USDT"]
        assert bot.held("BTC") * 60_000 < 5

    def test_a_cycle_goes_on_after_a_restart(self) -> None:
        bot = RunningBot(world(), "Arbitrage", self.PARAMETERS)
        bot.world.price("ETH-BTC", "0.0490")
        submit = bot.account.submit

        def killed_afterwards(order: object) -> None:
            submit(order)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        bot.account.submit = killed_afterwards  # type: ignore[method-assign,assignment]
        with pytest.raises(KeyboardInterrupt):
            bot.wait()
        bot.account.submit = submit  # type: ignore[method-assign]
        assert bot.held("BTC") > 0
        bot.restart()
        bot.wait()

        assert bot.held("BTC") * 60_000 < 5
        assert bot.held("ETH") * 3000 < 5


class TestMarketMaking:
    PARAMETERS: ClassVar = {
        "symbol": "BTC-USDT",
        "spread": "0.002",
        "orderSize": "120",
        "maxInventory": "300",
        "inventorySkew": "0",
        "requoteInterval": "1s",
    }

    def test_begins_with_a_bid_and_quotes_both_sides_once_it_holds_something(self) -> None:
        bot = RunningBot(world(), "MarketMaking", self.PARAMETERS)
        assert bot.prices(Side.BUY) == [D("59940")]
        assert bot.prices(Side.SELL) == []

        bot.world.price("BTC-USDT", "59900")  # the ask crosses the bid
        bot.wait()
        bot.wait(2000)

        middle = D("59900")
        assert [round(p / middle, 4) for p in bot.prices(Side.BUY)] == [D("0.999")]
        assert round(bot.prices(Side.SELL)[-1] / middle, 4) == D("1.001")

    def test_buys_no_more_than_its_inventory_limit_in_a_falling_market(self) -> None:
        bot = RunningBot(world(), "MarketMaking", self.PARAMETERS)
        for price in range(59800, 55000, -200):
            bot.world.price("BTC-USDT", str(price))
            bot.wait(2000)
            assert bot.held("BTC") * price <= 300
        assert bot.prices(Side.BUY) == [] or bot.held("BTC") * 55000 < 240

    def test_sells_no_more_than_its_lower_inventory_limit_allows(self) -> None:
        bot = RunningBot(world(), "MarketMaking", {**self.PARAMETERS, "minInventory": "100"})
        for price in (59800, 59600, 59900, 60300, 60800, 61300):
            bot.world.price("BTC-USDT", str(price))
            bot.wait(2000)

        assert bot.held("BTC") * 61300 >= 100

    def test_leaves_an_order_that_is_near_enough(self) -> None:
        bot = RunningBot(world(), "MarketMaking", self.PARAMETERS)
        (before,) = bot.account.open_orders("BTC-USDT")
        bot.world.price("BTC-USDT", "60010")
        bot.wait(5000)

        assert bot.account.open_orders("BTC-USDT") == [before]

    def test_both_sides_move_down_when_it_holds_much(self) -> None:
        prices = {}
        for skew in ("0", "1"):
            bot = RunningBot(world(), "MarketMaking", {**self.PARAMETERS, "inventorySkew": skew})
            for price in ("59800", "59600", "59600"):
                bot.world.price("BTC-USDT", price)
                bot.wait(2000)
            prices[skew] = bot.prices(Side.SELL)[-1]
        assert prices["1"] < prices["0"]


class TestGrid:
    PARAMETERS: ClassVar = {
        "symbol": "BTC-USDT",
        "lowerPrice": "58000",
        "upperPrice": "62000",
        "levels": "5",
        "spacing": "Arithmetic",
        "orderSize": "300",
    }

    def test_buys_below_the_price_and_sells_one_level_higher(self) -> None:
        bot = RunningBot(world(), "Grid", self.PARAMETERS)
        assert bot.prices(Side.BUY) == [D(60000), D(59000), D(58000)]
        bot.world.price("BTC-USDT", "59500")
        bot.wait()
        assert bot.prices(Side.BUY) == [D(59000), D(58000)]
        assert bot.prices(Side.SELL) == [D(61000)]
        bot.world.price("BTC-USDT", "61200")
        bot.wait()

        assert [(f.side, f.price) for f in bot.fills()] == [
            (Side.BUY, D(60000)),
            (Side.SELL, D(61000)),
        ]
        assert bot.prices(Side.BUY) == [D(61000), D(60000), D(59000), D(58000)]

    def test_keeps_its_levels_through_partial_fills(self) -> None:
        bot = RunningBot(world(), "Grid", self.PARAMETERS)
        for size in ("0.0005", "0.0011", "0.0002"):
            bot.world.price("BTC-USDT", "59980", size=size)
            bot.turn()
        bot.world.price("BTC-USDT", "60500")
        bot.wait()
        bought = sum((f.quantity for f in bot.fills()), D(0))
        assert D(0) < bought < D("0.005")
        assert bot.prices(Side.BUY) == [D(60000), D(59000), D(58000)]
        in_book = {o.price: o.remaining for o in bot.account.open_orders("BTC-USDT")}
        assert in_book[D(60000)] + bought == D("0.005")
        assert in_book[D(61000)] == bot.held("BTC") // D("0.00001") * D("0.00001")

    def test_a_restart_changes_no_level(self) -> None:
        bot = RunningBot(world(), "Grid", self.PARAMETERS)
        bot.world.price("BTC-USDT", "58900")
        bot.wait()
        before = bot.account.open_orders("BTC-USDT")
        assert {order.side for order in before} == set(Side)
        bot.restart()
        bot.wait()
        bot.wait(11_000)

        assert bot.account.open_orders("BTC-USDT") == before

    def test_each_sale_in_the_book_carries_a_stop(self) -> None:
        bot = RunningBot(world(), "Grid", self.PARAMETERS, stopLossPercentage="3")
        bot.world.price("BTC-USDT", "59500")
        bot.wait()
        (sale,) = [o for o in bot.account.open_orders("BTC-USDT") if o.side is Side.SELL]

        assert sale.stop_price == D("58200")


class TestTrendFollowing:
    PARAMETERS: ClassVar = {
        "symbol": "BTC-USDT",
        "candleInterval": "1m",
        "fastPeriod": "1",
        "slowPeriod": "3",
        "orderSize": "600",
    }

    @pytest.mark.parametrize("average", ["Simple", "Exponential"])
    def test_enters_and_exits_on_crossovers_only(self, average: str) -> None:
        bot = RunningBot(world(), "TrendFollowing", {**self.PARAMETERS, "average": average})
        prices = [60000, 60000, 60000, 61000, 62000, 62500, 60500, 60000, 61500, 61600, 59000]
        trades: list[tuple[int, Side]] = []
        seen = 0
        for minute, price in enumerate(prices):
            bot.world.price("BTC-USDT", str(price))
            bot.wait(MINUTE)
            for _ in range(3):
                bot.wait(1000)
            trades += [(minute, fill.side) for fill in bot.fills()[seen:]]
            seen = len(bot.fills())

        assert trades == [(3, Side.BUY), (6, Side.SELL), (8, Side.BUY), (10, Side.SELL)]

    def test_does_not_buy_again_after_a_stop_loss_in_the_same_candle(self) -> None:
        bot = RunningBot(world(), "TrendFollowing", self.PARAMETERS, stopLossPercentage="2")
        bot.world.price("BTC-USDT", "61000")
        bot.wait(MINUTE)
        bot.world.price("BTC-USDT", "59000")
        bot.wait(1000)
        bot.world.price("BTC-USDT", "61000")
        bot.wait(1000)
        bot.wait(1000)

        assert [fill.side for fill in bot.fills()] == [Side.BUY, Side.SELL]


class TestDca:
    PARAMETERS: ClassVar = {
        "symbol": "BTC-USDT",
        "interval": "10m",
        "amountPerBuy": "30",
        "maxTotal": "100",
    }

    def spent(self, bot: RunningBot) -> list[Decimal]:
        return [fill.quote_quantity for fill in bot.fills()]

    def test_buys_on_its_schedule_and_no_more(self) -> None:
        bot = RunningBot(world(), "DCA", self.PARAMETERS)
        for _ in range(3 * 25):  # 25 minutes
            bot.wait(20_000)

        assert len(self.spent(bot)) == 3  # the one that was due, and two more
        assert all(D(25) < spent <= D(30) for spent in self.spent(bot))

    def test_a_restart_neither_repeats_nor_moves_a_buy(self) -> None:
        bot = RunningBot(world(), "DCA", self.PARAMETERS)
        for _ in range(2 * 12):
            bot.restart()
            bot.wait(30_000)

        assert len(self.spent(bot)) == 2

    def test_spends_no_more_than_its_total(self) -> None:
        bot = RunningBot(world(), "DCA", self.PARAMETERS)
        for _ in range(8):
            bot.wait(10 * MINUTE)

        assert D(95) < sum(self.spent(bot)) <= D(100)

    def test_leaves_a_buy_out_while_the_price_is_too_high(self) -> None:
        bot = RunningBot(world(), "DCA", {**self.PARAMETERS, "maxPrice": "59000"})
        bot.wait(10 * MINUTE)
        assert self.spent(bot) == []
        bot.world.price("BTC-USDT", "58000")
        bot.wait(10 * MINUTE)

        assert len(self.spent(bot)) == 1


def test_wrong_parameters_are_listed_with_their_paths() -> None:
    with pytest.raises(ParametersError) as caught:
        strategy("Grid", {"symbol": "BTC/USDT", "levles": "3"})

    text = str(caught.value)
    for part in ("parameters[symbol]", 'write "BTC-USDT"', "[lowerPrice]: Required", "levles"):
        assert part in text


class TestRaces:
    """What the exchange does between two calls of the bot."""

    def test_no_entry_is_sent_until_those_of_the_process_before_have_arrived(self) -> None:
        bot = RunningBot(world(), "Grid", TestGrid.PARAMETERS)
        for order in bot.account.open_orders("BTC-USDT"):
            asyncio.run(bot.exchange.cancel(order))
        bot.restart()
        bot.wait(9_000)
        assert bot.prices(Side.BUY) == []
        bot.wait(2_000)

        assert bot.prices(Side.BUY) != []

    def test_an_order_that_was_filled_before_its_cancel_is_not_replaced_at_once(self) -> None:
        bot = RunningBot(world(), "MarketMaking", TestMarketMaking.PARAMETERS)
        cancel = bot.account.cancel

        def filled_meanwhile(order: OrderState) -> OrderState:
            return cancel(order)._replace(filled=order.filled + D("0.001"))

        bot.account.cancel = filled_meanwhile  # type: ignore[method-assign]
        bot.world.price("BTC-USDT", "60400")
        bot.world.pass_time(2000)
        bot.turn()
        assert bot.prices(Side.BUY) == []
        bot.turn()

        assert bot.prices(Side.BUY) != []
