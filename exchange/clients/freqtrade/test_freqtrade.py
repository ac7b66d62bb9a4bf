"""freqtrade trades live on a simulated Binance. Its trades are compared with the statement."""

from decimal import Decimal
from typing import Any

import pytest
from served import Served

from conftest import Freqtrade

ENDED_BY_SIGNAL = 130
"""The exit code of freqtrade after SIGTERM and SIGINT alike, when it has ended in order."""


def enter(bot: Freqtrade, exchange: Served) -> dict[str, Any]:
    """Open a trade, and return it when its stop rests at the exchange."""
    bot.tell("enter")
    bot.until(lambda: exchange.fills("BUY"))
    bot.tell("")
    bot.until(lambda: bot.orders("stoploss") and exchange.statement()["openOrders"] == 1)
    return bot.trades()[-1]


def test_a_trade_is_entered_kept_over_a_restart_and_exited(
    bot: Freqtrade, exchange: Served
) -> None:
    trade = enter(bot, exchange)
    bought = exchange.fills("BUY")
    paid = sum(Decimal(fill["price"]) * Decimal(fill["quantity"]) for fill in bought)
    amount = sum(Decimal(fill["quantity"]) for fill in bought)
    assert float(paid / amount) == pytest.approx(trade["open_rate"], rel=1e-6)
    held = Decimal(exchange.statement()["balances"]["BTC"]["held"])
    # The stop holds what it would sell: all that was bought less the fee, in steps of an order.
    assert float(held) == pytest.approx(trade["amount"])
    assert exchange.balance("BTC") - held < Decimal("0.00001")

    assert bot.stop() == ENDED_BY_SIGNAL
    assert exchange.statement()["openOrders"] == 1  # the stop outlives the bot

    bot.start()
    bot.tell("exit")
    bot.until(lambda: not bot.trades()[-1]["is_open"])
    statement = exchange.statement()
    assert statement["openOrders"] == 0
    sold = exchange.fills("SELL")
    assert sum(Decimal(fill["quantity"]) for fill in sold) == held
    # What is left of the bitcoin is below the step of an order: the fee was taken from it.
    assert exchange.balance("BTC") < Decimal("0.00001")
    assert len(bot.trades()) == 1
    assert bot.trades()[0]["exit_reason"] == "exit_signal"


def test_a_crash_fills_the_stop_at_the_exchange(bot: Freqtrade, exchange: Served) -> None:
    trade = enter(bot, exchange)
    exchange.add_fault(type="crash", percent=8, over="8s", symbol="BTC-USDT")
    bot.until(lambda: exchange.fills("SELL"))
    bot.until(lambda: not bot.trades()[-1]["is_open"])
    closed = bot.trades()[-1]
    assert closed["exit_reason"] == "stoploss_on_exchange"
    sold = exchange.fills("SELL")
    got = sum(Decimal(fill["price"]) * Decimal(fill["quantity"]) for fill in sold)
    quantity = sum(Decimal(fill["quantity"]) for fill in sold)
    assert float(got / quantity) == pytest.approx(closed["close_rate"], rel=1e-6)
    assert closed["close_rate"] < trade["open_rate"] * 0.96
    assert exchange.statement()["openOrders"] == 0


def test_an_entry_whose_answer_is_lost_is_entered_twice(bot: Freqtrade, exchange: Served) -> None:
    """It is freqtrade that does so: it tries again with a new id, and knows one of two orders."""
    exchange.add_fault(type="lose-answer", match="POST /api/v3/order")
    bot.tell("enter")
    bot.until(lambda: len({fill["orderId"] for fill in exchange.fills("BUY")}) == 2)
    bot.tell("")
    bot.until(lambda: bot.orders("stoploss") and exchange.statement()["openOrders"] == 1)
    assert len(bot.trades()) == 1
    balance = exchange.statement()["balances"]["BTC"]
    # Half of it has no stop.
    assert Decimal(balance["free"]) > Decimal(balance["held"]) * Decimal("0.9")
