"""Each fault of a request, begun by a call and by a scenario, as a user of ccxt meets it."""

import json
import time
from pathlib import Path
from typing import Any

import ccxt
import pytest
from cases import CASES, Case
from served import Served

from conftest import Dialect


def outcome(dialect: Dialect, client: Any) -> dict[str, Any]:
    """Place an order that rests. Return what ccxt raised, and how many orders that left."""
    price = float(round(client.fetch_ticker(dialect.symbol)["last"] * 0.8))
    try:
        client.create_order(dialect.symbol, "limit", "buy", 0.01, price)
        raised = None
    except ccxt.BaseError as error:
        raised = type(error)
    headers = {name.lower(): value for name, value in client.last_response_headers.items()}
    # What comes twice on a connection can be taken as the answer to the next request on it.
    client.session.close()
    left = client.fetch_open_orders(dialect.symbol)
    for order in left:
        client.cancel_order(order["id"], dialect.symbol)
    return {"raised": raised, "orders": len(left), "headers": headers}


def expected(case: Case, dialect: Dialect, met: dict[str, Any]) -> dict[str, Any]:
    """Return what `outcome` has to be. Of the headers, those that the case names are compared."""
    headers = {**met["headers"], **case.headers}
    return {"raised": case.raised(dialect), "orders": case.orders, "headers": headers}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_begun_by_a_call_raises(
    dialect: Dialect, exchange: Served, client: Any, case: Case
) -> None:
    exchange.add_fault(match=dialect.order, **case.fault)
    met = outcome(dialect, client)
    assert met == expected(case, dialect, met)
    assert exchange.active_faults() == []  # it applied once


def test_faults_of_a_scenario_raise_the_same_one_after_the_other(
    dialect: Dialect, tmp_path: Path
) -> None:
    # Each applies once, the oldest first. A delay adds to what else a request meets, so it is that
    # of a query here.
    cases = sorted(CASES, key=lambda case: case.name == "latency")
    steps = [{"at": 0, "match": dialect.order, **case.fault} for case in cases[:-1]]
    steps.append({"at": 0, "match": "GET *", **cases[-1].fault})
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(json.dumps({"steps": steps}))
    with dialect.serve(tmp_path, "--scenario", str(scenario)) as served:
        client = dialect.client(served)
        met = {case.name: outcome(dialect, client) for case in cases}
        assert served.active_faults() == []
    assert met == {case.name: expected(case, dialect, met[case.name]) for case in CASES}


def test_a_delay_beyond_the_clients_patience_is_a_timeout(
    dialect: Dialect, exchange: Served, client: Any
) -> None:
    hasty = dialect.client(exchange)
    hasty.timeout = 1000
    exchange.add_fault(type="latency", match=dialect.order, delay="20s", times=1)
    began = time.monotonic()
    with pytest.raises(ccxt.RequestTimeout):
        hasty.create_order(dialect.symbol, "limit", "buy", 0.01, 30_000)
    assert time.monotonic() - began < 20
