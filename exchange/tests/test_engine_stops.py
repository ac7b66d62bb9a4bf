"""Stops, OCO lists and the outside market, with figures computed by hand."""

import json
from dataclasses import replace

import pytest
from engine_samples import BTC, BUY, ETH, SELL, D, free_and_held, funded, order, refusal
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Change,
    ListEvent,
    ListStatus,
    NewOrder,
    OrderEvent,
    OrderStatus,
    OrderType,
    Reason,
    RefusedError,
    Side,
    TimeInForce,
)

TAKE_PROFIT = OrderType.TAKE_PROFIT_MARKET


def at(price: str, *accounts: str) -> Engine:
    """Return an engine whose last price is this."""
    engine = funded(*accounts)
    engine.trade_through("BTC-USDT", D(price), now=0)
    return engine


@pytest.mark.parametrize(
    ("side", "kind", "stop", "short_of", "reached"),
    [
        (BUY, OrderType.STOP_MARKET, "31000", "30999.99", "31000"),
        (SELL, OrderType.STOP_MARKET, "29000", "29000.01", "29000"),
        (BUY, TAKE_PROFIT, "29000", "29000.01", "28000"),
        (SELL, TAKE_PROFIT, "31000", "30999.99", "32000"),
    ],
)
def test_a_stop_triggers_at_its_price(
    side: Side, kind: OrderType, stop: str, short_of: str, reached: str
) -> None:
    engine = at("30000", "ada")
    placed, _ = engine.submit("ada", order(side, "1", stop=stop, type=kind), now=1)
    assert placed.status is OrderStatus.WAITING
    engine.trade_through("BTC-USDT", D(short_of), now=2)
    assert placed.triggered is None
    engine.trade_through("BTC-USDT", D(reached), now=3)
    assert placed.triggered == 3
    assert (placed.status, placed.ended_by) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)


@pytest.mark.parametrize(
    ("side", "kind", "stop"),
    [
        (BUY, OrderType.STOP_MARKET, "30000"),
        (SELL, OrderType.STOP_MARKET, "30000"),
        (BUY, TAKE_PROFIT, "30000.01"),
        (SELL, TAKE_PROFIT, "29999.99"),
    ],
)
def test_a_stop_that_would_trigger_at_once_is_refused(
    side: Side, kind: OrderType, stop: str
) -> None:
    engine = at("30000", "ada")
    assert refusal(engine, "ada", order(side, "1", stop=stop, type=kind)) is Reason.WOULD_TRIGGER


def test_a_triggered_stop_limit_order_rests_at_its_limit() -> None:
    engine = at("30000", "ada", "bob")
    placed, _ = engine.submit("ada", order(SELL, "1", "28900", stop="29000"), now=1)
    assert free_and_held(engine, "ada", "BTC") == (D(9), D(1))
    engine.trade_through("BTC-USDT", D(28950), now=2)
    assert placed.status is OrderStatus.OPEN
    assert engine.book("BTC-USDT", 1).asks[0].price == D(28900)
    engine.submit("bob", order(BUY, "1", "28900"), now=3)
    assert placed.status is OrderStatus.FILLED


def test_stops_trigger_in_price_time_order_within_the_trade_that_reaches_them() -> None:
    engine = at("30000", "ada", "bob", "cyd")
    engine.submit("cyd", order(BUY, "9", "25000"), now=1)
    late, _ = engine.submit("ada", order(SELL, "1", stop="28000"), now=1)
    first, _ = engine.submit("ada", order(SELL, "1", stop="29000"), now=2)
    second, _ = engine.submit("bob", order(SELL, "1", stop="29000"), now=3)
    events = engine.trade_through("BTC-USDT", D(27000), now=4)
    triggered = [
        e.order for e in events if isinstance(e, OrderEvent) and e.change is Change.TRIGGERED
    ]
    assert triggered == [first, second, late]
    assert [fill.order_id for fill in engine.fills("ada")] == [first.id, late.id]


def test_a_cascade_of_stops_runs_to_its_end_in_one_call() -> None:
    deep = 1200
    roomy = replace(BTC, max_stops=deep, max_orders=2 * deep, price_band=D(100))
    engine = Engine([roomy])
    for account in ("ada", "bob"):
        engine.deposit(account, "BTC", D(deep), now=0)
        engine.deposit(account, "USDT", D(10**9), now=0)
    engine.trade_through("BTC-USDT", D(40000), now=0)
    # Each stop sells to the bid whose price triggers the next one.
    for step in range(deep):
        engine.submit("bob", order(BUY, "0.1", f"{39999 - step}"), now=1)
        engine.submit("ada", order(SELL, "0.1", stop=f"{40000 - step - 1}"), now=1)
    engine.submit("ada", order(SELL, "0.1"), now=2)
    assert engine.last_price("BTC-USDT") == D(40000 - deep)
    waiting = [o for o in engine.open_orders("ada") if o.status is OrderStatus.WAITING]
    assert waiting == []


def test_a_stop_market_buy_holds_at_its_stop_price_and_spends_no_more_than_there_is() -> None:
    engine = at("30000", "bob")
    engine.deposit("ada", "USDT", D(31000), now=0)
    placed, _ = engine.submit("ada", order(BUY, "1", stop="31000"), now=1)
    assert free_and_held(engine, "ada", "USDT") == (0, D(31000))
    engine.submit("bob", order(SELL, "5", "32000"), now=2)
    engine.trade_through("BTC-USDT", D(31500), now=3)
    # 31,000 buy 0.96875 BTC at 32,000.
    assert (placed.status, placed.filled) == (OrderStatus.EXPIRED, D("0.96875"))
    assert placed.ended_by is Reason.INSUFFICIENT_BALANCE
    assert free_and_held(engine, "ada", "USDT") == (0, 0)


def test_a_stop_is_canceled_like_any_order() -> None:
    engine = at("30000", "ada")
    placed, _ = engine.submit("ada", order(BUY, "1", "32000", stop="31000"), now=1)
    assert free_and_held(engine, "ada", "USDT") == (D(968000), D(32000))
    engine.cancel("ada", placed.id, now=2)
    assert free_and_held(engine, "ada", "USDT") == (D(1000000), 0)
    engine.trade_through("BTC-USDT", D(31000), now=3)
    assert placed.triggered is None


# OCO lists


def sale(*, limit: str = "31000", stop: str = "29000", quantity: str = "1") -> list[NewOrder]:
    """Return the orders of a list that takes a profit or stops a loss."""
    return [order(SELL, quantity, limit), order(SELL, quantity, "28900", stop=stop)]


def test_a_list_holds_the_asset_once() -> None:
    engine = at("30000", "ada")
    listed, events = engine.submit_oco("ada", *sale(), client_id="L", now=1)
    assert listed.status is ListStatus.EXECUTING
    assert free_and_held(engine, "ada", "BTC") == (D(9), D(1))
    assert [o.list_id for o in engine.open_orders("ada")] == [listed.id, listed.id]
    assert [e.list for e in events if isinstance(e, ListEvent)] == [listed]
    assert engine.order_list("ada", listed.id) == listed


def test_a_list_of_buys_holds_the_larger_of_both() -> None:
    engine = at("30000", "ada")
    engine.submit_oco(
        "ada",
        order(BUY, "1", "29000"),
        order(BUY, "1", "31500", stop="31000"),
        client_id="",
        now=1,
    )
    assert free_and_held(engine, "ada", "USDT") == (D(968500), D(31500))
    engine.trade_through("BTC-USDT", D(29000), quantity=D("0.5"), now=2)
    assert free_and_held(engine, "ada", "USDT") == (D(971000), D(14500))


def test_a_partial_fill_of_the_limit_ends_the_stop_in_the_same_call() -> None:
    engine = at("30000", "ada", "bob")
    listed, _ = engine.submit_oco("ada", *sale(), client_id="", now=1)
    limit, stop = (engine.order("ada", number) for number in listed.orders)
    _, events = engine.submit("bob", order(BUY, "0.4", "31000"), now=2)
    assert limit.status is OrderStatus.PARTIALLY_FILLED
    assert (stop.status, stop.ended_by) == (OrderStatus.EXPIRED, Reason.OCO_TRIGGERED)
    assert free_and_held(engine, "ada", "BTC") == (D(9), D("0.6"))
    assert [e.list.status for e in events if isinstance(e, ListEvent)] == [ListStatus.DONE]
    assert engine.order_list("ada", listed.id).status is ListStatus.DONE
    engine.trade_through("BTC-USDT", D(28000), now=3)
    assert limit.status is OrderStatus.PARTIALLY_FILLED


def test_the_triggered_stop_ends_the_limit_in_the_same_call() -> None:
    engine = at("30000", "ada", "bob")
    listed, _ = engine.submit_oco("ada", *sale(), client_id="", now=1)
    limit, stop = (engine.order("ada", number) for number in listed.orders)
    engine.trade_through("BTC-USDT", D(29000), now=2)
    assert (limit.status, limit.ended_by) == (OrderStatus.EXPIRED, Reason.OCO_TRIGGERED)
    assert stop.status is OrderStatus.OPEN
    assert free_and_held(engine, "ada", "BTC") == (D(9), D(1))
    engine.cancel("ada", stop.id, now=3)
    assert free_and_held(engine, "ada", "BTC") == (D(10), 0)


@pytest.mark.parametrize("leg", [0, 1])
def test_canceling_one_order_of_a_list_cancels_both(leg: int) -> None:
    engine = at("30000", "ada")
    listed, _ = engine.submit_oco("ada", *sale(), client_id="L", now=1)
    engine.cancel("ada", listed.orders[leg], now=2)
    assert [o.status for o in engine.orders("ada")] == [OrderStatus.CANCELED] * 2
    assert free_and_held(engine, "ada", "BTC") == (D(10), 0)
    again, _ = engine.submit_oco("ada", *sale(), client_id="L", now=3)
    assert again.id == listed.id + 1


@pytest.mark.parametrize("leg", [0, 1])
def test_a_list_is_replaced_as_a_whole(leg: int) -> None:
    engine = at("30000", "ada")
    listed, _ = engine.submit_oco("ada", *sale(quantity="10"), client_id="L", now=1)
    engine.replace("ada", listed.orders[leg], order(SELL, "10", "32000"), now=2)
    assert free_and_held(engine, "ada", "BTC") == (0, D(10))
    assert len(engine.open_orders("ada")) == 1


@pytest.mark.parametrize(
    ("limit", "stop"), [("29000", "28000"), ("32000", "31000"), ("30000", "29000")]
)
def test_a_list_whose_prices_are_not_on_both_sides_is_refused(limit: str, stop: str) -> None:
    engine = at("30000", "ada")
    with pytest.raises(RefusedError, match="OCO_PRICES"):
        engine.submit_oco("ada", *sale(limit=limit, stop=stop), client_id="", now=1)
    assert engine.orders("ada") == []


def test_a_list_of_two_stops_waits_for_either() -> None:
    engine = at("30000", "ada")
    listed, _ = engine.submit_oco(
        "ada",
        order(SELL, "1", "31000", stop="31100", type=OrderType.TAKE_PROFIT_LIMIT),
        order(SELL, "1", stop="29000"),
        client_id="",
        now=1,
    )
    profit, stop = (engine.order("ada", number) for number in listed.orders)
    engine.trade_through("BTC-USDT", D(31100), now=2)
    assert (profit.status, stop.status) == (OrderStatus.OPEN, OrderStatus.EXPIRED)


def test_a_list_that_meets_its_own_account_ends() -> None:
    engine = at("30000", "ada", "bob")
    listed, _ = engine.submit_oco("ada", *sale(), client_id="", now=1)
    engine.submit("ada", order(BUY, "1", "31000"), now=2)
    reasons = [engine.order("ada", number).ended_by for number in listed.orders]
    assert reasons == [Reason.SELF_TRADE] * 2
    assert free_and_held(engine, "ada", "BTC") == (D(10), 0)


# The outside market


def test_the_outside_market_fills_at_the_orders_own_prices() -> None:
    engine = funded("ada")
    best, _ = engine.submit("ada", order(BUY, "1", "30000"), now=1)
    next_best, _ = engine.submit("ada", order(BUY, "1", "29000"), now=1)
    far, _ = engine.submit("ada", order(BUY, "1", "28000"), now=1)
    engine.trade_through("BTC-USDT", D(29000), now=2)
    assert (best.filled_quote, next_best.filled_quote, far.filled) == (D(30000), D(29000), 0)
    assert engine.last_price("BTC-USDT") == D(29000)
    assert all(fill.maker for fill in engine.fills("ada"))
    assert (engine.total("BTC"), engine.total("USDT")) == (D(10), D(1000000))
    assert engine.collected_fees() == {"BTC": D("0.002")}


def test_the_outside_market_fills_no_more_than_its_quantity() -> None:
    engine = funded("ada")
    first, _ = engine.submit("ada", order(SELL, "1", "30000"), now=1)
    second, _ = engine.submit("ada", order(SELL, "1", "30000"), now=1)
    engine.trade_through("BTC-USDT", D(30500), quantity=D("1.25"), now=2)
    assert (first.filled, second.filled) == (D(1), D("0.25"))


def test_the_outside_market_may_trade_any_quantity_and_fills_whole_lots_of_it() -> None:
    engine = funded("ada")
    placed, _ = engine.submit("ada", order(SELL, "1", "30000"), now=1)
    engine.trade_through("BTC-USDT", D(30000), quantity=D("0.123456789"), now=2)
    assert placed.filled == D("0.12345")
    engine.trade_through("BTC-USDT", D(30000), quantity=D(0), now=3)
    assert placed.filled == D("0.12345")
    engine.trade_through("BTC-USDT", D(30000), quantity=D(1000000), now=4)
    assert placed.status is OrderStatus.FILLED
    for quantity in (D(-1), D("NaN"), D("Infinity")):
        with pytest.raises(RefusedError, match="BAD_PARAMETERS"):
            engine.trade_through("BTC-USDT", D(30000), quantity=quantity, now=5)


@pytest.mark.parametrize(("price", "reason"), [("0", "PRICE_RANGE"), ("1.001", "PRICE_TICK")])
def test_the_outside_market_trades_at_prices_of_the_instrument(price: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        funded("ada").trade_through("BTC-USDT", D(price), now=1)


def test_a_halted_symbol_takes_no_orders_and_does_not_trade() -> None:
    engine = at("30000", "ada")
    placed, _ = engine.submit("ada", order(BUY, "1", "29000"), now=1)
    engine.halt("BTC-USDT", halted=True)
    assert engine.is_halted("BTC-USDT")
    assert refusal(engine, "ada", order(BUY, "1", "29000")) is Reason.SYMBOL_HALTED
    with pytest.raises(RefusedError, match="SYMBOL_HALTED"):
        engine.edit("ada", placed.id, price=D(29000), quantity=D("0.5"), now=2)
    assert engine.trade_through("BTC-USDT", D(29000), now=2) == []
    engine.submit("ada", order(BUY, "1", "29000", symbol="ETH-USDT"), now=3)
    engine.cancel("ada", placed.id, now=3)
    engine.halt("BTC-USDT", halted=False)
    engine.submit("ada", order(BUY, "1", "29000"), now=4)


# State


def test_a_snapshot_is_json_and_says_which_instruments_it_needs() -> None:
    engine = at("30000", "ada")
    engine.submit_oco("ada", *sale(), client_id="L", now=1)
    gtd = order(BUY, "1", "29000", tif=TimeInForce.GTD, expires_at=50)
    engine.submit("ada", gtd, now=1)
    saved = json.loads(json.dumps(engine.snapshot()))
    with pytest.raises(ValueError, match="BTC-USDT"):
        Engine.restore([ETH], saved)
    for changed in ({"tick": D("0.1")}, {"lot": D("0.0001")}, {"fee_in_quote": True}):
        with pytest.raises(ValueError, match=next(iter(changed))):
            Engine.restore([replace(BTC, **changed), ETH], saved)  # type: ignore[arg-type]
    again = Engine.restore([replace(BTC, max_orders=1), ETH], saved)
    assert again.snapshot() == engine.snapshot()
    assert repr(again.expire(now=50)) == repr(engine.expire(now=50))


@pytest.mark.parametrize("saved", [{}, {"version": 2}, {"version": 1}, {"version": 1, "time": "x"}])
def test_what_is_not_a_snapshot_is_refused(saved: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        Engine.restore([BTC], saved)


def test_a_snapshot_of_another_unit_is_refused() -> None:
    fine = D("1E-18")
    engine = Engine([replace(BTC, lot=D("1E-8"))], unit=fine)
    engine.deposit("ada", "USDT", D("0.000000000000000001"), now=1)
    saved = json.loads(json.dumps(engine.snapshot()))
    instruments = engine.instruments()
    again = Engine.restore(instruments, saved, unit=fine)
    assert again.free("ada", "USDT") == D("1E-18")
    with pytest.raises(ValueError, match=r"counts in units of 0\.0{17}1"):
        Engine.restore(instruments, saved, unit=D("1E-17"))
    with pytest.raises(RefusedError, match=r"amount must be a multiple of 0\.00000001, not"):
        Engine([BTC]).deposit("ada", "USDT", D("1E-9"), now=1)
