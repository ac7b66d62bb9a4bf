"""Each control refuses what it has to refuse, and nothing else; exits pass them all."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from risk_samples import BUY, DAY, HOUR, SELL, D, Harness, order, settings
from tradingbot_api.contract import BotRisk
from tradingbot_exchange.engine.types import OrderType
from tradingbot_gateway.risk.controls import CHECKS
from tradingbot_gateway.risk.events import End, Lost
from tradingbot_gateway.risk.limits import Limits
from tradingbot_gateway.risk.verdicts import Allowed, Control, Release


def test_the_figures_of_a_refusal_are_exact_and_in_the_message() -> None:
    refused = Harness().refused(order(BUY, "10.01", "100"))
    assert refused.control is Control.MAX_POSITION_SIZE
    assert refused.figures == {"value": D(1001), "limit": D(1000), "held": D(0)}
    assert refused.message == (
        "MaxPositionSize: the position in BTC could be worth 1001 USDT with this order and all"
        " open ones; maxPositionSize is 1000"
    )


def test_a_position_may_be_worth_exactly_the_limit() -> None:
    Harness().allowed(order(BUY, "10", "100"))


def test_a_position_counts_what_is_held_open_and_sent() -> None:
    harness = Harness()
    harness.holds("2", "100")
    harness.opened(order(BUY, "3", "100"))
    harness.allowed(order(BUY, "4.999", "100"))  # no answer yet
    assert harness.control(order(BUY, "0.002", "100")) is Control.MAX_POSITION_SIZE
    harness.allowed(order(BUY, "0.001", "100"))


def test_an_order_counts_at_the_worse_of_its_limit_and_the_mark() -> None:
    harness = Harness()
    assert harness.control(order(BUY, "10", "101")) is Control.MAX_POSITION_SIZE
    harness.quote("BTC-USDT", "101")
    assert harness.control(order(BUY, "10", "100")) is Control.MAX_POSITION_SIZE
    harness.quote("BTC-USDT", "100", "101")
    assert harness.control(order(BUY, "10", "100")) is Control.MAX_POSITION_SIZE


def test_a_lost_order_counts_until_the_exchange_has_said() -> None:
    harness = Harness()
    lost = harness.allowed(order(BUY, "6", "100"))
    harness.desk.on(Lost(time=harness.now, client_id=lost.client_id), harness.now)
    harness.wait(1000)
    assert harness.control(order(BUY, "1", "100")) is Control.UNKNOWN_OUTCOME
    harness.allowed(order(BUY, "1", "10", symbol="ETH-USDT"))
    harness.end(lost, End.NOT_FOUND)  # asked too early: the order may still arrive
    assert harness.control(order(BUY, "1", "100")) is Control.UNKNOWN_OUTCOME
    harness.wait(9000)
    harness.end(lost, End.NOT_FOUND)
    harness.allowed(order(BUY, "10", "100"))


def test_an_order_by_quote_quantity_counts_its_money() -> None:
    harness = Harness()
    market = OrderType.MARKET
    assert (
        harness.control(order(BUY, None, type=market, quote_quantity=D("1000.01")))
        is Control.MAX_POSITION_SIZE
    )
    harness.allowed(order(BUY, None, type=market, quote_quantity=D(1000)))
    assert harness.control(order(BUY, "0.001", "100")) is Control.MAX_POSITION_SIZE


@pytest.mark.parametrize("amount", ["9" * 21, "9" * 40])
def test_a_quote_quantity_beyond_all_digits_is_refused(amount: str) -> None:
    harness = Harness()
    harness.holds("1", "100")
    assert harness.control(order(BUY, None, type=OrderType.MARKET, quote_quantity=D(amount)))
    harness.wait(2000)
    assert harness.control(order(SELL, None, type=OrderType.MARKET, quote_quantity=D(amount)))


def test_an_oco_counts_once() -> None:
    harness = Harness()
    harness.allowed(
        order(BUY, "9", "90"),
        order(BUY, "9", "110", type=OrderType.STOP_LIMIT, stop_price=D(110)),
        group="list",
    )
    assert harness.control(order(BUY, "0.2", "100")) is Control.MAX_POSITION_SIZE
    harness.allowed(order(BUY, "0.1", "100"))


def test_one_more_symbol_than_allowed_is_refused_and_open_entries_count() -> None:
    harness = Harness()
    harness.holds("1", "100")
    entry = harness.opened(order(BUY, "1", "10", symbol="ETH-USDT"))
    refused = harness.refused(order(BUY, "10", "1", symbol="SOL-USDT"))
    assert refused.control is Control.MAX_OPEN_POSITIONS
    assert refused.figures == {"open": D(2), "limit": D(2)}
    harness.allowed(order(BUY, "1", "99"))  # it adds to an open one
    harness.end(entry)
    harness.allowed(order(BUY, "10", "1", symbol="SOL-USDT"))
    harness.desk.configured(settings(max_open_positions=1), harness.now)
    assert harness.control(order(BUY, "1", "98")) is Control.MAX_OPEN_POSITIONS


def test_dust_is_not_an_open_position() -> None:
    harness = Harness()
    for symbol, price in (("BTC-USDT", "100"), ("ETH-USDT", "10")):
        harness.holds("1", price, symbol=symbol)
        sold = harness.opened(order(SELL, "0.999", price, symbol=symbol))
        harness.fill(sold, "0.999", price)
    harness.allowed(order(BUY, "10", "1", symbol="SOL-USDT"))


def test_entries_are_refused_at_the_loss_limit_for_the_rest_of_the_day() -> None:
    harness = Harness()
    harness.holds("10", "100")
    harness.quote("BTC-USDT", "90.01")
    harness.allowed(order(BUY, "1", "10", symbol="ETH-USDT"))
    harness.quote("BTC-USDT", "90")
    refused = harness.refused(order(BUY, "1", "10", symbol="ETH-USDT"))
    assert refused.control is Control.DAILY_LOSS_LIMIT
    assert "the day has lost 100 USDT; dailyLossLimit is 100" in refused.message
    harness.quote("BTC-USDT", "110")  # neither profit nor a higher limit ends the halt
    harness.desk.configured(settings(daily_loss_limit=D(5000)), harness.now)
    assert harness.control(order(BUY, "1", "10", symbol="ETH-USDT")) is Control.DAILY_LOSS_LIMIT
    harness.allowed(order(SELL, "10", "110"))
    harness.wait(11 * HOUR)
    harness.refresh()
    assert harness.control(order(BUY, "1", "10", symbol="ETH-USDT")) is Control.DAILY_LOSS_LIMIT
    harness.wait(HOUR)
    harness.refresh()  # young enough to be the prices of the day's start
    harness.allowed(order(BUY, "1", "10", symbol="ETH-USDT"))


def test_a_halt_of_bot_json_refuses_until_it_ends() -> None:
    harness = Harness()
    harness.desk.configured(settings(halted_until=harness.now + HOUR), harness.now)
    refused = harness.refused(order(BUY, "1", "100"))
    assert refused.control is Control.DAILY_LOSS_LIMIT
    assert "for another 60 minutes" in refused.message
    harness.wait(HOUR)
    harness.refresh()
    harness.allowed(order(BUY, "1", "100"))


def test_a_profit_that_is_unknown_allows_nothing() -> None:
    harness = Harness()
    harness.holds("1", "100")
    harness.wait(31_000)
    harness.quote("ETH-USDT", "10")
    refused = harness.refused(order(BUY, "1", "10", symbol="ETH-USDT"))
    assert refused.control is Control.DAILY_LOSS_LIMIT
    assert "no price of BTC-USDT is younger than 30 s" in refused.message
    harness.allowed(order(SELL, "1", "100"))


@pytest.mark.parametrize(
    ("entry", "passes"),
    [
        (order(BUY, "1", "105"), True),
        (order(BUY, "1", "105.01"), False),
        (order(BUY, "1", "1"), True),
        (order(SELL, "1", "96"), True),
        (order(SELL, "1", "95.94"), False),
        (order(SELL, "1", "500"), True),
        (order(BUY, "1", "115", type=OrderType.STOP_LIMIT, stop_price=D(110)), True),
        (order(BUY, "1", "115.6", type=OrderType.STOP_LIMIT, stop_price=D(110)), False),
        (order(BUY, "1", type=OrderType.STOP_MARKET, stop_price=D(110)), False),
    ],
)
def test_prices_far_from_the_mark_are_refused_on_the_costly_side(
    entry: object, passes: bool
) -> None:
    harness = Harness()
    harness.quote("BTC-USDT", "100", "101")
    harness.desk.configured(settings(max_position_size=D(100_000)), harness.now)
    verdict = harness.ask(entry)  # type: ignore[arg-type]
    assert isinstance(verdict, Allowed) is passes
    assert passes or verdict.control is Control.PRICE_COLLAR


def test_a_market_order_is_judged_by_the_depth_of_the_book() -> None:
    harness = Harness()
    limits = {"max_position_size": D(1_000_000), "price_collar_percentage": D("0.5")}
    harness.desk.configured(settings(**limits), harness.now)
    harness.allowed(order(BUY, "1000"))
    refused = harness.refused(order(BUY, "1000.001"))
    assert refused.control is Control.PRICE_COLLAR
    assert refused.figures["price"] == D(101)
    harness.desk.configured(settings(max_position_size=D(10**9)), harness.now)
    refused = harness.refused(order(BUY, "2000.001"))
    assert "does not hold a market order of this size" in refused.message
    harness.allowed(order(BUY, None, quote_quantity=D(201_000)))
    assert harness.control(order(BUY, None, quote_quantity=D(201_001))) is Control.PRICE_COLLAR


def test_no_entry_without_a_price_of_the_last_30_seconds() -> None:
    harness = Harness()
    harness.wait(30_000)
    harness.allowed(order(BUY, "1", "100"))
    harness.wait(1)
    assert harness.control(order(BUY, "2", "100")) is Control.NO_PRICE


def test_entries_per_minute_are_limited_and_refused_ones_do_not_count() -> None:
    harness = Harness()
    harness.desk.configured(settings(max_orders_per_minute=2), harness.now)
    first = harness.opened(order(BUY, "1", "100"))
    assert harness.control(order(BUY, "100", "100")) is Control.MAX_POSITION_SIZE
    harness.wait(1)
    harness.allowed(order(BUY, "1", "99"))
    refused = harness.refused(order(BUY, "1", "98"))
    assert refused.control is Control.ORDER_RATE
    assert refused.message == (
        "MaxOrdersPerMinute: 2 entries were sent in the last 60 s; maxOrdersPerMinute is 2"
    )
    harness.fill(first, "1", "100")
    harness.allowed(order(SELL, "0.5", "100"))  # exits never
    harness.wait(60_000 - 2)
    harness.refresh()
    assert harness.control(order(BUY, "1", "97")) is Control.ORDER_RATE
    harness.wait(1)
    harness.allowed(order(BUY, "1", "97"))


def test_other_symbols_than_the_allowed_ones_are_refused() -> None:
    harness = Harness()
    assert harness.control(order(BUY, "1", "0.1", symbol="ETH-BTC")) is Control.ALLOWED_SYMBOLS
    assert harness.control(order(BUY, "1", "1", symbol="XXX-USDT")) is Control.ALLOWED_SYMBOLS
    harness.desk.configured(settings(allowed_symbols=frozenset({"ETH-BTC"})), harness.now)
    refused = harness.refused(order(BUY, "1", "100"))
    assert refused.message == "AllowedSymbols: BTC-USDT is not one of allowedSymbols: ETH-BTC"
    harness.allowed(order(BUY, "1", "0.1", symbol="ETH-BTC"))


def test_a_symbol_in_another_currency_is_valued_through_money() -> None:
    harness = Harness()
    allowed = frozenset({"ETH-BTC", "BTC-USDT", "ETH-USDT"})
    harness.desk.configured(
        settings(allowed_symbols=allowed, max_position_size=D(100)), harness.now
    )
    harness.holds("1", "100")
    # Worth 100.1 at 0.1001 BTC, although ETH-USDT is 10.
    assert (
        harness.control(order(BUY, "10", "0.1001", symbol="ETH-BTC")) is Control.MAX_POSITION_SIZE
    )
    bought = harness.opened(order(BUY, "10", "0.1", symbol="ETH-BTC"))
    harness.fill(bought, "10", "0.1")
    assert harness.desk.ledger.held("BTC") == 0
    assert harness.desk.ledger.held("ETH") == 10
    # The sale closes ETH, and is an entry in BTC.
    assert (
        harness.control(order(SELL, "10", "0.101", symbol="ETH-BTC")) is Control.MAX_POSITION_SIZE
    )
    harness.allowed(order(SELL, "10", "10", symbol="ETH-USDT"))


def test_the_same_client_id_and_the_same_entry_within_a_second_are_refused() -> None:
    harness = Harness()
    first = harness.allowed(order(BUY, "1", "100", client_id="a"))
    assert harness.control(order(BUY, "1", "99", client_id="a")) is Control.DUPLICATE
    harness.wait(999)
    refused = harness.refused(order(BUY, "1", "100", client_id="b"))
    assert refused.message == "Duplicate: the same entry was sent 999 ms ago, as a"
    harness.wait(1)
    harness.allowed(order(BUY, "1", "100", client_id="c"))
    harness.end(first)
    assert harness.control(order(BUY, "1", "90", client_id="a")) is Control.DUPLICATE


def test_an_entry_that_was_not_taken_may_be_sent_again_at_once() -> None:
    harness = Harness()
    harness.end(harness.allowed(order(BUY, "1", "100", client_id="a")), End.NOT_TAKEN)
    assert harness.control(order(BUY, "1", "99", client_id="a")) is Control.DUPLICATE
    again = harness.allowed(order(BUY, "1", "100", client_id="b"))
    harness.end(again, End.REFUSED)
    assert harness.control(order(BUY, "1", "100", client_id="c")) is Control.DUPLICATE


def test_an_open_exit_is_not_sent_a_second_time_under_the_same_client_id() -> None:
    harness = Harness()
    harness.holds("2", "100")
    harness.opened(order(SELL, "1", "100", client_id="exit"))
    assert harness.control(order(SELL, "1", "100", client_id="exit")) is Control.DUPLICATE


@pytest.mark.parametrize(
    ("change", "control"),
    [
        (lambda desk: desk.disconnected("the stream was cut"), Control.NOT_RECONCILED),
        (lambda desk: desk.terminate("the pod was told to go"), Control.TERMINATING),
        (lambda desk: desk.granted(not_granted="withdrawn", outdated=None), Control.NOT_GRANTED),
        (lambda desk: desk.granted(not_granted=None, outdated="changed"), Control.NOT_GRANTED),
        (lambda desk: desk.configured(settings(closed="paused"), 0), Control.CLOSED),
    ],
)
def test_a_reason_to_open_nothing_refuses_entries_and_lets_exits_pass(
    change: Callable[[object], None], control: Control
) -> None:
    harness = Harness()
    harness.holds("1", "100")
    change(harness.desk)
    assert harness.control(order(BUY, "1", "100")) is control
    harness.allowed(order(SELL, "1", "100"))


def test_what_reduces_is_judged_by_the_position_less_all_open_exits() -> None:
    harness = Harness()
    harness.holds("2", "100")
    harness.opened(order(SELL, "1.5", "105"))
    verdict = harness.ask(order(SELL, "0.5", "105"))
    assert verdict == Allowed(entry=False)
    harness.wait(1000)
    verdict = harness.ask(order(SELL, "0.001", "105"))
    assert verdict == Allowed(entry=True)


def test_a_replaced_exit_does_not_count_beside_the_new_one() -> None:
    harness = Harness()
    harness.holds("1", "100")
    exit_ = harness.opened(order(SELL, "1", "110"))
    harness.desk.terminate("the pod was told to go")
    assert harness.control(order(SELL, "1", "109")) is Control.TERMINATING
    assert harness.ask(order(SELL, "1", "109"), replaces=exit_.client_id) == Allowed(entry=False)


def test_a_replaced_entry_counts_beside_the_new_one() -> None:
    harness = Harness()
    entry = harness.opened(order(BUY, "6", "100"))
    assert (
        harness.control(order(BUY, "6", "99"), replaces=entry.client_id)
        is Control.MAX_POSITION_SIZE
    )


def test_an_exit_passes_every_control() -> None:
    """Halted, closed, told to go, without prices, over the rate, in a symbol that is forbidden."""
    harness = Harness()
    harness.holds("2", "100")
    harness.desk.configured(
        settings(
            allowed_symbols=frozenset(),
            max_orders_per_minute=0,
            max_position_size=D(1),
            max_open_positions=0,
            daily_loss_limit=D(1),
            closed="paused",
        ),
        harness.now,
    )
    harness.quote("BTC-USDT", "1")
    harness.desk.terminate("the pod was told to go")
    harness.desk.disconnected("the stream was cut")
    harness.wait(2 * DAY)
    assert harness.ask(order(SELL, "1")) == Allowed(entry=False)
    assert harness.ask(order(SELL, "1", "0.01")) == Allowed(entry=False)


def test_protection_is_released_for_an_exit_of_the_bot() -> None:
    harness = Harness()
    harness.holds("1", "100")
    (place,) = harness.desk.actions(harness.now)
    exit_ = order(SELL, "1", "101")
    verdict = harness.ask(exit_)
    assert isinstance(verdict, Release)
    assert [(c.symbol, c.group) for c in verdict.cancels] == [("BTC-USDT", place.group)]  # type: ignore[union-attr]
    assert harness.desk.actions(harness.now) == ()  # it waits for the exit
    for one in place.orders:  # type: ignore[union-attr]
        harness.end(one)
    assert harness.desk.actions(harness.now) == ()
    assert harness.ask(exit_) == Allowed(entry=False)
    assert harness.desk.actions(harness.now) == ()


def test_limits_are_read_from_bot_json() -> None:
    risk = BotRisk.model_validate(
        {
            "maxPositionSize": "1000.5",
            "dailyLossLimit": "200",
            "stopLossPercentage": "2.5",
            "takeProfitPercentage": "5",
            "maxOpenPositions": 3,
            "priceCollarPercentage": "0.75",
            "allowedSymbols": ["BTC-USDT"],
        }
    )
    limits = Limits.of(risk, money="USDT")
    assert limits.max_position_size == Decimal("1000.5")
    assert limits.price_collar_percentage == Decimal("0.75")
    assert limits.max_orders_per_minute == 60
    assert limits.allowed_symbols == {"BTC-USDT"}


def test_each_control_has_a_sentence_for_the_documentation() -> None:
    assert all(check.__doc__ for check in CHECKS.values())


def test_an_exit_in_another_currency_passes_without_a_young_price() -> None:
    """It sells BTC that the bot has, and buys ETH that the bot has sold."""
    harness = Harness()
    harness.holds("2", "100")
    short = harness.opened(order(SELL, "9", "10", symbol="ETH-USDT"))
    harness.fill(short, "9", "10")
    harness.wait(31_000)
    exit_ = order(BUY, "9", symbol="ETH-BTC")
    assert harness.ask(exit_) == Allowed(entry=False)
    harness.end(exit_)
    assert harness.control(order(BUY, "9.1", symbol="ETH-BTC")) is Control.ALLOWED_SYMBOLS
