"""Faults of the market and of the clock, begun by a call and by a scenario, as ccxt meets them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ccxt
import pytest
from served import Served, wait_until

from conftest import Dialect

Begin = Callable[..., None]


@contextmanager
def by_scenario(dialect: Dialect, here: Path, fault: dict[str, Any]) -> Iterator[Served]:
    scenario = here / "scenario.yaml"
    scenario.write_text(json.dumps({"steps": [{"at": "1s", **fault}]}))
    with dialect.serve(here, "--scenario", str(scenario)) as served:
        yield served


def low(dialect: Dialect, client: Any) -> float:
    return float(round(client.fetch_ticker(dialect.symbol)["last"] * 0.5))


def order_is_refused(dialect: Dialect, client: Any) -> type[BaseException] | None:
    try:
        client.create_order(dialect.symbol, "limit", "buy", 0.01, low(dialect, client))
    except ccxt.BaseError as error:
        return type(error)
    return None


def depth(dialect: Dialect, client: Any) -> float:
    return float(
        sum(amount for _, amount in client.fetch_order_book(dialect.symbol, 5)["bids"][:5])
    )


def falls(dialect: Dialect, client: Any) -> None:
    wait_until(lambda: client.fetch_ticker(dialect.symbol)["last"] < 60_000 * 0.85)


def rises(dialect: Dialect, client: Any) -> None:
    wait_until(lambda: client.fetch_ticker(dialect.symbol)["last"] > 60_000 * 1.15)


def is_halted(dialect: Dialect, client: Any) -> None:
    raised = wait_until(lambda: order_is_refused(dialect, client))
    assert raised is {"binance": ccxt.MarketClosed, "coinbase": ccxt.ExchangeError}[dialect.name]
    for order in client.fetch_open_orders(dialect.symbol):
        client.cancel_order(order["id"], dialect.symbol)  # not refused
    active = {market["symbol"]: market["active"] for market in client.fetch_markets()}
    assert active[dialect.symbol] is False


def is_thin(dialect: Dialect, client: Any) -> None:
    wait_until(lambda: depth(dialect, client) < 0.2)


def fills_in_part(dialect: Dialect, client: Any) -> None:
    def half_filled() -> bool:
        ask = client.fetch_order_book(dialect.symbol, 5)["asks"][0][0]
        order = client.create_order(dialect.symbol, "limit", "buy", 0.02, round(ask * 1.001))
        found = client.fetch_order(order["id"], dialect.symbol)
        return bool(found["status"] == "open" and found["filled"] == pytest.approx(0.01))

    wait_until(half_filled)


def is_refused_for_its_time(dialect: Dialect, client: Any) -> None:
    def raised() -> type[BaseException] | None:
        try:
            client.fetch_open_orders(dialect.symbol)
        except ccxt.BaseError as error:
            return type(error)
        return None

    expected = {"binance": ccxt.InvalidNonce, "coinbase": ccxt.AuthenticationError}
    assert wait_until(raised) is expected[dialect.name]


FAULTS: list[tuple[dict[str, Any], Callable[[Dialect, Any], None]]] = [
    ({"type": "crash", "percent": 20, "over": "1s"}, falls),
    ({"type": "spike", "percent": 20, "over": "1s"}, rises),
    ({"type": "halt"}, is_halted),
    ({"type": "thin-liquidity", "percent": 1}, is_thin),
    ({"type": "partial-fills", "percent": 50, "times": 1, "rest": "30s"}, fills_in_part),
    ({"type": "clock-skew", "by": "10m"}, is_refused_for_its_time),
]
NAMES = [str(fault["type"]) for fault, _ in FAULTS]


@pytest.mark.parametrize(("fault", "seen"), FAULTS, ids=NAMES)
def test_a_fault_begun_by_a_call_is_seen(
    dialect: Dialect,
    exchange: Served,
    client: Any,
    fault: dict[str, Any],
    seen: Callable[[Dialect, Any], None],
) -> None:
    exchange.add_fault(**fault)
    seen(dialect, client)


@pytest.mark.parametrize(("fault", "seen"), FAULTS, ids=NAMES)
def test_a_fault_of_a_scenario_is_seen(
    dialect: Dialect,
    tmp_path: Path,
    fault: dict[str, Any],
    seen: Callable[[Dialect, Any], None],
) -> None:
    with by_scenario(dialect, tmp_path, fault) as served:
        seen(dialect, dialect.client(served))
