"""Generated prices, shocks, and the liquidity around them."""

from __future__ import annotations

from decimal import Decimal
from statistics import pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_exchange.engine.types import Change, OrderEvent, OrderStatus, Side
from tradingbot_exchange.market.liquidity import HOUSE, TAKERS, quotes
from tradingbot_exchange.market.noise import SCALE, OctaveWalk, mix, normal, uniform
from tradingbot_exchange.market.prices import GeneratedPrices
from tradingbot_exchange.market.shocks import Shock, Shocks
from tradingbot_exchange.market.symbols import DialectName, default_symbols
from venue_samples import START, harness, limit

STEPS = st.integers(-(10**7), 10**7)
SYMBOLS = ("BTC-USDT", "ETH-USDT", "ETH-BTC")


def prices(seed: int) -> GeneratedPrices:
    return GeneratedPrices(
        seed,
        first=("BTC-USDT", Decimal(60000)),
        second=("ETH-USDT", Decimal(3000)),
        cross="ETH-BTC",
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**63), st.lists(STEPS, min_size=1, max_size=12), st.randoms())
def test_a_price_does_not_depend_on_when_and_in_which_order_it_is_asked_for(
    seed: int, steps: list[int], random: object
) -> None:
    one, other = prices(seed), prices(seed)
    asked = [(symbol, step) for step in steps for symbol in SYMBOLS]
    first = {key: one.price(*key) for key in asked}
    random.shuffle(asked)  # type: ignore[attr-defined]
    assert {key: other.price(*key) for key in asked} == first


def test_prices_begin_at_the_documented_price_and_differ_by_seed() -> None:
    assert prices(1).price("BTC-USDT", 0) == 60000
    assert prices(1).price("ETH-USDT", 0) == 3000
    assert len({prices(seed).price("BTC-USDT", 1000) for seed in range(50)}) == 50


def test_the_first_prices_of_seed_7_are_these_on_every_machine() -> None:
    made = [str(prices(7).price("BTC-USDT", step)) for step in (1, 1000, -1_000_000)]
    assert made == ["59999.5147219624670", "60050.9833686029442", "65425.9351135081092"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), STEPS)
def test_prices_stay_positive_and_within_bounds(seed: int, step: int) -> None:
    for symbol, start in zip(SYMBOLS, (60000, 3000, Decimal("0.05")), strict=True):
        assert start / 10 < prices(seed).price(symbol, step) < start * 10


def test_bitcoin_and_ether_move_together_but_not_alike() -> None:
    made = prices(7)
    returns = [
        [float(made.price(s, i + 240) / made.price(s, i)) - 1 for i in range(0, 96_000, 240)]
        for s in SYMBOLS[:2]
    ]
    means = [sum(r) / len(r) for r in returns]
    covariance = sum((a - means[0]) * (b - means[1]) for a, b in zip(*returns, strict=True)) / len(
        returns[0]
    )
    assert 0.4 < covariance / (pstdev(returns[0]) * pstdev(returns[1])) < 0.97


def test_all_regimes_occur_and_a_volatile_one_moves_more_than_a_calm_one() -> None:
    made = prices(7)
    spans: dict[str, list[float]] = {}
    for slot in range(400):
        step = slot * 3600 + 1800
        move = abs(float(made.price("BTC-USDT", step + 4) / made.price("BTC-USDT", step)) - 1)
        spans.setdefault(made.regime(step), []).append(move)
    assert set(spans) == {"calm", "normal", "trend", "volatile"}
    calm, volatile = (sum(spans[r]) / len(spans[r]) for r in ("calm", "volatile"))
    assert volatile > 3 * calm


def test_the_triangle_is_open_for_arbitrage_now_and_then_and_closed_mostly() -> None:
    made = prices(7)
    wide = 0
    for step in range(0, 80_000, 8):
        btc, eth, cross = (made.price(symbol, step) for symbol in SYMBOLS)
        wide += abs(cross * btc / eth - 1) > Decimal("0.0035")
    assert 0.005 < wide / 10_000 < 0.1


@given(st.integers(), st.integers())
def test_random_bits_stay_in_their_bounds(one: int, other: int) -> None:
    bits = mix(one, other)
    assert 0 <= bits < 1 << 64
    assert 3 <= uniform(bits, 3, 9) <= 9
    assert abs(normal(bits, SCALE)) < 4 * SCALE


def test_a_walk_varies_with_the_square_root_of_time() -> None:
    walk = OctaveWalk(5, octaves=20, amplitude=lambda octave, _: int(1000 * 2 ** (octave / 2)))
    spread = {
        lag: pstdev([walk.at(i + lag) - walk.at(i) for i in range(0, lag * 600, lag)])
        for lag in (16, 256)
    }
    assert 2.5 < spread[256] / spread[16] < 6.5


# Shocks


@given(st.integers(-90, 500), st.integers(1000, 10**6), st.integers(0, 10**7))
def test_a_shock_moves_prices_and_returns_them(percent: int, over: int, hold: int) -> None:
    shock = Shock(
        id="x", symbol=None, percent=Decimal(percent), start=START, over=over,
        end=START + over + hold,
    )  # fmt: skip
    assert shock.factor(START - 1) == shock.factor(START) == 1
    assert shock.factor(START + over) == shock.factor(shock.end) == 1 + Decimal(percent) / 100
    assert shock.factor(shock.end + over) == 1
    assert shock.is_over(shock.end + over)
    assert not shock.is_over(shock.end + over - 1)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_crash_that_is_ended_early_returns_without_a_jump(ended: int, after: int) -> None:
    shock = Shock(id="x", symbol=None, percent=Decimal(-50), start=0, over=10_000, end=ended)
    step = abs(shock.factor(ended + after) - shock.factor(ended + after + 1))
    assert Decimal("0.5") <= shock.factor(ended + after) <= 1
    assert step <= Decimal("0.0001")


def test_a_shock_of_one_leg_moves_the_cross_so_that_the_triangle_stays_closed() -> None:
    instruments = [s.instrument for s in default_symbols(DialectName.BINANCE)]
    shocks = Shocks(instruments)
    shocks.active.append(Shock(id="x", symbol="BTC-USDT", percent=Decimal(-20), start=0, over=1))
    assert shocks.factor("BTC-USDT", 10) == Decimal("0.8")
    assert shocks.factor("ETH-USDT", 10) == 1
    assert shocks.factor("ETH-BTC", 10) == Decimal("1.25")


# Liquidity


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([s for d in DialectName for s in default_symbols(d)]),
    st.decimals("0.3", "3", places=6),
    st.integers(0, 100),
    st.sampled_from(["100", "1", "0.01"]),
)
def test_quotes_never_cross_and_fit_the_instrument(
    symbol: object, factor: Decimal, seed: int, percent: str
) -> None:
    from tradingbot_exchange.market.symbols import Symbol

    assert isinstance(symbol, Symbol)
    instrument = symbol.instrument
    made = quotes(symbol, symbol.start_price * factor, seed=seed, percent=Decimal(percent))
    bids = [q.price for q in made if q.side is Side.BUY]
    asks = [q.price for q in made if q.side is Side.SELL]
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < symbol.start_price * factor < asks[0]
    for quote in made:
        assert quote.price % instrument.tick == 0
        assert quote.quantity % instrument.lot == 0
        assert quote.quantity >= instrument.min_quantity
        assert quote.quantity * quote.price >= instrument.min_notional


@pytest.mark.parametrize("dialect", DialectName)
def test_both_sides_are_quoted_in_every_step_and_nothing_is_created(dialect: DialectName) -> None:
    made = harness(dialect=dialect)
    engine = made.venue.engine
    totals = {i.base: engine.total(i.base) for i in engine.instruments()}
    for _ in range(200):
        made.wait(0.25)
        for instrument in engine.instruments():
            book = engine.book(instrument.symbol, 20)
            assert len(book.bids) >= 8
            assert len(book.asks) >= 8
            assert book.bids[0].price < book.asks[0].price
    assert totals == {i.base: engine.total(i.base) for i in engine.instruments()}


def test_the_markets_own_accounts_keep_no_history_and_show_in_no_event() -> None:
    made = harness()
    made.wait(60)
    for party in (HOUSE, TAKERS):
        assert made.venue.engine.fills(party) == []
        assert len(made.venue.engine.orders(party)) <= 72
    accounts = {e.order.account for e in made.events if isinstance(e, OrderEvent)}
    assert accounts <= {"main"}
    assert made.venue.accounts() == ["main"]


def test_an_order_inside_the_spread_is_filled_by_takers() -> None:
    made = harness()
    made.wait(1)
    book = made.venue.engine.book("BTC-USDT", 1)
    order = made.submit(limit(Side.BUY, "0.01", book.asks[0].price - Decimal("0.01")))
    assert order.status is OrderStatus.OPEN
    made.wait(30)
    assert order.status is OrderStatus.FILLED
    fills = [e for e in made.events if isinstance(e, OrderEvent) and e.change is Change.FILLED]
    assert fills[-1].fill is not None
    assert fills[-1].fill.maker


def test_a_crash_fills_the_bids_on_its_way_at_their_own_price() -> None:
    made = harness()
    made.wait(1)
    price = (made.last() * Decimal("0.95")).quantize(Decimal("0.01"))
    order = made.submit(limit(Side.BUY, "0.5", price))
    made.fault(type="crash", percent=20, over="5s")
    made.wait(10)
    assert order.status is OrderStatus.FILLED
    assert order.filled_quote == order.filled * price


def test_an_order_larger_than_the_market_is_eaten_step_by_step() -> None:
    made = harness()
    made.wait(1)
    order = made.submit(limit(Side.SELL, "9", (made.last() * 2).quantize(Decimal("0.01"))))
    made.fault(type="spike", percent=150, over="5s")
    made.wait(10)
    assert order.status is OrderStatus.FILLED


def test_the_same_seed_and_clock_give_the_same_events() -> None:
    one, other = harness(), harness()
    for made in (one, other):
        made.wait(20)
        made.buy("0.1")
        made.fault(type="crash", percent=10)
        made.wait(20)
    assert one.events == other.events
    assert one.venue.recorded_engine.snapshot() == other.venue.recorded_engine.snapshot()
