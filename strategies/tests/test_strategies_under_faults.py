"""Every strategy, on 200 markets, over a connection that fails in every way.

Checked against the matching engine's own records, with nothing of the trader's book-keeping: no
order is sent that could exceed a limit of bot.json, and each report equals the account's statement
to the last digit. Traders are killed in the middle of calls and started again throughout.
"""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from trading_world import D, Faulty, Killed, World, account_in, positions
from tradingbot_api.contract import BotConfig, RiskReport
from tradingbot_api.trading_day import begin, calendar_day
from tradingbot_exchange.engine.types import Side
from tradingbot_strategies.catalog import TYPES, strategy
from tradingbot_strategies.exchange import UnavailableError
from tradingbot_strategies.limits import Limits
from tradingbot_strategies.local import BOT
from tradingbot_strategies.orders import NewOrder
from tradingbot_strategies.trader import Trader

SEEDS = 200
TURNS = 16
MIDNIGHT_IN_BERLIN = 1_767_222_000_000
UNIT = D("0.00000001")

PARAMETERS = {
    "Arbitrage": {"minProfitThreshold": "0.001", "cooldown": "0s", "orderSize": "150"},
    "MarketMaking": {
        "symbol": "BTC-USDT", "maxInventory": "250", "levels": "2", "requoteInterval": "1s",
        "orderSize": "60",
    },
    "Grid": {
        "symbol": "BTC-USDT", "lowerPrice": "54000", "upperPrice": "66000", "levels": "25",
        "orderSize": "40",
    },
    "TrendFollowing": {
        "symbol": "BTC-USDT", "candleInterval": "1m", "fastPeriod": "1", "slowPeriod": "3",
    },
    "DCA": {"symbol": "BTC-USDT", "interval": "1m", "amountPerBuy": "30"},
}  # fmt: skip


def config_of(strategy_type: str, parameters: dict[str, str], **risk: object) -> BotConfig:
    return BotConfig.model_validate(
        {
            "schemaVersion": "v1",
            "namespace": "trading",
            "name": "bot",
            "strategy": {
                "type": strategy_type,
                "image": "strategies:1",
                "parameters": parameters,
            },
            "exchange": {"name": "Binance"},
            "mode": "Paper",
            "risk": {
                "maxPositionSize": "200",
                "dailyLossLimit": "1",
                "stopLossPercentage": "1.5",
                "takeProfitPercentage": "2",
                "maxOpenPositions": 1,
                **risk,
            },
            "schedule": {"timeZone": "Europe/Berlin", "dayStart": "00:00"},
            "configHash": "abc",
        }
    )


class Halts:
    def __init__(self) -> None:
        self.day = ""

    def load(self) -> str:
        return self.day

    def save(self, day: str) -> None:
        self.day = day


class Judge:
    """Knows the exchange's records and bot.json, and nothing of the trader."""

    def __init__(self, world: World, config: BotConfig) -> None:
        self.world, self.config, self.limits = world, config, Limits.of(config.risk)
        self.account = account_in(world)
        self.faulty = Faulty(
            self.account,
            world,
            rate=0.12,
            before_sending=self.judge_order,
            after_looking=self.take_statement,
        )
        self.statement: dict[str, object] = {}
        self.lost_on = ""
        """The day on which a report has shown the daily loss limit."""
        self.entries = 0

    def judge_order(self, order: NewOrder) -> None:
        """Check an order that is about to be sent against every limit."""
        base, quote = order.symbol.split("-")
        target = base if order.side is Side.BUY else quote
        if target == "USDT":
            return
        self.entries += 1
        assert self.today().isoformat() != self.lost_on, "an entry after the daily loss limit"
        held = positions(self.account.account)
        opened = {asset for asset, quantity in held.items() if self.counts(asset, quantity)}
        spent = quote if order.side is Side.BUY else base
        if spent in held:
            used = order.quantity * (order.price or D(0) if order.side is Side.BUY else D(1))
            if not self.counts(spent, held[spent] - used):
                opened.discard(spent)
        worst = held.get(target, D(0)) * self.world.quotes[f"{target}-USDT"].bid
        for pending in [order, *(late for _, late in self.faulty.on_the_way)]:
            worst += self.entry_value(pending.symbol, pending.side, pending.quantity, pending.price)
        for open_order in self.account.account.open_orders(f"{target}-USDT"):
            worst += self.entry_value(
                open_order.symbol, open_order.side, open_order.remaining, open_order.price
            )
        assert worst <= self.limits.max_position_size
        assert len(opened | {target}) <= self.limits.max_open_positions

    def entry_value(
        self, symbol: str, side: Side, quantity: Decimal, price: Decimal | None
    ) -> Decimal:
        base, quote = symbol.split("-")
        if quote == "USDT":
            return quantity * (price or D(0)) if side is Side.BUY else D(0)
        received = quantity if side is Side.BUY else quantity * (price or D(0))
        return received * self.world.quotes[f"{base if side is Side.BUY else quote}-USDT"].bid

    def counts(self, asset: str, quantity: Decimal) -> bool:
        market = self.world.markets[f"{asset}-USDT"]
        sellable = quantity // market.lot * market.lot
        return sellable * self.world.quotes[f"{asset}-USDT"].bid >= market.min_notional

    def today(self) -> object:
        moment = datetime.fromtimestamp(self.world.now / 1000, UTC)
        return calendar_day(self.config.schedule, moment).date

    def take_statement(self) -> None:
        """Compute the report from the exchange's records."""
        day = self.today()
        start = int(begin(self.config.schedule, day).timestamp() * 1000)  # type: ignore[arg-type]
        pnl, before = D(0), dict[str, Decimal]()
        for fill in self.account.account.engine.fills(BOT):
            base, quote = fill.symbol.split("-")
            sign = 1 if fill.side is Side.BUY else -1
            flows = ((base, sign * fill.quantity), (quote, -sign * fill.quote_quantity))
            for asset, change in (*flows, (fill.fee_asset, -fill.fee)):
                if asset == "USDT":
                    pnl += change if fill.time >= start else 0
                elif fill.time < start:
                    before[asset] = before.get(asset, D(0)) + change
        held = positions(self.account.account)
        bids = {asset: self.world.quotes[f"{asset}-USDT"].bid for asset in held}
        pnl += sum((held[asset] * bids[asset] for asset in held), D(0))
        pnl -= sum((q * self.world.at(f"{asset}-USDT", start) for asset, q in before.items()), D(0))
        self.statement = {
            "trading_day": day,
            "day_pnl": pnl.quantize(UNIT),
            "open_positions": sum(self.counts(asset, q) for asset, q in held.items()),
            "exposure": sum((held[a] * bids[a] for a in held), D(0)).quantize(UNIT),
        }

    def judge_report(self, report: RiskReport) -> None:
        shown = {name: getattr(report, name) for name in self.statement}
        assert shown == self.statement
        if report.day_pnl <= -self.limits.daily_loss_limit:
            self.lost_on = report.trading_day.isoformat()


async def trade(judge: Judge, strategy_type: str) -> int:
    """Run a bot for a while, and start it again whenever it is killed. Return the reports."""
    world, halts = judge.world, Halts()
    chosen = strategy(strategy_type, PARAMETERS[strategy_type])
    reports, trader = 0, None
    for _ in range(TURNS):
        try:
            if trader is None or world.random.random() < 0.05:
                trader = Trader(
                    judge.faulty, chosen, judge.config,
                    halts=halts, started=world.now, clock=lambda: world.now,
                )  # fmt: skip
                await trader.start()
            for _ in range(4):
                again = await trader.turn()
                assert trader.report is not None
                judge.judge_report(trader.report)
                reports += 1
                if not again:
                    break
        except Killed:
            trader = None
        except UnavailableError:
            assert trader is None or trader.report is None
        world.step(world.random.choice([1_000, 4_000, 15_000, 60_000]))
        judge.faulty.deliver()
    return reports


@pytest.mark.parametrize("strategy_type", TYPES)
def test_no_limit_is_exceeded_and_every_report_equals_the_statement(strategy_type: str) -> None:
    reports = entries = losses = 0
    for seed in range(SEEDS):
        # Midnight is some minutes ahead: about half of the runs see two trading days.
        start = MIDNIGHT_IN_BERLIN - 120_000 - seed * 2_000
        world = World(seed, start=start, apart=0.015)
        config = config_of(strategy_type, PARAMETERS[strategy_type])
        judge = Judge(world, config)
        try:
            reports += asyncio.run(trade(judge, strategy_type))
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
        entries += judge.entries
        losses += bool(judge.lost_on)

    assert reports > SEEDS * TURNS / 3
    assert entries > SEEDS / 2
    if strategy_type in {"MarketMaking", "Grid", "TrendFollowing"}:
        assert losses > 0
