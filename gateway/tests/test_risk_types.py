"""Steps of a market, and the age of a quote."""

from decimal import Decimal

from tradingbot_exchange.engine.types import Level
from tradingbot_gateway.risk.types import MAX_AGE, Market, Quote

BTC = Market(
    symbol="BTC-USDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    lot=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    min_notional=Decimal(5),
)


def test_prices_and_quantities_are_rounded_to_what_can_be_ordered() -> None:
    assert BTC.ticks_up(Decimal("100.001")) == Decimal("100.01")
    assert BTC.ticks_down(Decimal("100.019")) == Decimal("100.01")
    assert BTC.lots_down(Decimal("0.0019")) == Decimal("0.001")
    assert BTC.accepts(Decimal("0.05"), Decimal(100))
    assert not BTC.accepts(Decimal("0.049"), Decimal(100))


def test_a_quote_is_fresh_for_thirty_seconds_and_with_two_sides() -> None:
    level = Level(Decimal(1), Decimal(1))
    quote = Quote(symbol="BTC-USDT", bids=(level,), asks=(level,), time=0)
    assert quote.fresh(MAX_AGE)
    assert not quote.fresh(MAX_AGE + 1)
    assert not Quote(symbol="BTC-USDT", bids=(), asks=(level,), time=0).fresh(0)
