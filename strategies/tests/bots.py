"""A bot on the matching engine, over a connection that works."""

import asyncio
from decimal import Decimal

from trading_world import D, MemoryStore, World, account_in
from tradingbot_api.contract import BotConfig
from tradingbot_exchange.engine.types import Fill, Side
from tradingbot_strategies.catalog import strategy
from tradingbot_strategies.local import BOT, LocalAccount
from tradingbot_strategies.trader import Trader

START = 1_767_000_000_000
"""A full minute."""


def config_of(strategy_type: str, parameters: dict[str, str], **risk: object) -> BotConfig:
    """Return a bot.json. `risk` replaces limits."""
    return BotConfig.model_validate(
        {
            "schemaVersion": "v1",
            "namespace": "trading",
            "name": "bot",
            "strategy": {"type": strategy_type, "image": "s:1", "parameters": parameters},
            "exchange": {"name": "Binance"},
            "mode": "Paper",
            "risk": {
                "maxPositionSize": "5000",
                "dailyLossLimit": "1000",
                "stopLossPercentage": "20",
                "takeProfitPercentage": "30",
                "maxOpenPositions": 1,
                **risk,
            },
            "schedule": {"timeZone": "UTC", "dayStart": "00:00"},
            "configHash": "abc",
        }
    )


class Halts:
    """A store of the halted day."""

    def __init__(self) -> None:
        self.day = ""

    def load(self) -> str:
        return self.day

    def save(self, day: str) -> None:
        self.day = day


class RunningBot:
    """A trader at a world's prices. `wait` lets time pass, with as many turns as it wants."""

    def __init__(
        self, world: World, strategy_type: str, parameters: dict[str, str], **risk: object
    ) -> None:
        self.world = world
        self.config = config_of(strategy_type, parameters, **risk)
        self.exchange = account_in(world, store=MemoryStore())
        self.halts = Halts()
        self.trader = self.restart()
        self.wait(11_000)  # no entries so shortly after a start

    def restart(self) -> Trader:
        """Begin again, as after a kill: the account goes on."""
        chosen = strategy(self.config.strategy.type, self.config.strategy.parameters)
        self.trader = Trader(
            self.exchange,
            chosen,
            self.config,
            halts=self.halts,
            started=self.world.now,
            clock=lambda: self.world.now,
        )
        asyncio.run(self.trader.start())
        return self.trader

    def wait(self, milliseconds: int = 1000) -> None:
        """Let time pass at the same prices, then do turns until nothing is to be done."""
        self.world.pass_time(milliseconds)
        for _ in range(8):
            if not asyncio.run(self.trader.turn()):
                return
        raise AssertionError("the bot does not come to rest")

    def turn(self) -> None:
        """Let a second pass, and do one turn."""
        self.world.pass_time(1000)
        asyncio.run(self.trader.turn())

    @property
    def account(self) -> LocalAccount:
        return self.exchange.account

    def fills(self) -> list[Fill]:
        return self.account.engine.fills(BOT)

    def held(self, asset: str) -> Decimal:
        """Return the balance of an asset, held or not."""
        balance = self.account.engine.balances(BOT).get(asset)
        return D(0) if balance is None else balance.free + balance.held

    def prices(self, side: Side, symbol: str = "BTC-USDT") -> list[Decimal]:
        """Return the prices of the orders in the book, the highest first."""
        orders = self.account.open_orders(symbol)
        return sorted((o.price for o in orders if o.side is side and o.price), reverse=True)
