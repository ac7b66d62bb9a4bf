"""What an exchange answers becomes events, and what it does not say stays unknown."""

from dataclasses import replace
from typing import Any

import pytest
from risk_samples import BUY, MARKETS, NOON, SELL, D, Harness, order, settings
from tradingbot_gateway.risk.actions import Ask, Place
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import End, Lost
from tradingbot_gateway.risk.orders import RETENTION
from tradingbot_gateway.risk.reconciliation import (
    Answers,
    ExchangeOrder,
    ExchangeTrade,
    reconcile,
)
from tradingbot_gateway.risk.types import Order, Purpose
from tradingbot_gateway.risk.verdicts import Control


def seen(one: Order, executed: str = "0", ended: End | None = None, **terms: Any) -> ExchangeOrder:
    return ExchangeOrder(
        order=one,
        exchange_id=f"id-{one.client_id}",
        own=terms.pop("own", True),
        created=NOON,
        executed=D(executed),
        ended=ended,
        group=terms.pop("group", None),
    )


def trade(one: Order, number: str, quantity: str, price: str = "100") -> ExchangeTrade:
    return ExchangeTrade(
        symbol=one.symbol,
        trade_id=number,
        exchange_id=f"id-{one.client_id}",
        price=D(price),
        quantity=D(quantity),
        fee=D(0),
        fee_asset="USDT",
        time=NOON,
    )


def answer(harness: Harness, **answers: Any) -> None:
    for event in reconcile(harness.desk.ledger, Answers(asked=harness.now, **answers)):
        harness.desk.on(event, harness.now)


def restarted(harness: Harness) -> Harness:
    """Start again from the journal, with quotes, and not yet reconciled."""
    desk = Desk.restore(
        MARKETS, settings(), snapshot=None, events=harness.desk.drain(), now=harness.now
    )
    again = Harness(desk, now=harness.now)
    desk.disconnected("just started")
    return again


def test_a_sent_order_is_unknown_after_a_restart_and_counts() -> None:
    harness = Harness()
    one = harness.allowed(order(BUY, "6", "100"))
    again = restarted(harness)
    assert again.control(order(BUY, "1", "1")) is Control.NOT_RECONCILED
    answer(again)  # the exchange does not name the order: that does not count
    again.desk.reconciled(again.now)
    again.wait(1000)
    assert again.control(order(BUY, "1", "99")) is Control.UNKNOWN_OUTCOME
    assert Ask(client_id=one.client_id, symbol="BTC-USDT") in again.desk.actions(again.now)
    answer(again, orders=(seen(one),))
    assert again.control(order(BUY, "5", "100")) is Control.MAX_POSITION_SIZE
    again.allowed(order(BUY, "4", "100"))


def test_an_order_that_filled_while_nobody_looked_is_a_position_and_is_protected() -> None:
    harness = Harness()
    one = harness.opened(order(BUY, "2", "100"))
    again = restarted(harness)
    answer(again, orders=(seen(one, "2", End.FILLED),), trades=(trade(one, "1", "2"),))
    again.desk.reconciled(again.now)
    assert again.desk.ledger.held("BTC") == 2
    (place,) = again.desk.actions(again.now)
    assert isinstance(place, Place)
    assert place.purpose is Purpose.PROTECTION


def test_the_same_answers_again_change_nothing() -> None:
    harness = Harness()
    one = harness.opened(order(BUY, "2", "100"))
    answers = {"orders": (seen(one, "1"),), "trades": (trade(one, "1", "1"),)}
    for _ in range(2):
        answer(harness, **answers)
    assert harness.desk.ledger.held("BTC") == 1
    assert [unit.remaining for unit in harness.desk.ledger.units()] == [1]


def test_orders_and_trades_of_others_are_left_alone() -> None:
    harness = Harness()
    theirs = order(BUY, "5", "100", client_id="theirs")
    events = reconcile(
        harness.desk.ledger,
        Answers(
            asked=NOON, orders=(seen(theirs, "5", End.FILLED, own=False),),
            trades=(trade(theirs, "1", "5"),),
        ),
    )  # fmt: skip
    assert events == ()


def test_trades_are_joined_by_the_order_id_that_was_learned_before() -> None:
    harness = Harness()
    one = harness.opened(order(BUY, "2", "100"))
    answer(harness, orders=(seen(one),))
    learned = ExchangeTrade(
        symbol="BTC-USDT", trade_id="9", exchange_id=f"id-{one.client_id}", price=D(100),
        quantity=D(1), fee=D(0), fee_asset="USDT", time=NOON,
    )  # fmt: skip
    answer(harness, trades=(learned,))
    assert harness.desk.ledger.held("BTC") == 1


def test_a_position_is_built_again_from_the_exchange_alone() -> None:
    """Without a ledger: the own orders of the exchange, with their trades, in any order."""
    bought, sold = order(BUY, "3", "100"), order(SELL, "1", "110")
    stop = order(SELL, "2", "120", client_id="tbgw-1-0-0")
    harness = Harness()
    harness.desk.disconnected("just started")
    answer(
        harness,
        orders=(seen(sold, "1", End.FILLED), seen(stop), seen(bought, "3", End.FILLED)),
        trades=(trade(sold, "2", "1", "110"), trade(bought, "1", "3")),
    )
    harness.desk.reconciled(harness.now)
    assert harness.desk.ledger.held("BTC") == 2
    assert harness.desk.ledger.order("tbgw-1-0-0").purpose is Purpose.PROTECTION  # type: ignore[union-attr]


def test_trades_count_in_the_order_in_which_they_were_traded() -> None:
    """What a position has cost depends on it."""
    early, late = order(BUY, "2", "100"), order(SELL, "1", "110")
    trades = [trade(early, "2", "1", "120"), trade(late, "9", "1", "110"), trade(early, "10", "1")]
    times = [NOON + 2, NOON, NOON]  # 9 is before 10
    harness = Harness()
    harness.holds("1", "50")
    answer(
        harness,
        orders=(seen(early, "2", End.FILLED), seen(late, "1", End.FILLED)),
        trades=tuple(replace(each, time=at) for each, at in zip(trades, times, strict=True)),
    )
    assert harness.desk.ledger.holdings.by_asset["BTC"].entry == 110


def test_an_order_that_is_found_reduces_what_was_held_when_it_was_sent() -> None:
    bought, sold = order(BUY, "3", "100"), order(SELL, "3", "110")
    harness = Harness()
    harness.desk.disconnected("just started")
    answer(
        harness,
        orders=(replace(seen(sold), created=NOON + 1), seen(bought, "3", End.FILLED)),
        trades=(trade(bought, "1", "3"),),
    )
    tracked = harness.desk.ledger.order(sold.client_id)
    assert tracked is not None
    assert not tracked.entry


@pytest.mark.parametrize("ended", [End.FILLED, None])
def test_both_orders_of_a_client_id_are_found_without_a_ledger(ended: End | None) -> None:
    """Bots with ids such as grid-1 place them again and again, on any side."""
    bought = order(BUY, "3", "100", client_id="grid-1")
    sold = replace(order(SELL, "1", "110"), client_id="grid-1")
    executed = "0" if ended is None else "1"
    again = replace(seen(sold, executed, ended), exchange_id="again", created=NOON + 2)
    sale = replace(trade(sold, "2", "1", "110"), exchange_id="again", time=NOON + 3)
    harness = Harness()
    harness.desk.disconnected("just started")
    for _ in range(2):
        answer(
            harness,
            orders=(again, seen(bought, "3", End.FILLED)),
            trades=(trade(bought, "1", "3"), *((sale,) if ended else ())),
        )
    assert harness.desk.ledger.held("BTC") == (2 if ended else 3)
    assert [unit.side for unit in harness.desk.ledger.units()] == ([] if ended else [SELL])


def test_not_found_ends_an_order_that_can_not_arrive_any_more() -> None:
    harness = Harness()
    one = harness.allowed(order(BUY, "6", "100"))
    harness.desk.on(Lost(time=harness.now, client_id=one.client_id), harness.now)
    answer(harness, not_found=frozenset({one.client_id}))
    assert harness.desk.ledger.units()
    harness.wait(10_000)
    answer(harness, not_found=frozenset({one.client_id}))
    assert not harness.desk.ledger.units()


def used_again(harness: Harness) -> Order:
    """Buy 4, sell 2, then sell the rest under the client id of the first sale: the answer is lost.

    Return the second sale.
    """
    harness.holds("4", "100")
    first = harness.opened(order(SELL, "2"))
    harness.fill(first, "2", "100", trade_id="first", exchange_id=f"id-{first.client_id}")
    harness.end(first, End.FILLED, "2")
    harness.wait(1)
    harness.allowed(first)
    harness.desk.on(Lost(time=harness.now, client_id=first.client_id), harness.now)
    return first


@pytest.mark.parametrize("executed", ["2", "0"])
def test_an_earlier_order_of_a_client_id_does_not_answer_for_a_later_one(executed: str) -> None:
    harness = Harness()
    again = used_again(harness)
    earlier = {
        "orders": (seen(again, executed, End.FILLED if executed == "2" else End.CANCELED),),
        "trades": (trade(again, "first", "2"),),
        "named": frozenset({again.client_id}),
    }
    answer(harness, **earlier)  # it may be on its way
    assert [unit.remaining for unit in harness.desk.ledger.units()] == [2]
    harness.wait(10_000)
    answer(harness, **earlier)
    assert not harness.desk.ledger.units()
    assert harness.desk.ledger.held("BTC") == 2
    (place,) = harness.desk.actions(harness.now)
    assert isinstance(place, Place)
    assert place.orders[0].quantity == 2


def test_a_list_of_orders_says_nothing_of_a_later_order_of_a_client_id() -> None:
    harness = Harness()
    again = used_again(harness)
    harness.wait(10_000)
    answer(harness, orders=(seen(again, "2", End.FILLED),))
    assert harness.desk.ledger.units()


def test_both_orders_of_a_client_id_are_counted_once() -> None:
    harness = Harness()
    again = used_again(harness)
    later = replace(seen(again, "2", End.FILLED), exchange_id="later")
    sold = replace(trade(again, "later", "2"), exchange_id="later")
    for _ in range(2):
        answer(
            harness,
            orders=(seen(again, "2", End.FILLED), later),
            trades=(trade(again, "first", "2"), sold),
            named=frozenset({again.client_id}),
        )
    assert harness.desk.ledger.held("BTC") == 0
    assert not harness.desk.ledger.units()


def test_an_order_that_is_older_than_the_memory_is_not_the_one_that_was_sent() -> None:
    harness = Harness()
    one = harness.allowed(order(BUY, "2", "100"))
    harness.desk.on(Lost(time=harness.now, client_id=one.client_id), harness.now)
    harness.wait(10_000)
    old = replace(seen(one, "2", End.FILLED), created=NOON - RETENTION - 1)
    answer(harness, orders=(old,), trades=(trade(one, "1", "2"),), named=frozenset({one.client_id}))
    assert harness.desk.ledger.held("BTC") == 0
    assert not harness.desk.ledger.units()


def test_a_client_id_waits_for_the_fills_of_its_order() -> None:
    harness = Harness()
    harness.holds("4", "100")
    sold = harness.opened(order(SELL, "2"))
    harness.end(sold, End.FILLED, "2")
    assert harness.control(sold) is Control.DUPLICATE
    harness.fill(sold, "2", "100")
    harness.allowed(sold)


def test_balances_are_noted() -> None:
    harness = Harness()
    answer(harness, balances={"BTC": D(3)})
    assert harness.desk.ledger.state.totals == {"BTC": D(3)}
