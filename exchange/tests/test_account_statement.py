"""Profit by average cost, against an independent computation."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_exchange.control.statement import Position, positions, statement
from tradingbot_exchange.engine.types import Balance, Fill, Side
from tradingbot_exchange.market.symbols import DialectName, default_symbols

INSTRUMENTS = {
    d: {s.instrument.symbol: s.instrument for s in default_symbols(d)} for d in DialectName
}
SYMBOLS = {DialectName.BINANCE: "BTC-USDT", DialectName.COINBASE: "BTC-USD"}


def fill(side: Side, price: str, quantity: str, fee: str, asset: str) -> Fill:
    symbol = "BTC-USDT"
    return Fill(
        trade_id=1, order_id=1, account="main", symbol=symbol, side=side, price=Decimal(price),
        quantity=Decimal(quantity), quote_quantity=Decimal(price) * Decimal(quantity),
        fee=Decimal(fee), fee_asset=asset, maker=False, time=0,
    )  # fmt: skip


def position(*fills: Fill) -> Position:
    return positions(fills, INSTRUMENTS[DialectName.BINANCE])["BTC-USDT"]


def test_the_example_of_the_contract_adds_up() -> None:
    made = position(
        fill(Side.BUY, "100", "10", "0", "USDT"), fill(Side.SELL, "95", "5", "0.5", "USDT")
    )
    assert (made.realized, made.quantity, made.average) == (Decimal("-25.5"), 5, 100)


def test_a_fee_in_the_base_asset_leaves_the_position() -> None:
    made = position(fill(Side.BUY, "100", "1", "0.001", "BTC"))
    assert (made.quantity, made.average, made.realized) == (Decimal("0.999"), 100, Decimal("-0.1"))


def test_sales_of_what_was_deposited_realize_nothing_but_their_fee() -> None:
    made = position(
        fill(Side.BUY, "100", "1", "0", "USDT"), fill(Side.SELL, "110", "3", "1", "USDT")
    )
    assert (made.realized, made.unmatched, made.quantity) == (9, 2, 0)


@st.composite
def trading(draw: st.DrawFn) -> tuple[DialectName, list[Fill]]:
    dialect = draw(st.sampled_from(list(DialectName)))
    held, fills = Decimal(0), []
    for time in range(draw(st.integers(1, 12))):
        side = draw(st.sampled_from(Side)) if held > Decimal("0.01") else Side.BUY
        quantity = draw(st.decimals("0.01", str(held if side is Side.SELL else 5), places=2))
        price = draw(st.decimals("1", "1000", places=2))
        in_base = dialect is DialectName.BINANCE and side is Side.BUY
        fee = (quantity if in_base else quantity * price) * Decimal("0.001")
        made = Fill(
            trade_id=time, order_id=time, account="main", symbol=SYMBOLS[dialect], side=side,
            price=price, quantity=quantity, quote_quantity=price * quantity, fee=fee,
            fee_asset="BTC" if in_base else SYMBOLS[dialect][4:], maker=False, time=time,
        )  # fmt: skip
        fills.append(made)
        held += quantity if side is Side.BUY else -quantity
        held -= fee if in_base else 0
    return dialect, fills


@settings(max_examples=150, deadline=None)
@given(trading(), st.decimals("1", "1000", places=2))
def test_realized_and_unrealized_profit_are_the_change_of_equity(
    made: tuple[DialectName, list[Fill]], mark: Decimal
) -> None:
    dialect, fills = made
    cash = coins = Decimal(0)
    for one in fills:
        sign = 1 if one.side is Side.BUY else -1
        coins += sign * one.quantity - (one.fee if one.fee_asset == "BTC" else 0)
        cash -= sign * one.quote_quantity + (one.fee if one.fee_asset != "BTC" else 0)
    found = positions(fills, INSTRUMENTS[dialect])[SYMBOLS[dialect]]
    unrealized = found.quantity * mark - found.cost
    assert abs(found.realized + unrealized - (cash + coins * mark)) < Decimal("1e-12")
    assert abs(found.quantity - coins) < Decimal("1e-12")


@given(trading(), st.integers(0, 12))
def test_profit_since_a_time_and_before_it_add_up(
    made: tuple[DialectName, list[Fill]], since: int
) -> None:
    dialect, fills = made
    symbol, known = SYMBOLS[dialect], INSTRUMENTS[dialect]
    total = positions(fills, known)[symbol]
    after = positions(fills, known, since=since)[symbol]
    before = positions([f for f in fills if f.time < since], known).get(symbol, Position())
    assert abs(total.realized - after.realized - before.realized) < Decimal("1e-12")
    assert total.quantity == after.quantity


def test_a_statement_has_decimals_as_plain_texts() -> None:
    made = statement(
        "main",
        now=5,
        since=0,
        limit=1,
        balances={"USDT": Balance(Decimal("1E+3"), Decimal("0E-8"))},
        fills=[
            fill(Side.BUY, "100", "1", "0.001", "BTC"),
            fill(Side.SELL, "90", "0.5", "1", "USDT"),
        ],
        open_orders=0,
        instruments=INSTRUMENTS[DialectName.BINANCE],
        marks={"BTC-USDT": Decimal("80.00")},
    ).model_dump(mode="json", by_alias=True)
    assert made["balances"] == {"USDT": {"free": "1000", "held": "0"}}
    assert made["realizedPnL"] == {"USDT": "-6.1"}
    assert made["unrealizedPnL"] == {"USDT": "-9.98"}
    assert made["fees"] == {"BTC": "0.001", "USDT": "1"}
    assert [f["side"] for f in made["fills"]] == ["SELL"]
    assert made["symbols"]["BTC-USDT"]["position"] == "0.499"
