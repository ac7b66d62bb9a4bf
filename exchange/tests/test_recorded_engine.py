"""The calls of an engine, carried out again."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from tradingbot_exchange.engine.types import NewOrder, OrderType, RefusedError, Side, TimeInForce
from tradingbot_exchange.market.symbols import DialectName, default_symbols
from tradingbot_exchange.recorded_engine import RecordedEngine

SYMBOL = "BTC-USDT"


def engine() -> RecordedEngine:
    return RecordedEngine(s.instrument for s in default_symbols(DialectName.BINANCE))


def order(side: Side, price: int, kind: OrderType = OrderType.LIMIT, **more: object) -> NewOrder:
    values: dict[str, object] = {
        "symbol": SYMBOL, "side": side, "type": kind, "quantity": Decimal("0.1"),
        "price": Decimal(price), "client_id": f"{side}-{price}",
    }  # fmt: skip
    return NewOrder(**(values | more))  # type: ignore[arg-type]


def test_every_call_is_recorded_as_json_and_carried_out_again_to_the_same_state() -> None:
    made = engine()
    made.open_account("quiet", keeps_history=False)
    for account in ("main", "quiet"):
        made.deposit(account, "USDT", Decimal(100_000), now=1)
        made.deposit(account, "BTC", Decimal("10.00000001"), now=1)
    made.submit("quiet", order(Side.SELL, 61000), now=2)
    made.trade_through(SYMBOL, Decimal(60000), now=3)
    first, _ = made.submit("main", order(Side.BUY, 59000, attributes={"strategyId": "7"}), now=4)
    made.edit("main", first.id, price=Decimal(59100), quantity=Decimal("0.2"), now=5)
    second, _ = made.replace("main", first.id, order(Side.BUY, 59200), now=6)
    made.cancel("main", second.id, now=7)
    made.submit_oco(
        "main",
        order(Side.SELL, 62000),
        order(Side.SELL, 57000, OrderType.STOP_LIMIT, stop_price=Decimal(58000)),
        client_id="oco",
        now=8,
    )
    gtd = order(Side.BUY, 58000, time_in_force=TimeInForce.GTD, expires_at=100)
    made.submit("main", gtd, now=9)
    made.expire(now=50)
    made.expire(now=100)
    made.halt("ETH-USDT", halted=True)
    made.trade_through(SYMBOL, Decimal(61500), now=101, quantity=Decimal("0.05"))
    calls = json.loads(json.dumps(made.taken_calls()))
    assert {call[0] for call in calls} == {
        "open_account", "deposit", "submit", "submit_oco", "cancel", "replace", "edit",
        "trade_through", "halt", "expire",
    }  # fmt: skip
    again = engine()
    for call in calls:
        again.carry_out(call)
    assert again.snapshot() == made.snapshot()
    assert again.taken_calls() == calls
    assert made.taken_calls() == []


def test_a_refused_call_is_not_recorded() -> None:
    made = engine()
    made.deposit("main", "USDT", Decimal(5), now=1)
    made.taken_calls()
    with pytest.raises(RefusedError):
        made.submit("main", order(Side.BUY, 59000), now=2)
    with pytest.raises(RefusedError):
        made.cancel("main", 99, now=2)
    assert made.taken_calls() == []


@pytest.mark.parametrize("call", [["snapshot"], ["__init__", []], ["cancel"], ["deposit", 1]])
def test_what_is_no_call_is_refused(call: list[object]) -> None:
    with pytest.raises(ValueError, match="is not a call of the engine"):
        engine().carry_out(call)
