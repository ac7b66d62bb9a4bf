"""freqtrade trades live through the gateway: entry, stop at the exchange, exit."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Served, serve_behind_gateway

FREQTRADE = Path(__file__).parents[2] / "exchange" / "clients" / "freqtrade" / "conftest.py"


def loaded(name: str, path: Path) -> Any:
    """Load the harness of freqtrade's own suite, which is a `conftest` as well."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


harness = loaded("freqtrade_harness", FREQTRADE)


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Served]:
    placeholder = {"name": harness.KEY, "secret": harness.SECRET}
    with serve_behind_gateway(
        tmp_path, placeholder=placeholder, balances="USDT=10000", risk={}
    ) as served:
        yield served


@pytest.fixture
def bot(market: Served, tmp_path: Path) -> Iterator[Any]:
    bot = harness.Freqtrade(market, tmp_path)
    bot.start()
    yield bot
    if bot.process is not None:
        bot.process.kill()
        bot.process.wait(timeout=60)


def enter(bot: Any, market: Served) -> None:
    """Open a trade, and wait until the bot's stop alone rests at the exchange."""
    bot.tell("enter")
    bot.until(lambda: market.fills("BUY"))
    bot.tell("")
    bot.until(lambda: bot.orders("stoploss") and market.statement()["openOrders"] == 1)


def test_a_trade_is_entered_stopped_at_the_exchange_and_exited(bot: Any, market: Served) -> None:
    enter(bot, market)
    assert len(bot.orders("stoploss")) == 1
    bot.tell("exit")
    bot.until(lambda: not bot.trades()[-1]["is_open"])
    assert bot.trades()[-1]["exit_reason"] == "exit_signal"
    bot.until(lambda: market.statement()["openOrders"] == 0)


def test_an_entry_whose_answer_is_lost_is_not_entered_twice(bot: Any, market: Served) -> None:
    """Without the gateway, freqtrade enters again with a new id: that entry waits here."""
    market.add_fault(type="lose-answer", match="POST /api/v3/order")
    bot.tell("enter")
    bot.until(lambda: market.fills("BUY"))
    # It is protected, though the bot does not know of it.
    bot.until(lambda: market.statement()["openOrders"] == 2)
    bot.until(lambda: "maxPositionSize" in bot.log() or len(bot.trades()) == 1)
    bot.tell("")
    worth = sum(float(f["price"]) * float(f["quantity"]) for f in market.fills("BUY"))
    assert worth <= 2000
