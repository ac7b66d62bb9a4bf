"""The books follow from the events, whatever their order, and however often they come."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from risk_samples import BUY, DAY, HOUR, MARKETS, NOON, SELL, D, Harness, order, settings
from tradingbot_exchange.engine.types import OrderType
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import (
    EVENT,
    Acknowledged,
    Balances,
    CancelSent,
    DayBegan,
    End,
    Ended,
    Filled,
    Found,
    Halted,
    Lost,
    Priced,
    Sent,
)
from tradingbot_gateway.risk.ledger import Ledger
from tradingbot_gateway.risk.orders import RETENTION, Stage
from tradingbot_gateway.risk.types import Purpose


def sent(client_id: str, side: Any = BUY, quantity: str = "1", **terms: Any) -> Sent:
    one = order(side, quantity, "100", client_id=client_id)
    return Sent(
        time=terms.pop("time", NOON),
        orders=(one,),
        counted=(D(quantity),),
        group=None,
        purpose=Purpose.BOT,
        entry=side is BUY,
    )


def filled(client_id: str, trade_id: str, quantity: str, **terms: Any) -> Filled:
    return Filled(
        time=terms.pop("time", NOON),
        client_id=client_id,
        symbol=terms.pop("symbol", "BTC-USDT"),
        trade_id=trade_id,
        price=D(terms.pop("price", "100")),
        quantity=D(quantity),
        fee=D(terms.pop("fee", "0")),
        fee_asset=terms.pop("fee_asset", "USDT"),
    )


def ledger_of(*events: Any) -> Ledger:
    ledger = Ledger("USDT")
    start = NOON - 12 * HOUR
    ledger.apply(
        DayBegan(time=NOON, day=date(2025, 11, 25), starts=start,
                 ends=start + DAY)
    )  # fmt: skip
    for event in events:
        ledger.apply(event)
    return ledger


def ended(
    client_id: str, how: End = End.CANCELED, executed: str | None = None, **terms: Any
) -> Ended:
    return Ended(
        time=terms.pop("time", NOON),
        client_id=client_id,
        how=how,
        executed=None if executed is None else D(executed),
    )


def remaining(ledger: Ledger) -> list[Decimal]:
    return [unit.remaining for unit in ledger.units()]


def test_an_order_counts_from_the_moment_it_is_sent_until_it_has_ended() -> None:
    ledger = ledger_of(sent("a"))
    assert remaining(ledger) == [1]
    ledger.apply(Acknowledged(time=NOON, client_id="a", exchange_id="7"))
    ledger.apply(filled("a", "1", "0.4"))
    assert remaining(ledger) == [D("0.6")]
    assert ledger.held("BTC") == D("0.4")
    ledger.apply(ended("a", executed="0.4"))
    assert remaining(ledger) == []
    assert ledger.held("BTC") == D("0.4")


def test_a_doubled_fill_counts_once_and_a_late_one_still_counts() -> None:
    ledger = ledger_of(sent("a"), filled("a", "1", "0.4"), filled("a", "1", "0.4"))
    assert ledger.held("BTC") == D("0.4")
    ledger.apply(ended("a"))
    ledger.apply(filled("a", "2", "0.1"))
    assert ledger.held("BTC") == D("0.5")


def test_fills_that_the_end_names_count_until_they_arrive() -> None:
    ledger = ledger_of(sent("a"), ended("a", executed="0.7"))
    assert remaining(ledger) == [D("0.7")]
    ledger.apply(filled("a", "1", "0.3"))
    assert remaining(ledger) == [D("0.4")]
    ledger.apply(filled("a", "2", "0.4"))
    assert remaining(ledger) == []


def test_a_doubled_end_with_more_fills_counts_them() -> None:
    ledger = ledger_of(sent("a"), ended("a"), ended("a", executed="0.7"))
    assert remaining(ledger) == [D("0.7")]


def test_what_comes_too_late_changes_nothing() -> None:
    ledger = ledger_of(sent("a"), filled("a", "1", "1"))
    for event in (
        Lost(time=NOON, client_id="a"),
        Acknowledged(time=NOON, client_id="a", exchange_id="7"),
        ended("a", End.NOT_FOUND, time=NOON + HOUR),
        ended("a", End.REFUSED),
    ):
        ledger.apply(event)
    assert ledger.order("a").stage is Stage.ENDED  # type: ignore[union-attr]
    assert ledger.held("BTC") == 1
    assert remaining(ledger) == []


def test_a_refusal_of_an_order_that_was_acknowledged_is_that_of_another() -> None:
    ledger = ledger_of(
        sent("a"), Acknowledged(time=NOON, client_id="a", exchange_id="7"), ended("a", End.REFUSED)
    )
    assert remaining(ledger) == [1]


@pytest.mark.parametrize(("after", "counts"), [(9_999, True), (10_000, False)])
def test_not_found_means_something_once_the_request_can_not_arrive_any_more(
    after: int, counts: bool
) -> None:
    ledger = ledger_of(sent("a"), Lost(time=NOON, client_id="a"))
    ledger.apply(ended("a", End.NOT_FOUND, time=NOON + after))
    assert bool(remaining(ledger)) is counts


def test_the_orders_of_a_list_count_once_and_end_together() -> None:
    legs = (order(SELL, "1", "105"), order(SELL, "1", type=OrderType.STOP_MARKET))
    both = Sent(
        time=NOON, orders=legs, counted=(D(1), D(1)), group="list", purpose=Purpose.BOT, entry=False
    )
    ledger = ledger_of(both)
    assert remaining(ledger) == [1]
    ledger.apply(filled(legs[0].client_id, "1", "0.4"))
    assert remaining(ledger) == [D("0.6")]
    ledger.apply(ended(legs[1].client_id, End.EXPIRED, "0"))
    assert remaining(ledger) == [D("0.6")]
    ledger.apply(filled(legs[0].client_id, "2", "0.6"))
    assert remaining(ledger) == []


def test_an_own_order_that_is_found_is_adopted() -> None:
    one = order(BUY, "1", "100", client_id="lost")
    found = Found(time=NOON, order=one, exchange_id="7", group=None, created=NOON, counted=D(1))
    ledger = ledger_of(found, found)
    assert remaining(ledger) == [1]
    assert ledger.order("lost").entry  # type: ignore[union-attr]


def test_fills_of_an_unknown_order_make_it_a_stranger_until_it_is_found() -> None:
    ledger = ledger_of(filled("lost", "1", "1"))
    assert ledger.held("BTC") == 0
    assert ledger.state.strangers == {"lost": "BTC-USDT"}
    one = order(BUY, "1", "100", client_id="lost")
    ledger.apply(
        Found(time=NOON, order=one, exchange_id="7", group=None, created=NOON, counted=D(1),
              open=False)
    )  # fmt: skip
    ledger.apply(filled("lost", "1", "1"))
    assert ledger.held("BTC") == 1
    assert ledger.state.strangers == {}


def test_orders_are_forgotten_after_a_while_and_never_counted_a_second_time() -> None:
    ledger = ledger_of(sent("old"), filled("old", "1", "1"), sent("open"))
    later = NOON + RETENTION + 1
    for number in range(4):
        ledger.apply(sent(f"new-{number}", time=later))
    assert ledger.order("old") is None
    assert ledger.order("open") is not None
    ledger.apply(filled("old", "1", "1"))
    ledger.apply(
        Found(time=later, order=order(BUY, "1", "100", client_id="old"), exchange_id="7",
              group=None, created=NOON, counted=D(1), open=False)
    )  # fmt: skip
    assert ledger.held("BTC") == 1
    assert ledger.state.strangers == {}


def test_a_client_id_that_is_used_again_does_not_bring_back_old_fills() -> None:
    ledger = ledger_of(sent("a"), filled("a", "1", "1"), sent("a", SELL), filled("a", "1", "1"))
    assert ledger.held("BTC") == 1
    assert remaining(ledger) == [1]


def test_a_fee_in_the_bought_asset_makes_the_position_smaller() -> None:
    ledger = ledger_of(sent("a"), filled("a", "1", "1", fee="0.001", fee_asset="BTC"))
    assert ledger.held("BTC") == D("0.999")


def test_a_fee_in_a_held_third_asset_is_taken_from_the_position() -> None:
    buy = order(BUY, "2", "10", symbol="ETH-USDT", client_id="eth")
    ledger = ledger_of(
        Sent(
            time=NOON, orders=(buy,), counted=(D(2),), group=None, purpose=Purpose.BOT, entry=True
        ),
        filled("eth", "1", "2", symbol="ETH-USDT", price="10"),
        sent("a"),
        filled("a", "1", "1", fee="0.5", fee_asset="ETH"),
    )
    assert ledger.held("ETH") == D("1.5")
    assert ledger.day is not None
    assert ledger.day.unpriced == []


def test_a_position_can_be_closed_and_opened_the_other_way_by_one_fill() -> None:
    ledger = ledger_of(
        sent("a"), filled("a", "1", "1"), sent("b", SELL, "3"), filled("b", "2", "3", price="110")
    )
    holding = ledger.holdings.by_asset["BTC"]
    assert (holding.quantity, holding.entry) == (-2, 110)


def test_protective_holds_are_what_the_exchange_has_locked() -> None:
    harness = Harness()
    harness.holds("2", "100")
    harness.desk.actions(harness.now)
    assert harness.desk.ledger.protective_holds() == {"BTC": 2}


EVENTS = [
    sent("a"),
    Acknowledged(time=1, client_id="a", exchange_id="1"),
    Lost(time=1, client_id="a"),
    Found(time=1, order=order(BUY, "1", "1"), exchange_id="1", group=None, created=1, counted=D(1)),
    filled("a", "1", "0.10"),
    ended("a", executed="0.1"),
    CancelSent(time=1, client_id="a"),
    DayBegan(time=1, day=date(2025, 1, 1), starts=0, ends=1),
    Priced(time=1, asset="BTC", at=1, price=D("1E-8")),
    Priced(time=1, asset="BTC", at=1, price=D("1E-8"), ask=D("2E-8")),
    Halted(time=1, until=2, reason="lost"),
    Balances(time=1, totals={"BTC": D("1.50")}),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_is_restored_from_json_as_it_was(event: Any) -> None:
    restored = EVENT.validate_json(EVENT.dump_json(event))
    assert restored == event
    assert EVENT.dump_json(restored) == EVENT.dump_json(event)


def test_events_that_are_not_of_the_form_are_refused() -> None:
    with pytest.raises(ValidationError):
        EVENT.validate_json('{"kind": "Nonsense"}')


PIECES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(1, 30), st.integers(90, 110)), max_size=30
)


@given(PIECES, st.randoms(use_true_random=False))
def test_positions_do_not_depend_on_the_order_of_fills_nor_on_doubled_ones(
    pieces: list[tuple[str, int, int]], random: Any
) -> None:
    orders = [sent("a", BUY, "9"), sent("b", SELL, "9"), sent("c", BUY, "9"), sent("d", SELL, "9")]
    fills = [
        filled(name, str(number), f"0.0{size:02}", price=str(price))
        for number, (name, size, price) in enumerate(pieces)
    ]
    first = ledger_of(*orders, *fills)
    mixed = fills + random.sample(fills, k=len(fills) // 2)
    random.shuffle(mixed)
    second = ledger_of(*orders, *mixed)
    assert first.held("BTC") == second.held("BTC")
    assert first.day is not None
    assert second.day is not None
    assert first.day.cash == second.day.cash
    assert sorted(remaining(first)) == sorted(remaining(second))


@given(PIECES, st.integers(0, 34))
def test_a_snapshot_and_the_events_after_it_give_the_same_books(
    pieces: list[tuple[str, int, int]], cut: int
) -> None:
    desk = Desk(MARKETS, settings())
    desk.configured(settings(), NOON)
    events: list[Any] = [sent(name, BUY if name in "ac" else SELL, "9") for name in "abcd"]
    events += [
        filled(name, str(number), f"0.0{size:02}", price=str(price))
        for number, (name, size, price) in enumerate(pieces)
    ]
    for event in events[:cut]:
        desk.on(event, NOON)
    snapshot = json.loads(json.dumps(desk.snapshot()))
    desk.drain()
    for event in events[cut:]:
        desk.on(event, NOON)
    lines = [EVENT.dump_json(event) for event in desk.drain()]
    again = Desk.restore(
        MARKETS,
        settings(),
        snapshot=snapshot,
        events=[EVENT.validate_json(line) for line in lines],
        now=NOON,
    )
    for lost in desk.ledger.restarted(NOON):
        desk.on(lost, NOON)
    assert json.dumps(again.snapshot()) == json.dumps(desk.snapshot())
    assert sorted(remaining(again.ledger)) == sorted(remaining(desk.ledger))


def test_a_ledger_in_another_currency_is_refused() -> None:
    snapshot = Desk(MARKETS, settings()).snapshot()
    with pytest.raises(ValueError, match="the ledger is in USDT, and the limits are in EUR"):
        Desk.restore(
            MARKETS,
            replace(settings(), limits=replace(settings().limits, money="EUR")),
            snapshot=snapshot,
            events=(),
            now=NOON,
        )


def test_entries_are_counted_by_time_also_when_the_clock_steps_back() -> None:
    harness = Harness()
    for step, price in ((0, "80"), (30_000, "81"), (-10_000, "82"), (45_000, "83")):
        harness.wait(step)
        harness.refresh()
        harness.allowed(order(BUY, "1", price))
    ledger = harness.desk.ledger
    # At 0, 30, 20 and 65 s: the first is over.
    assert [time - NOON for time, _ in ledger.state.entries] == [20_000, 30_000, 65_000]
    assert ledger.entries_since(NOON + 20_000) == 2
