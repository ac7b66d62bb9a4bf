"""What the desk does by itself: halts, cancels, questions, and the journal."""

from typing import Any

import pytest
from risk_samples import BUY, HOUR, MARKETS, NOON, SELL, D, Harness, order, settings
from tradingbot_gateway.risk.actions import Ask, Cancel, Place
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import DURABLE, Halted, Sent
from tradingbot_gateway.risk.figures import Unknown
from tradingbot_gateway.risk.verdicts import Allowed


def cancelled(harness: Harness) -> list[str]:
    actions = harness.desk.actions(harness.now)
    return [action.client_id for action in actions if isinstance(action, Cancel)]


@pytest.mark.parametrize("why", ["halted", "halted by bot.json", "closed", "told to go"])
def test_entry_orders_are_cancelled_when_nothing_may_be_opened(why: str) -> None:
    harness = Harness()
    harness.holds("9", "100")
    entry = harness.opened(order(BUY, "1", "90"))
    harness.opened(order(SELL, "1", "104"))
    assert cancelled(harness) == []
    if why == "halted":
        harness.quote("BTC-USDT", "88")
    elif why == "halted by bot.json":
        harness.desk.configured(settings(halted_until=harness.now + HOUR), harness.now)
    elif why == "closed":
        harness.desk.configured(settings(closed="the trading window is over"), harness.now)
    else:
        harness.desk.terminate("the pod was told to go")
    assert entry.client_id in cancelled(harness)
    assert entry.client_id not in cancelled(harness)  # it is on its way
    harness.wait(2000)
    assert entry.client_id in cancelled(harness)
    harness.end(entry)
    harness.wait(2000)
    assert entry.client_id not in cancelled(harness)


def test_a_halt_is_an_event_and_survives_a_restart() -> None:
    harness = Harness()
    harness.holds("10", "100")
    harness.quote("BTC-USDT", "90")
    events = harness.desk.drain()
    (halt,) = [event for event in events if isinstance(event, Halted)]
    assert halt.until == NOON + 12 * HOUR
    assert halt.reason == "the day has lost 100 USDT; dailyLossLimit is 100"
    again = Desk.restore(MARKETS, settings(), snapshot=None, events=events, now=harness.now)
    assert again.ledger.state.halted_until == NOON + 12 * HOUR


def test_an_allowed_order_is_in_the_journal_before_it_is_sent() -> None:
    harness = Harness()
    harness.desk.drain()
    harness.ask(order(BUY, "1", "100"))
    (event,) = harness.desk.drain()
    assert isinstance(event, Sent)
    assert isinstance(event, DURABLE)
    harness.refused(order(BUY, "1000", "100"))
    assert harness.desk.drain() == ()


def test_an_order_without_an_answer_is_asked_for_after_a_while() -> None:
    harness = Harness()
    one = harness.allowed(order(BUY, "1", "100"))
    ask = Ask(client_id=one.client_id, symbol="BTC-USDT")
    harness.wait(10_000)
    assert ask not in harness.desk.actions(harness.now)
    harness.wait(1)
    assert ask in harness.desk.actions(harness.now)
    assert ask not in harness.desk.actions(harness.now)
    harness.wait(2000)
    assert ask in harness.desk.actions(harness.now)


def test_fills_that_have_not_arrived_are_asked_for() -> None:
    harness = Harness()
    one = harness.opened(order(BUY, "1", "100"))
    harness.end(one, executed="0.5")
    assert Ask(client_id=one.client_id, symbol="BTC-USDT") in harness.desk.actions(harness.now)


def test_nothing_is_reported_before_the_exchange_was_asked() -> None:
    desk = Desk(MARKETS, settings())
    assert desk.report(NOON) == Unknown(reason="the exchange has not been asked yet")


def test_the_symbols_of_positions_and_orders_are_watched() -> None:
    harness = Harness()
    assert harness.desk.watched() == frozenset()
    harness.holds("1", "100")
    harness.desk.configured(settings(allowed_symbols=frozenset({"ETH-BTC"})), harness.now)
    harness.opened(order(BUY, "1", "0.1", symbol="ETH-BTC"))
    assert harness.desk.watched() == {"BTC-USDT", "ETH-BTC", "ETH-USDT"}


def test_a_lower_limit_forbids_adding_and_does_not_sell() -> None:
    harness = Harness()
    harness.holds("5", "100")
    place = harness.desk.actions(harness.now)
    assert place
    harness.desk.configured(settings(max_position_size=D(100)), harness.now)
    assert harness.desk.actions(harness.now) == ()
    assert harness.refused(order(BUY, "0.1", "100"))


def test_verdicts_and_actions_do_not_depend_on_when_the_desk_was_restored() -> None:
    """The same story, with a restart from snapshot and journal after each step."""
    stories: list[Any] = []
    for restarts in (False, True):
        harness = Harness()
        said: list[Any] = []
        snapshot = None
        for step in range(12):
            verdict = harness.ask(
                order(BUY if step % 3 else SELL, "2", "100", client_id=f"order-{step}")
            )
            said.append(verdict)
            if isinstance(verdict, Allowed):
                one = order(BUY if step % 3 else SELL, "2", "100", client_id=f"order-{step}")
                harness.fill(one, "2", "100", trade_id=str(step))
            harness.wait(1500)
            if restarts:
                snapshot = harness.desk.snapshot()
                desk = Desk.restore(
                    MARKETS, settings(), snapshot=snapshot, events=(), now=harness.now
                )
                harness = Harness(desk, now=harness.now)
            harness.refresh()
            said.append(harness.desk.report(harness.now))
        stories.append(said)
    assert stories[0] == stories[1]


def test_one_that_stands_by_leaves_protection_to_the_other_for_a_while() -> None:
    harness = Harness()
    harness.holds("1", "100")
    harness.desk.granted(not_granted="not yet", outdated=None, stands_by=True)
    assert not harness.desk.actions(harness.now)
    harness.wait(9_999)
    harness.refresh()
    assert not harness.desk.actions(harness.now)
    harness.wait(1)
    assert [type(action) for action in harness.desk.actions(harness.now)] == [Place]


def test_one_that_stands_by_waits_again_when_the_position_has_changed() -> None:
    harness = Harness()
    bought = harness.opened(order(BUY, "3", "100"))
    harness.desk.granted(not_granted="not yet", outdated=None, stands_by=True)
    for _ in range(3):
        harness.fill(bought, "1", "100")
        assert not harness.desk.actions(harness.now)
        harness.wait(9_000)
        harness.refresh()
        assert not harness.desk.actions(harness.now)


def test_one_that_stands_by_cancels_nothing_of_the_other() -> None:
    harness = Harness()
    harness.opened(order(BUY, "1", "99"))
    harness.desk.granted(not_granted="not yet", outdated=None, stands_by=True)
    assert not cancelled(harness)
    harness.desk.granted(not_granted="withdrawn", outdated=None)
    assert len(cancelled(harness)) == 1


def test_one_that_has_lost_its_right_protects_at_once() -> None:
    harness = Harness()
    harness.holds("1", "100")
    harness.desk.granted(not_granted="withdrawn", outdated=None)
    assert [type(action) for action in harness.desk.actions(harness.now)] == [Place]
