"""What single orders do, with figures computed by hand."""

from decimal import Decimal

import pytest
from engine_samples import BTC, BUY, COARSE, SELL, D, free_and_held, funded, order, refusal
from tradingbot_exchange.engine.matching import Engine
from tradingbot_exchange.engine.types import (
    Balance,
    BalanceEvent,
    BookEvent,
    Change,
    Level,
    OrderEvent,
    OrderStatus,
    OrderType,
    Reason,
    RefusedError,
    TimeInForce,
    TradeEvent,
)

IOC, FOK, GTD = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD


def test_a_resting_buy_holds_its_notional_and_no_fee() -> None:
    engine = funded("ada")
    placed, events = engine.submit("ada", order(BUY, "0.5", "30000"), now=5)
    assert placed.status is OrderStatus.OPEN
    assert free_and_held(engine, "ada", "USDT") == (D(985000), D(15000))
    assert [type(event) for event in events] == [OrderEvent, BookEvent, BalanceEvent]
    assert engine.book("BTC-USDT", 5).bids == (Level(D(30000), D("0.5")),)


def test_a_trade_is_at_the_makers_price_and_each_side_pays_its_own_fee() -> None:
    engine = funded("ada", "bob")
    sale, _ = engine.submit("ada", order(SELL, "0.3", "30000"), now=1)
    purchase, events = engine.submit("bob", order(BUY, "0.3", "30500"), now=2)
    assert sale.status is purchase.status is OrderStatus.FILLED
    # The maker receives 9,000 USDT less 0.1 %, the taker 0.3 BTC less 0.2 %.
    assert free_and_held(engine, "ada", "USDT") == (D(1008991), 0)
    assert free_and_held(engine, "ada", "BTC") == (D("9.7"), 0)
    assert free_and_held(engine, "bob", "USDT") == (D(991000), 0)
    assert free_and_held(engine, "bob", "BTC") == (D("10.2994"), 0)
    assert engine.collected_fees() == {"USDT": D(9), "BTC": D("0.0006")}
    assert (sale.fees, purchase.fees) == ({"USDT": D(9)}, {"BTC": D("0.0006")})
    assert engine.last_price("BTC-USDT") == D(30000)
    trades = [event.trade for event in events if isinstance(event, TradeEvent)]
    assert [(t.id, t.price, t.quantity, t.buyer_is_maker) for t in trades] == [
        (1, D(30000), D("0.3"), False)
    ]
    assert [fill.maker for fill in engine.fills("ada") + engine.fills("bob")] == [True, False]


def test_events_of_a_trade_come_in_the_order_in_which_it_happened() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(SELL, "0.3", "30000"), now=1)
    _, events = engine.submit("bob", order(BUY, "0.1", "30000"), now=2)
    changes = [
        (event.change, event.order.account, event.status)
        if isinstance(event, OrderEvent)
        else type(event)
        for event in events
    ]
    assert changes == [
        (Change.ACCEPTED, "bob", OrderStatus.OPEN),
        TradeEvent,
        (Change.FILLED, "ada", OrderStatus.PARTIALLY_FILLED),
        (Change.FILLED, "bob", OrderStatus.FILLED),
        BookEvent,
        BalanceEvent,
        BalanceEvent,
    ]
    book = events[4]
    assert isinstance(book, BookEvent)
    assert (book.bids, book.asks) == ((), (Level(D(30000), D("0.2")),))


def test_a_balance_event_has_only_what_changed() -> None:
    engine = funded("ada")
    _, events = engine.submit("ada", order(SELL, "1", "30000"), now=1)
    assert [event for event in events if isinstance(event, BalanceEvent)] == [
        BalanceEvent(account="ada", balances={"BTC": Balance(D(9), D(1))}, time=1)
    ]


def test_a_sweep_takes_the_best_prices_first_and_the_oldest_first_at_each() -> None:
    engine = funded("ada", "bob", "cyd")
    dear, _ = engine.submit("ada", order(SELL, "1", "30002"), now=1)
    first, _ = engine.submit("ada", order(SELL, "1", "30001"), now=2)
    second, _ = engine.submit("bob", order(SELL, "1", "30001"), now=3)
    taken, _ = engine.submit("cyd", order(BUY, "2.5"), now=4)
    assert [f.price for f in engine.fills("cyd")] == [D(30001), D(30001), D(30002)]
    assert [first.filled, second.filled, dear.filled] == [D(1), D(1), D("0.5")]
    assert taken.filled_quote == D("75003")


def test_the_rest_of_a_limit_order_rests_and_of_an_ioc_order_expires() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(SELL, "1", "30000"), now=1)
    rest, _ = engine.submit("bob", order(BUY, "1.5", "30000"), now=2)
    assert rest.status is OrderStatus.PARTIALLY_FILLED
    assert free_and_held(engine, "bob", "USDT") == (D(955000), D(15000))
    ended, _ = engine.submit("ada", order(SELL, "1", "30000", tif=IOC), now=3)
    assert (ended.status, ended.ended_by) == (OrderStatus.EXPIRED, Reason.UNFILLED_IOC)
    assert ended.filled == D("0.5")
    assert free_and_held(engine, "ada", "BTC") == (D("8.5"), 0)
    assert engine.open_orders("ada") == engine.open_orders("bob") == []


def test_a_fok_order_is_filled_as_a_whole_or_not_at_all() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(SELL, "1", "30000"), now=1)
    engine.submit("ada", order(SELL, "1", "30001"), now=1)
    for quantity, price in (("2", "30000"), ("2.1", "30001")):
        killed, _ = engine.submit("bob", order(BUY, quantity, price, tif=FOK), now=2)
        assert (killed.status, killed.ended_by) == (OrderStatus.EXPIRED, Reason.UNFILLED_FOK)
        assert not killed.filled
    filled, _ = engine.submit("bob", order(BUY, "2", "30001", tif=FOK), now=3)
    assert filled.status is OrderStatus.FILLED


def test_a_fok_order_does_not_count_orders_of_its_own_account() -> None:
    engine = funded("ada", "bob")
    own, _ = engine.submit("bob", order(SELL, "1", "30000"), now=1)
    engine.submit("ada", order(SELL, "1", "30000"), now=1)
    killed, _ = engine.submit("bob", order(BUY, "2", "30000", tif=FOK), now=2)
    assert killed.ended_by is Reason.UNFILLED_FOK
    assert own.status is OrderStatus.OPEN


def test_a_post_only_order_that_would_be_matched_is_refused() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(SELL, "1", "30000"), now=1)
    assert refusal(engine, "bob", order(BUY, "1", "30000", post_only=True)) is Reason.WOULD_TAKE
    resting, _ = engine.submit("bob", order(BUY, "1", "29999.99", post_only=True), now=2)
    assert resting.status is OrderStatus.OPEN


def test_a_market_order_that_empties_the_book_ends_with_the_rest() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(SELL, "1", "30000"), now=1)
    ended, _ = engine.submit("bob", order(BUY, "3"), now=2)
    assert (ended.status, ended.filled) == (OrderStatus.EXPIRED, D(1))
    assert ended.ended_by is Reason.NO_LIQUIDITY


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_market_order_without_any_liquidity_is_accepted_and_ends(side: object) -> None:
    engine = funded("ada")
    request = order(BUY if side is BUY else SELL, "1")
    ended, _ = engine.submit("ada", request, now=2)
    assert (ended.status, ended.ended_by) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
    assert free_and_held(engine, "ada", "BTC") == (D(10), 0)


def test_a_market_buy_by_quote_quantity_buys_whole_lots_only() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(SELL, "0.1", "30000"), now=1)
    engine.submit("ada", order(SELL, "1", "40000"), now=1)
    bought, _ = engine.submit("bob", order(BUY, quote="5000.3"), now=2)
    # 3,000 for 0.1; the remaining 2,000.30 buy 0.05000 (0.4 a lot; 0.3 are not enough for another).
    assert bought.status is OrderStatus.FILLED
    assert bought.filled == bought.quantity == D("0.15000")
    assert bought.filled_quote == D(5000)
    assert free_and_held(engine, "bob", "USDT") == (D(995000), 0)


def test_a_market_sale_by_quote_quantity_receives_no_more_than_that() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(BUY, "1", "30000"), now=1)
    sold, _ = engine.submit("bob", order(SELL, quote="1000"), now=2)
    # 0.03333 BTC bring 999.90; 0.03334 would bring 1,000.20.
    assert (sold.status, sold.filled, sold.filled_quote) == (
        OrderStatus.FILLED,
        D("0.03333"),
        D("999.9"),
    )


def test_a_quote_quantity_that_the_book_can_not_satisfy_ends_with_what_there_is() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(SELL, "0.1", "30000"), now=1)
    ended, _ = engine.submit("bob", order(BUY, quote="5000"), now=2)
    assert (ended.status, ended.ended_by) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
    assert ended.filled == ended.quantity == D("0.1")
    exact, _ = engine.submit("ada", order(SELL, "0.1", "30000"), now=3)
    filled, _ = engine.submit("bob", order(BUY, quote="3000"), now=4)
    assert filled.status is exact.status is OrderStatus.FILLED


def test_a_quote_quantity_that_is_worth_less_than_a_lot_is_refused() -> None:
    engine = funded("ada", "bob", instrument=COARSE, quote="1000")
    engine.submit("ada", order(SELL, "1", "20", symbol="A-B"), now=1)
    request = order(BUY, quote="0.19", symbol="A-B")
    assert refusal(engine, "bob", request) is Reason.QUANTITY_RANGE
    request = order(BUY, quote="0.2", symbol="A-B")
    assert engine.submit("bob", request, now=1)[0].filled == D("0.01")


def test_an_order_that_meets_its_own_account_ends_the_older_one() -> None:
    engine = funded("ada", "bob")
    own, _ = engine.submit("ada", order(SELL, "1", "30000"), now=1)
    engine.submit("bob", order(SELL, "1", "30001"), now=1)
    taken, _ = engine.submit("ada", order(BUY, "1", "30001"), now=2)
    assert (own.status, own.ended_by) == (OrderStatus.EXPIRED, Reason.SELF_TRADE)
    assert taken.filled_quote == D(30001)
    assert free_and_held(engine, "ada", "BTC") == (D("10.998"), 0)


def test_a_cancel_releases_the_hold_and_an_ended_order_can_not_be_canceled() -> None:
    engine = funded("ada", "bob")
    placed, _ = engine.submit("ada", order(BUY, "1", "30000", client_id="x"), now=1)
    canceled, events = engine.cancel("ada", placed.id, now=2)
    assert (canceled.status, canceled.ended_by) == (OrderStatus.CANCELED, Reason.BY_USER)
    assert free_and_held(engine, "ada", "USDT") == (D(1000000), 0)
    assert isinstance(events[0], OrderEvent)
    assert events[0].reason is Reason.BY_USER
    for account, number in (("ada", placed.id), ("bob", placed.id), ("ada", 99)):
        with pytest.raises(RefusedError, match="UNKNOWN_ORDER"):
            engine.cancel(account, number, now=3)


def test_a_gtd_order_ends_when_its_time_has_come() -> None:
    engine = funded("ada")
    request = order(BUY, "1", "30000", tif=GTD, expires_at=100)
    placed, _ = engine.submit("ada", request, now=1)
    assert engine.expire(now=99) == []
    engine.expire(now=100)
    assert (placed.status, placed.ended_by) == (OrderStatus.EXPIRED, Reason.REACHED_END_TIME)
    assert free_and_held(engine, "ada", "USDT") == (D(1000000), 0)
    assert refusal(engine, "ada", request, now=100) is Reason.BAD_PARAMETERS


def test_gtd_orders_that_are_canceled_are_not_kept_until_their_end() -> None:
    engine = funded("ada")
    for _ in range(1000):
        request = order(BUY, "1", "30000", tif=GTD, expires_at=10**12)
        placed, _ = engine.submit("ada", request, now=1)
        engine.cancel("ada", placed.id, now=1)
    assert len(engine._state.expiries) < 100


def test_a_replaced_order_frees_its_hold_for_the_new_one() -> None:
    engine = funded("ada", quote="30000")
    old, _ = engine.submit("ada", order(BUY, "1", "30000", client_id="x"), now=1)
    new, _ = engine.replace("ada", old.id, order(BUY, "1.5", "20000", client_id="x"), now=2)
    assert (old.status, old.ended_by) == (OrderStatus.CANCELED, Reason.REPLACED)
    assert new.status is OrderStatus.OPEN
    assert free_and_held(engine, "ada", "USDT") == (0, D(30000))


def test_an_order_stays_if_its_replacement_is_refused() -> None:
    engine = funded("ada", quote="30000")
    old, _ = engine.submit("ada", order(BUY, "1", "30000"), now=1)
    before = engine.snapshot()
    with pytest.raises(RefusedError, match="INSUFFICIENT_BALANCE"):
        engine.replace("ada", old.id, order(BUY, "1.1", "30000"), now=2)
    assert engine.snapshot() == before


def test_a_post_only_replacement_does_not_meet_the_order_that_it_replaces() -> None:
    engine = funded("ada", "bob")
    old, _ = engine.submit("ada", order(SELL, "1", "30000"), now=1)
    new, _ = engine.replace("ada", old.id, order(BUY, "1", "30000", post_only=True), now=2)
    assert new.status is OrderStatus.OPEN
    other, _ = engine.submit("bob", order(BUY, "1", "30000"), now=2)
    assert engine.book("BTC-USDT", 1).bids[0].quantity == D(2)
    assert other.status is OrderStatus.OPEN


def test_an_edit_keeps_the_place_if_only_the_quantity_falls() -> None:
    engine = funded("ada", "bob", "cyd")
    first, _ = engine.submit("ada", order(BUY, "2", "30000"), now=1)
    second, _ = engine.submit("bob", order(BUY, "2", "30000"), now=2)
    engine.edit("ada", first.id, price=D(30000), quantity=D(1), now=3)
    assert free_and_held(engine, "ada", "USDT") == (D(970000), D(30000))
    engine.submit("cyd", order(SELL, "0.5"), now=4)
    assert (first.filled, second.filled) == (D("0.5"), D(0))
    engine.edit("ada", first.id, price=D(30000), quantity=D(2), now=5)
    engine.submit("cyd", order(SELL, "2"), now=6)
    assert (first.filled, second.filled) == (D("0.5"), D(2))
    assert (first.quantity, first.request.quantity) == (D(2), D(2))


def test_an_edit_across_the_book_is_matched() -> None:
    engine = funded("ada", "bob")
    engine.submit("ada", order(SELL, "1", "30000"), now=1)
    edited, _ = engine.submit("bob", order(BUY, "1", "29000", client_id="x"), now=2)
    again, events = engine.edit("bob", edited.id, price=D(30000), quantity=D(1), now=3)
    assert again is edited
    assert edited.status is OrderStatus.FILLED
    assert [e.change for e in events if isinstance(e, OrderEvent)] == [
        Change.REPLACED,
        Change.FILLED,
        Change.FILLED,
    ]


def test_an_edit_is_refused_below_what_is_filled_and_beyond_the_balance() -> None:
    engine = funded("ada", "bob", quote="60000")
    placed, _ = engine.submit("ada", order(BUY, "2", "30000"), now=1)
    engine.submit("bob", order(SELL, "1"), now=2)
    before = engine.snapshot()
    for quantity, reason in ((D(1), "BAD_PARAMETERS"), (D("2.1"), "INSUFFICIENT_BALANCE")):
        with pytest.raises(RefusedError, match=reason):
            engine.edit("ada", placed.id, price=D(30000), quantity=quantity, now=3)
    assert engine.snapshot() == before


def test_queries_find_orders_by_id_client_id_and_symbol() -> None:
    engine = funded("ada")
    first, _ = engine.submit("ada", order(BUY, "1", "30000", client_id="x"), now=1)
    engine.cancel("ada", first.id, now=1)
    second, _ = engine.submit("ada", order(BUY, "1", "30000", client_id="x"), now=2)
    assert engine.order("ada", first.id) is first
    assert engine.order_by_client_id("ada", "x") is second
    assert engine.order_by_client_id("ada", "x", "BTC-USDT") is second
    with pytest.raises(RefusedError, match="UNKNOWN_ORDER"):
        engine.order_by_client_id("ada", "x", "ETH-USDT")
    assert engine.orders("ada") == [first, second]
    assert engine.open_orders("ada", "BTC-USDT") == [second]
    assert engine.open_orders("ada", "ETH-USDT") == []
    with pytest.raises(RefusedError, match="UNKNOWN_ACCOUNT"):
        engine.orders("eve")


def test_an_account_without_history_keeps_only_what_is_open() -> None:
    engine = funded("bob")
    engine.open_account("ada", keeps_history=False)
    engine.deposit("ada", "USDT", D(1000000), now=0)
    for _ in range(50):
        placed, _ = engine.submit("ada", order(BUY, "1", "30000", client_id="x"), now=1)
        engine.cancel("ada", placed.id, now=1)
    open_one, _ = engine.submit("ada", order(BUY, "1", "30000"), now=1)
    engine.submit("bob", order(SELL, "0.5"), now=2)
    assert engine.orders("ada") == [open_one]
    assert engine.fills("ada") == []
    assert engine.fills("bob") != []
    engine.open_account("bob", keeps_history=False)
    assert engine.orders("bob") == engine.fills("bob") == []


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "0.000000001", "1E+40"])
def test_a_deposit_of_no_amount_is_refused(amount: str) -> None:
    engine = Engine([BTC])
    with pytest.raises(RefusedError, match="BAD_PARAMETERS"):
        engine.deposit("ada", "USDT", Decimal(amount), now=1)
    assert engine.accounts() == []


def test_a_withdrawal_takes_only_what_is_free() -> None:
    engine = funded("ada", quote="30000")
    engine.submit("ada", order(BUY, "0.5", "30000"), now=1)
    with pytest.raises(RefusedError, match="INSUFFICIENT_BALANCE"):
        engine.deposit("ada", "USDT", D("-15000.01"), now=2)
    engine.deposit("ada", "USDT", D(-15000), now=2)
    assert free_and_held(engine, "ada", "USDT") == (0, D(15000))
    assert engine.total("USDT") == D(15000)


def test_an_order_keeps_its_request() -> None:
    engine = funded("ada")
    placed, _ = engine.submit("ada", order(BUY, "1", "30000", stop="31000"), now=1)
    assert placed.request.type is OrderType.STOP_LIMIT
