"""Each position is protected at the exchange, once, and never with more than it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk_samples import BUY, HOUR, MARKETS, SELL, D, Harness, market, order, settings
from tradingbot_exchange.engine.types import OrderType, Side
from tradingbot_gateway.risk.actions import Cancel, Place
from tradingbot_gateway.risk.desk import Desk
from tradingbot_gateway.risk.events import Acknowledged, Balances, End, Found, Lost
from tradingbot_gateway.risk.positions import Holding
from tradingbot_gateway.risk.protection import levels
from tradingbot_gateway.risk.types import Purpose
from tradingbot_gateway.risk.verdicts import Control


def act(harness: Harness) -> list[Any]:
    return list(harness.desk.actions(harness.now))


def placed(harness: Harness) -> Place:
    (place,) = act(harness)
    assert isinstance(place, Place)
    return place


def shape(place: Place) -> list[tuple[Any, ...]]:
    return [(o.side, o.type, o.quantity, o.price, o.stop_price) for o in place.orders]


def acknowledge(harness: Harness, place: Place) -> None:
    for one in place.orders:
        harness.desk.on(
            Acknowledged(time=harness.now, client_id=one.client_id, exchange_id=one.client_id),
            harness.now,
        )


def protected(**changes: Any) -> tuple[Harness, Place]:
    harness = Harness(Desk(MARKETS, settings(**changes)))
    harness.holds("2", "100")
    place = placed(harness)
    acknowledge(harness, place)
    return harness, place


def test_a_long_position_gets_take_profit_and_stop_loss_from_its_average_price() -> None:
    harness = Harness()
    harness.holds("1", "100")
    bought = harness.opened(order(BUY, "1", "101"))
    harness.fill(bought, "1", "101")
    place = placed(harness)
    # 100.5 is the average: 97.9875 and 105.525, rounded to the side that is never looser.
    assert shape(place) == [
        (SELL, OrderType.LIMIT, 2, D("105.53"), None),
        (SELL, OrderType.STOP_MARKET, 2, None, D("97.99")),
    ]
    assert place.purpose is Purpose.PROTECTION
    assert place.group is not None
    assert all(len(one.client_id) <= 36 for one in place.orders)
    assert act(harness) == []


def test_what_is_bought_with_another_asset_is_protected_from_its_price_in_money() -> None:
    """Whatever the other asset has cost, and whether the bot had any of it."""
    allowed = frozenset({"ETH-BTC", "BTC-USDT"})
    harness = Harness(Desk(MARKETS, settings(allowed_symbols=allowed)))
    bought = harness.opened(order(BUY, "10", "0.1", symbol="ETH-BTC"))
    harness.fill(bought, "10", "0.1")
    eth, btc = (place for place in act(harness) if isinstance(place, Place))
    # BTC is at 100: ETH at 10, and a short position of 1 BTC.
    assert [o.stop_price or o.price for o in eth.orders] == [D("10.50"), D("9.75")]
    assert [o.stop_price or o.price for o in btc.orders] == [D(95), D("102.5")]


def test_a_position_whose_price_is_not_known_counts_as_entered_at_the_next_one() -> None:
    allowed = frozenset({"ETH-BTC", "BTC-USDT"})
    harness = Harness(Desk(MARKETS, settings(allowed_symbols=allowed)))
    bought = harness.opened(order(BUY, "10", "0.1", symbol="ETH-BTC"))
    harness.wait(40_000)
    harness.fill(bought, "10", "0.1")
    assert not any(isinstance(action, Place) for action in act(harness))
    harness.quote("ETH-USDT", "12")
    (place,) = (action for action in act(harness) if isinstance(action, Place))
    assert [o.stop_price or o.price for o in place.orders] == [D("12.60"), D("11.70")]
    kinds = [event.kind for event in harness.desk.drain()]
    assert "Valued" in kinds


def test_a_position_that_grows_at_the_stop_price_is_closed_with_what_it_has_grown_by() -> None:
    harness = Harness()
    harness.holds("2", "100")
    harness.wait(1000)
    more = harness.opened(order(BUY, "2", "100"))
    acknowledge(harness, placed(harness))
    harness.quote("BTC-USDT", "97.4")
    assert act(harness) == []  # the exchange has the stop, and has triggered it
    harness.fill(more, "2", "100")
    (cancel,) = act(harness)
    assert isinstance(cancel, Cancel)
    for name in ("0", "1"):
        harness.end(order(SELL, "2", client_id=cancel.client_id[:-1] + name))
    assert shape(placed(harness)) == [(SELL, OrderType.MARKET, 4, None, None)]


def test_a_short_position_is_protected_in_the_other_direction() -> None:
    harness = Harness()
    short = harness.opened(order(SELL, "2", "100"))
    harness.fill(short, "2", "100")
    assert shape(placed(harness)) == [
        (BUY, OrderType.LIMIT, 2, D(95), None),
        (BUY, OrderType.STOP_MARKET, 2, None, D("102.5")),
    ]


def test_a_market_without_lists_gets_the_stop_and_the_profit_is_watched() -> None:
    markets = {**MARKETS, "BTC-USDT": market("BTC-USDT", oco=False)}
    harness = Harness(Desk(markets, settings()))
    harness.holds("2", "100")
    place = placed(harness)
    assert shape(place) == [(SELL, OrderType.STOP_MARKET, 2, None, D("97.5"))]
    assert place.group is None
    acknowledge(harness, place)
    assert act(harness) == []


def test_a_stop_whose_limit_the_market_has_passed_gives_way_to_a_sale_at_the_market() -> None:
    markets = {**MARKETS, "BTC-USDT": market("BTC-USDT", stop_slippage=D("0.05"))}
    harness = Harness(Desk(markets, settings()))
    harness.holds("2", "100")
    place = placed(harness)
    acknowledge(harness, place)
    harness.quote("BTC-USDT", "92.7")  # the stop is at 97.5, and sells down to 92.625
    assert act(harness) == []
    harness.quote("BTC-USDT", "92.6")
    (cancel,) = act(harness)
    assert isinstance(cancel, Cancel)
    for one in place.orders:
        harness.end(one)
    (sale,) = act(harness)
    assert (sale.purpose, shape(sale)) == (
        Purpose.EXIT,
        [(SELL, OrderType.MARKET, 2, None, None)],
    )


def test_nothing_is_placed_twice_while_an_answer_is_awaited_or_lost() -> None:
    harness = Harness()
    harness.holds("2", "100")
    place = placed(harness)
    harness.wait(1000)
    assert act(harness) == []
    for one in place.orders:
        harness.desk.on(Lost(time=harness.now, client_id=one.client_id), harness.now)
    assert not [a for a in act(harness) if isinstance(a, Place)]
    harness.wait(10_000)
    for one in place.orders:
        harness.end(one, End.NOT_FOUND)
    assert isinstance(act(harness)[0], Place)


def test_protection_follows_the_position() -> None:
    harness, place = protected()
    bought = harness.opened(order(BUY, "1", "100"))
    harness.fill(bought, "0.5", "100")
    (cancel,) = act(harness)
    assert isinstance(cancel, Cancel)
    assert cancel.group == place.group
    assert act(harness) == []  # the cancel is on its way
    for one in place.orders:
        harness.end(one)
    assert shape(placed(harness))[0][2] == D("2.5")


def test_a_cancel_without_an_answer_is_repeated() -> None:
    harness, _ = protected()
    harness.desk.configured(settings(stop_loss_percentage=D(1)), harness.now)
    assert [type(action) for action in act(harness)] == [Cancel]
    harness.wait(1999)
    assert act(harness) == []
    harness.wait(1)
    assert Cancel in [type(action) for action in act(harness)]


@pytest.mark.parametrize("stop_first", [False, True])
def test_protection_of_another_gateway_is_kept_in_whatever_order_it_is_found(
    stop_first: bool,
) -> None:
    other, harness = Harness(), Harness()
    other.holds("2", "100")
    place = placed(other)
    harness.holds("2", "100")
    for one in sorted(place.orders, key=lambda each: each.type, reverse=stop_first):
        harness.desk.on(
            Found(
                time=harness.now,
                order=one,
                exchange_id=one.client_id,
                group=place.group,
                created=harness.now,
                counted=D(2),
            ),
            harness.now,
        )
    assert act(harness) == []


def test_protection_that_somebody_cancelled_is_placed_again() -> None:
    harness, place = protected()
    for one in place.orders:
        harness.end(one)
    assert shape(placed(harness)) == shape(place)


def test_a_filled_protection_leaves_nothing_to_do() -> None:
    harness, place = protected()
    harness.fill(place.orders[1], "2", "97.4")
    assert act(harness) == []
    assert harness.desk.ledger.units() == []


def test_a_filled_part_of_the_take_profit_leaves_the_rest_protected() -> None:
    harness, place = protected()
    harness.fill(place.orders[0], "0.5", "105")
    harness.end(place.orders[1], End.EXPIRED)
    (cancel,) = act(harness)  # there is no stop any more
    assert isinstance(cancel, Cancel)
    harness.end(place.orders[0], executed="0.5")
    assert shape(placed(harness))[1][2] == D("1.5")


def test_the_stop_of_the_bot_is_adopted_as_protection() -> None:
    harness, place = protected()
    stop = order(SELL, "2", "97", type=OrderType.STOP_LIMIT, stop_price=D(98))
    harness.ask(stop)
    for one in place.orders:
        harness.end(one)
    harness.opened(stop)
    assert act(harness) == []
    harness.quote("BTC-USDT", "97")
    assert act(harness) == []


def test_a_stop_of_the_bot_for_a_part_leaves_the_rest_to_the_gateway() -> None:
    harness, place = protected()
    stop = order(SELL, "0.5", "97", type=OrderType.STOP_LIMIT, stop_price=D(98))
    harness.ask(stop)
    for one in place.orders:
        harness.end(one)
    harness.opened(stop)
    assert shape(placed(harness))[0][2] == D("1.5")


def test_what_the_bot_sells_by_itself_is_watched_and_closed_at_the_stop_price() -> None:
    harness, place = protected()
    exit_ = order(SELL, "2", "104")
    harness.ask(exit_)
    for one in place.orders:
        harness.end(one)
    harness.opened(exit_)
    harness.quote("BTC-USDT", "97.51")
    assert act(harness) == []
    harness.quote("BTC-USDT", "97.5")
    (cancel,) = act(harness)
    assert cancel == Cancel(
        client_id=exit_.client_id,
        symbol="BTC-USDT",
        group=None,
        reason="the stop price has been reached and this order is not a stop",
    )
    harness.end(exit_)
    close = placed(harness)
    assert shape(close) == [(SELL, OrderType.MARKET, 2, None, None)]
    assert close.purpose is Purpose.EXIT
    assert act(harness) == []


def test_a_stop_of_the_bot_that_is_too_far_away_does_not_count_at_the_stop_price() -> None:
    harness, place = protected()
    stop = order(SELL, "2", "80", type=OrderType.STOP_LIMIT, stop_price=D(81))
    harness.ask(stop)
    for one in place.orders:
        harness.end(one)
    harness.opened(stop)
    harness.quote("BTC-USDT", "97")
    assert [type(action) for action in act(harness)] == [Cancel]


def test_refused_protection_closes_the_position_and_halts_the_day() -> None:
    harness = Harness()
    harness.holds("2", "100")
    place = placed(harness)
    for one in place.orders:
        harness.end(one, End.REFUSED)
    close = placed(harness)
    assert (close.purpose, close.orders[0].type) == (Purpose.EXIT, OrderType.MARKET)
    refused = harness.refused(order(BUY, "1", "100"))
    assert refused.control is Control.DAILY_LOSS_LIMIT
    assert "BTC could not be protected" in refused.message
    harness.end(close.orders[0], End.REFUSED)
    assert act(harness) == []  # not at once
    harness.wait(5000)
    harness.quote("BTC-USDT", "100")
    again = placed(harness)
    harness.fill(again.orders[0], "2", "100")
    harness.wait(12 * HOUR)
    harness.refresh()
    harness.holds("1", "100")
    assert placed(harness).purpose is Purpose.PROTECTION


def test_protection_that_is_not_taken_is_repeated_after_pauses_that_double() -> None:
    harness = Harness()
    harness.holds("2", "100")
    for pause in (1_000, 2_000, 4_000, 8_000, 10_000, 10_000):
        place = placed(harness)
        assert place.purpose is Purpose.PROTECTION
        for one in place.orders:
            harness.end(one, End.NOT_TAKEN)
        harness.wait(pause - 1)
        harness.quote("BTC-USDT", "100")
        assert act(harness) == []
        harness.wait(1)
    assert placed(harness).purpose is Purpose.PROTECTION
    assert "halted" not in harness.refused(order(BUY, "100", "100")).message


def test_a_position_whose_protection_is_not_taken_is_closed_at_its_stop_price() -> None:
    harness = Harness()
    harness.holds("2", "100")
    for one in placed(harness).orders:
        harness.end(one, End.NOT_TAKEN)
    harness.quote("BTC-USDT", "97")
    assert placed(harness).purpose is Purpose.EXIT


@pytest.mark.parametrize("how", [End.EXPIRED, End.REFUSED, End.CANCELED])
def test_an_exit_that_fills_nothing_is_repeated_after_five_seconds(how: End) -> None:
    harness = Harness()
    harness.holds("2", "100")
    harness.quote("BTC-USDT", "97")
    close = placed(harness)
    harness.end(close.orders[0], how)
    harness.wait(4999)
    assert act(harness) == []
    harness.wait(1)
    assert shape(placed(harness)) == shape(close)


@pytest.mark.parametrize(("price", "side"), [("97.5", "stop-loss"), ("105", "take-profit")])
def test_a_price_that_has_passed_already_closes_the_position_without_a_halt(
    price: str, side: str
) -> None:
    harness = Harness()
    harness.holds("2", "100")
    harness.quote("BTC-USDT", price)
    close = placed(harness)
    assert close.purpose is Purpose.EXIT
    assert side.split("-", maxsplit=1)[0] in close.reason
    assert harness.desk.ledger.state.halted_until == 0


def test_dust_is_left_alone_and_said() -> None:
    harness = Harness()
    bought = harness.opened(order(BUY, "1", "100"))
    harness.fill(bought, "0.04", "100")
    assert act(harness) == []
    assert harness.desk.notes(harness.now) == (
        "0.04 BTC is left unprotected: the exchange takes no order of 0.04 BTC",
    )


def test_a_position_that_the_account_does_not_have_is_said() -> None:
    harness, _ = protected()
    harness.desk.on(Balances(time=harness.now, totals={"BTC": D("0.5")}), harness.now)
    assert "the account has 0.5 BTC, and the bot's position is 2" in harness.desk.notes(0)[0]


def test_protection_is_placed_once_the_exchange_has_been_asked() -> None:
    harness = Harness()
    harness.holds("2", "100")
    harness.desk.disconnected("the stream was cut")
    assert act(harness) == []
    harness.desk.reconciled(harness.now)
    assert placed(harness).purpose is Purpose.PROTECTION


def test_exits_that_no_position_is_left_for_are_cancelled() -> None:
    harness = Harness()
    harness.holds("2", "100")
    kept = harness.opened(order(SELL, "1", "104"))
    harness.wait(1)
    gone = harness.opened(order(SELL, "1", "104.5"))
    lost = harness.opened(order(SELL, "0.5", "103"), replaces=kept.client_id)
    harness.fill(lost, "0.5", "103")
    (cancel,) = act(harness)
    assert isinstance(cancel, Cancel)
    assert cancel.client_id == gone.client_id


def test_a_position_without_a_market_in_money_is_said() -> None:
    harness, _ = protected()
    harness.desk.listed({s: m for s, m in MARKETS.items() if s != "BTC-USDT"})
    assert harness.desk.notes(harness.now) == ("BTC can't be protected: BTC-USDT is not traded",)
    assert act(harness) == []


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from((BUY, SELL)))
def test_the_levels_are_never_looser_than_the_limits(quantity: int, cost: int, side: Side) -> None:
    sign = 1 if side is BUY else -1
    holding = Holding(sign * D(quantity) / 1000, sign * D(cost) / 100)
    found = levels(holding, MARKETS["BTC-USDT"], settings().limits)
    assert found is not None
    entry = holding.entry
    loss = sign * (entry - found.stop) / entry * 100
    profit = sign * (found.take_profit - entry) / entry * 100
    assert loss <= D("2.5") + D("1e-20")
    assert profit >= 5 - D("1e-20") or found.take_profit == D("0.01")
