"""Fees and their rounding, with figures computed by hand."""

from dataclasses import replace
from decimal import Decimal

from engine_samples import BTC, BUY, COARSE, SELL, D, free_and_held, funded, order
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_exchange.engine.markets import Market
from tradingbot_exchange.engine.plans import most_lots
from tradingbot_exchange.engine.types import ASSET_UNIT, TimeInForce

IOC = TimeInForce.IOC
FEES = [D("0"), D("0.001"), D("0.0013"), D("0.25"), D("0.9999999")]


def test_fees_are_rounded_up_once_for_each_order() -> None:
    tiny = D("0.0000001")
    instrument = replace(COARSE, min_notional=D(0), maker_fee=tiny, taker_fee=tiny)
    engine = funded("ada", "bob", instrument=instrument, quote="1000")
    sale, _ = engine.submit("ada", order(SELL, "0.03", "3.5", symbol="A-B"), now=1)
    for _ in range(3):
        engine.submit("bob", order(BUY, "0.01", "3.5", symbol="A-B", tif=IOC), now=2)
    # 0.0000000035 for each fill, 0.0000000105 in all: two units, of which the first is charged with
    # the first fill, and the second when the exact sum has passed one unit.
    assert [fill.fee for fill in engine.fills("ada")] == [D("1E-8"), 0, D("1E-8")]
    assert sale.fees == {"B": D("2E-8")}
    # The taker's are orders of their own.
    assert [fill.fee for fill in engine.fills("bob")] == [D("1E-8")] * 3


def test_a_buy_whose_fee_is_in_quote_holds_the_highest_fee() -> None:
    engine = funded("ada", "bob", instrument=replace(BTC, fee_in_quote=True))
    engine.submit("ada", order(BUY, "1", "30000"), now=1)
    assert free_and_held(engine, "ada", "USDT") == (D(969940), D(30060))
    engine.submit("bob", order(SELL, "0.5", "30000"), now=2)
    # As a maker, 15 instead of 30 of fee were charged.
    assert free_and_held(engine, "ada", "USDT") == (D(969955), D(15030))
    assert free_and_held(engine, "ada", "BTC") == (D("10.5"), 0)
    assert free_and_held(engine, "bob", "USDT") == (D(1014970), 0)
    engine.submit("bob", order(SELL, "1", "31000"), now=3)
    spent, _ = engine.submit("ada", order(BUY, quote="15531"), now=4)
    # 0.5 BTC cost 15,500 and 31 of fee.
    assert (spent.filled, spent.fees) == (D("0.5"), {"USDT": D(31)})


@given(st.integers(1, 10**10), st.integers(1, 1000), st.integers(0, 10**8), st.sampled_from(FEES))
def test_a_quote_quantity_buys_as_many_lots_as_it_pays_for_with_the_fee(
    money: int, price: int, spent: int, fee: Decimal
) -> None:
    market = Market(
        replace(COARSE, fee_in_quote=True, maker_fee=fee, taker_fee=fee), unit=ASSET_UNIT
    )
    lots = most_lots(market, price, money, spent=spent, with_fee=True)

    def cost(lots: int) -> int:
        total = spent + lots * price * market.notional_units
        return total + market.fee_units(total * market.taker_fee)

    assert lots == 0 or cost(lots) <= money
    assert cost(lots + 1) > money
