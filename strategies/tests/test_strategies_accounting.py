"""Positions and the day's profit, by hand and against the account's equity."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tradingbot_exchange.engine.types import Side
from tradingbot_strategies.account import Account, OwnFill

D = Decimal
DAY = 86_400_000


def fill(
    number: int,
    side: Side,
    quantity: str,
    price: str,
    *,
    time: int = DAY,
    fee: str = "0",
    fee_asset: str = "USDT",
    symbol: str = "BTC-USDT",
    tag: str = "",
) -> OwnFill:
    base, quote = symbol.split("-")
    return OwnFill(
        time=time,
        number=number,
        symbol=symbol,
        base=base,
        quote=quote,
        order_id=str(number),
        tag=tag,
        side=side,
        price=D(price),
        quantity=D(quantity),
        value=D(quantity) * D(price),
        fee=D(fee),
        fee_asset=fee_asset,
    )


def account(*fills: OwnFill, day_start: int = DAY) -> Account:
    made = Account("USDT", day_start=day_start, price_of_fee=lambda _: D(600))
    made.apply(fills)
    return made


def test_the_example_of_the_contract() -> None:
    yesterday = fill(1, Side.BUY, "10", "100", time=DAY - 1)
    today = fill(2, Side.SELL, "5", "95", fee="0.5")

    assert account(yesterday, today).day_pnl({"BTC": D(95)}, {"BTC": D(90)}) == D("49.5")


def test_without_a_fill_today_only_the_price_counts() -> None:
    bought = fill(1, Side.BUY, "2", "100", time=DAY - 1, fee="0.002", fee_asset="BTC")

    held = account(bought)

    assert held.positions()["BTC"].quantity == D("1.998")
    assert held.day_pnl({"BTC": D(110)}, {"BTC": D(100)}) == D("19.98")


def test_the_average_entry_has_no_fees() -> None:
    position = account(
        fill(1, Side.BUY, "1", "100", fee="0.001", fee_asset="BTC"),
        fill(2, Side.BUY, "1", "110", fee="0.001", fee_asset="BTC"),
    ).positions()["BTC"]

    assert abs(position.cost / position.quantity - D(105)) < D("0.01")


def test_a_fee_in_a_third_asset_is_converted_when_it_is_paid() -> None:
    held = account(fill(1, Side.BUY, "1", "100", fee="0.001", fee_asset="BNB"))

    assert held.day_pnl({"BTC": D(100)}, {}) == D("-0.6")


def test_a_trade_between_two_assets_moves_the_cost_along() -> None:
    held = account(
        fill(1, Side.BUY, "1", "100"),
        fill(2, Side.BUY, "20", "0.05", symbol="ETH-BTC"),
    )

    assert "BTC" not in held.positions()
    assert held.positions()["ETH"].cost == D(100)
    assert held.day_pnl({"ETH": D("5.5")}, {}) == D(10)


def test_what_an_order_without_a_tag_sold_is_taken_from_the_last_lots() -> None:
    held = account(
        fill(1, Side.BUY, "1", "100", tag="01"),
        fill(2, Side.BUY, "1", "100", tag="02"),
        fill(3, Side.SELL, "1.5", "100"),
    )

    assert held.positions()["BTC"].lots == {"01": D("0.5"), "02": D(0)}


def test_the_same_fills_give_the_same_figures_one_by_one_and_together() -> None:
    fills = [
        fill(1, Side.BUY, "3", "100.01", time=DAY - 5),
        fill(2, Side.SELL, "1", "101.7", fee="0.1"),
        fill(3, Side.BUY, "0.7", "99.3", fee="0.0007", fee_asset="BTC"),
    ]
    together, one_by_one = account(*fills), account()
    for each in fills:
        one_by_one.apply([each])

    assert together.positions() == one_by_one.positions()
    marks = {"BTC": D("100.5")}
    assert together.day_pnl(marks, marks) == one_by_one.day_pnl(marks, marks)


@st.composite
def histories(draw: st.DrawFn) -> list[OwnFill]:
    """Fills of three symbols; sales beyond what is held make the position a short one."""
    amounts = st.integers(1, 10_000).map(lambda n: str(D(n) / 1000))
    found = []
    for number in range(draw(st.integers(1, 12))):
        symbol = draw(st.sampled_from(["BTC-USDT", "ETH-USDT", "ETH-BTC"]))
        base, quote = symbol.split("-")
        found.append(
            fill(
                number,
                draw(st.sampled_from(Side)),
                draw(amounts),
                draw(amounts),
                symbol=symbol,
                time=DAY - 6 + number,
                fee=str(D(draw(st.integers(0, 50))) / 10_000),
                fee_asset=draw(st.sampled_from([base, quote, "USDT"])),
            )
        )
    return found


@settings(max_examples=80, deadline=None)
@given(histories())
def test_day_pnl_is_the_equity_now_less_the_equity_when_the_day_began(fills: list[OwnFill]) -> None:
    now, start = {"BTC": D("97.31"), "ETH": D("5.07")}, {"BTC": D("101.1"), "ETH": D("4.9")}

    def equity(counted: list[OwnFill], prices: dict[str, Decimal]) -> Decimal:
        total = D(0)
        for each in counted:
            sign = 1 if each.side is Side.BUY else -1
            for asset, change in (
                (each.base, sign * each.quantity),
                (each.quote, -sign * each.value),
                (each.fee_asset, -each.fee),
            ):
                total += change * prices.get(asset, D(1))
        return total

    expected = equity(fills, now) - equity([f for f in fills if f.time < DAY], start)

    assert account(*fills).day_pnl(now, start) == expected
