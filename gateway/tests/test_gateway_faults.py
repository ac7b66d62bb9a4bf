"""The gateway when the exchange fails: lost answers, errors, cut streams, a halt, an end."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path

import pytest
from exchange_process import eventually
from gateway_process import SYMBOL, Gateway, Gateways

ORDER = "POST /api/v3/order"
REFUSED = "x-tradingbot-refused"


def buy_low(gateway: Gateway, **changes: str) -> int:
    """Place an entry that rests; return the status of its answer."""
    return gateway.limit(gateway.price() * Decimal("0.98"), **changes).status


# Lost answers


def test_an_order_whose_answer_is_lost_counts_until_the_exchange_has_said(
    gateway: Gateway,
) -> None:
    gateway.exchange.fault(type="lose-answer", match=ORDER)
    # Only the exchange's answer to the gateway's own question reports the fill.
    gateway.exchange.fault(type="drop-events", contains="executionReport", times=10)
    answer = gateway.order(quantity="0.0101", newClientOrderId="lost")
    assert (answer.status, answer.body["code"]) == (504, -1007)
    second = gateway.order(quantity="0.0011")
    assert second.headers[REFUSED] == "UnknownOutcome"
    eventually(lambda: gateway.risk()["openPositions"] == 1)
    gateway.exchange.control("DELETE", "/faults")
    answer = gateway.order(quantity="0.0102")
    assert answer.headers[REFUSED] == "MaxPositionSize"
    eventually(lambda: len(gateway.open_orders()) == 2)


def test_an_order_that_never_arrived_counts_until_it_can_arrive_no_more(gateway: Gateway) -> None:
    gateway.exchange.fault(type="drop-request", match=ORDER)
    assert gateway.order(quantity="0.0103").status == 504
    assert gateway.order(quantity="0.0013").headers[REFUSED] == "UnknownOutcome"
    eventually(lambda: gateway.order(quantity="0.0014").status == 200, seconds=40)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_errors_of_the_exchange_leave_the_outcome_open(gateway: Gateway, status: int) -> None:
    gateway.exchange.fault(type="server-error", match=ORDER, status=status, executed=True)
    answer = gateway.limit(gateway.price() * Decimal("0.98"), quantity="0.01")
    assert answer.status == status
    eventually(lambda: buy_low(gateway, quantity="0.0015") == 200, seconds=40)
    assert buy_low(gateway, quantity="0.0104") == 400  # the first one rests, and counts


@pytest.mark.parametrize(("fault", "status"), [("rate-limit", 429), ("ban", 418)])
def test_an_order_that_was_refused_does_not_count(
    gateway: Gateway, fault: str, status: int
) -> None:
    gateway.exchange.fault(type=fault, match=ORDER, retryAfter=7)
    answer = gateway.limit(gateway.price() * Decimal("0.98"), quantity="0.01")
    assert (answer.status, answer.headers["retry-after"]) == (status, "7")
    assert buy_low(gateway, quantity="0.0105") == 200


@pytest.mark.parametrize("fault", ["rate-limit", "ban"])
def test_a_limit_of_the_rate_does_not_cost_a_position_its_protection(
    gateway: Gateway, fault: str
) -> None:
    gateway.exchange.fault(type=fault, match="POST /api/v3/orderList/oco", retryAfter=1)
    gateway.buy()
    assert gateway.order(quantity="0.0012").status == 200  # nothing is halted


def test_a_clock_that_is_wrong_is_measured_and_the_order_sent_again(gateway: Gateway) -> None:
    gateway.exchange.fault(type="clock-skew", by="-30s")
    assert buy_low(gateway) == 200
    gateway.exchange.control("DELETE", "/faults")
    assert buy_low(gateway, quantity="0.0016") == 200


# Streams


def test_no_entry_is_let_through_while_events_may_be_missed(start: Gateways) -> None:
    gateway = start().ready()
    gateway.exchange.fault(type="cut-streams", **{"for": "6s"})
    eventually(lambda: gateway.report("/readyz").status == 503)
    answer = gateway.order()
    assert answer.headers[REFUSED] == "NotReconciled"
    assert gateway.report("/risk").status == 503
    assert "reason" in gateway.report("/risk").body
    assert gateway.report("/healthz").status == 200
    gateway.ready()
    assert gateway.order().status == 200


def test_what_happened_while_the_stream_was_cut_is_read_afterwards(start: Gateways) -> None:
    gateway = start().ready()
    gateway.buy()
    gateway.exchange.fault(type="cut-streams", **{"for": "5s"})
    eventually(lambda: gateway.report("/readyz").status == 503)
    # The protection sells while the gateway is deaf.
    gateway.exchange.fault(type="crash", percent=10, over="1s")
    eventually(lambda: gateway.held() == 0)
    gateway.ready()
    assert gateway.risk()["openPositions"] == 0


# The day's loss


def test_the_limit_of_the_day_cancels_entries_and_refuses_more(start: Gateways) -> None:
    gateway = start(dailyLossLimit="20", stopLossPercentage="50").ready()
    gateway.buy()
    assert buy_low(gateway, quantity="0.001", newClientOrderId="resting") == 200
    gateway.exchange.fault(type="crash", percent=6, over="1s")
    eventually(lambda: "resting" not in {each["clientId"] for each in gateway.open_orders()})
    eventually(lambda: gateway.order().headers.get(REFUSED) == "DailyLossLimit")
    assert Decimal(gateway.risk()["dayPnL"]) <= -20
    gateway.exchange.control("DELETE", "/faults")
    eventually(lambda: Decimal(gateway.risk()["dayPnL"]) > -10)
    assert gateway.order().headers[REFUSED] == "DailyLossLimit"  # a recovery does not end it
    gateway.configure(dailyLossLimit="10000")
    eventually(lambda: gateway.risk()["configHash"] == written(gateway))
    assert gateway.order().headers[REFUSED] == "DailyLossLimit"  # nor does a higher limit
    assert gateway.order(side="SELL", quantity=f"{gateway.held()}").status == 200


def test_a_halt_in_bot_json_is_obeyed(start: Gateways) -> None:
    gateway = start().ready()
    gateway.write(gateway.content, halted_until="2099-01-01T00:00:00Z")
    eventually(lambda: gateway.order().headers.get(REFUSED) == "DailyLossLimit")


def written(gateway: Gateway) -> str:
    found: str = json.loads(gateway.config.read_text())["configHash"]
    return found


def test_other_limits_apply_without_a_restart_and_a_broken_file_changes_nothing(
    start: Gateways,
) -> None:
    gateway = start().ready()
    expected = gateway.configure(maxPositionSize="50")
    eventually(lambda: gateway.risk()["configHash"] == expected)
    assert gateway.order(quantity="0.0011").headers[REFUSED] == "MaxPositionSize"
    expected = gateway.configure(allowedSymbols=["ETH-USDT"], addedByALaterOperator={"x": 1})
    eventually(lambda: gateway.risk()["configHash"] == expected)
    assert gateway.order(quantity="0.0011").headers[REFUSED] == "AllowedSymbols"
    gateway.config.write_text("{")
    eventually(lambda: any("keeping" in line["message"] for line in gateway.lines()))
    assert gateway.risk()["configHash"] == expected


# The end


def test_a_drain_ends_entries_and_keeps_protection(start: Gateways) -> None:
    gateway = start().ready()
    gateway.buy()
    assert buy_low(gateway, quantity="0.001", newClientOrderId="resting") == 200
    assert gateway.drain().status == 200
    assert gateway.order().headers[REFUSED] == "Terminating"
    eventually(
        lambda: (
            {each["type"] for each in gateway.open_orders()} == {"LIMIT", "STOP_MARKET"}
            and len(gateway.open_orders()) == 2
        )
    )
    assert gateway.order(side="SELL", quantity="0.001").status == 200


def test_sigterm_cancels_entries_keeps_protection_and_ends_the_process(start: Gateways) -> None:
    gateway = start().ready()
    gateway.buy()
    assert buy_low(gateway, quantity="0.001", newClientOrderId="resting") == 200
    assert gateway.stop(signal.SIGTERM) == 0
    assert "resting" not in {each["clientId"] for each in gateway.open_orders()}
    assert len(gateway.open_orders()) == 2


# Restarts


def test_a_restart_goes_on_where_the_ledger_ends(start: Gateways, tmp_path: Path) -> None:
    gateway = start("--state", str(tmp_path / "ledger")).ready()
    gateway.buy()
    assert buy_low(gateway, quantity="0.004", newClientOrderId="resting") == 200
    before, protection = gateway.risk(), {each["id"] for each in gateway.open_orders()}
    gateway.kill()
    gateway.begin()
    gateway.ready()
    after = gateway.risk()
    assert (after["openPositions"], after["tradingDay"]) == (1, before["tradingDay"])
    assert abs(Decimal(after["dayPnL"]) - Decimal(before["dayPnL"])) < 5
    assert gateway.order(quantity="0.004").headers[REFUSED] == "MaxPositionSize"
    assert {each["id"] for each in gateway.open_orders()} == protection


def test_what_happened_while_no_gateway_ran_is_read_at_the_start(
    start: Gateways, tmp_path: Path
) -> None:
    gateway = start("--state", str(tmp_path / "ledger")).ready()
    gateway.buy()
    gateway.kill()
    gateway.exchange.fault(type="crash", percent=10, over="1s")
    eventually(lambda: gateway.held() == 0)
    gateway.begin()
    gateway.ready()
    report = gateway.risk()
    assert report["openPositions"] == 0
    assert Decimal(report["dayPnL"]) < -10


def test_protection_stays_while_a_gateway_without_a_ledger_reads_the_account(
    start: Gateways,
) -> None:
    gateway = start().ready()
    gateway.buy()
    protection = {each["id"] for each in gateway.open_orders()}
    gateway.kill()
    # Longer than the core takes to act on what it knows: the open orders come first.
    gateway.exchange.fault(type="latency", delay="2s", match="GET /api/v3/allOrders")
    gateway.begin()
    gateway.ready()
    assert gateway.risk()["openPositions"] == 1
    assert {each["id"] for each in gateway.open_orders()} == protection


def test_an_order_in_flight_at_a_crash_counts_after_it(start: Gateways, tmp_path: Path) -> None:
    gateway = start("--state", str(tmp_path / "ledger")).ready()
    gateway.exchange.fault(type="latency", delay="1s", match=ORDER)
    sending = threading.Thread(target=order_that_gets_no_answer, args=(gateway,))
    sending.start()
    eventually(lambda: gateway.exchange.control("GET", "/faults").body["faults"][0]["hits"] == 1)
    gateway.pause()  # the exchange carries the order out, and nobody hears of it
    eventually(lambda: gateway.held() > 0)
    gateway.kill()
    sending.join()
    gateway.exchange.control("DELETE", "/faults")
    gateway.begin()
    gateway.ready()
    assert gateway.risk()["openPositions"] == 1
    assert gateway.order(quantity="0.0103").headers[REFUSED] == "MaxPositionSize"


def order_that_gets_no_answer(gateway: Gateway) -> None:
    with pytest.raises((OSError, HTTPException)):
        gateway.order(quantity="0.0101", newClientOrderId="in-flight")


def test_a_halt_outlives_a_crash(start: Gateways, tmp_path: Path) -> None:
    gateway = start("--state", str(tmp_path / "ledger"), dailyLossLimit="0.5").ready()
    gateway.order(quantity="0.01")
    eventually(lambda: gateway.order().headers.get(REFUSED) == "DailyLossLimit")
    gateway.kill()
    gateway.configure(dailyLossLimit="10000")
    gateway.begin()
    gateway.ready()
    assert gateway.order().headers[REFUSED] == "DailyLossLimit"


def test_without_a_ledger_the_bots_own_orders_are_found_by_their_tag(start: Gateways) -> None:
    gateway = start().ready()
    gateway.buy()
    gateway.kill()
    gateway.exchange.order(quantity="0.1")  # somebody else's, on the same account
    gateway.begin()
    gateway.ready()
    report = gateway.risk()
    assert (report["openPositions"], Decimal(report["exposure"]) < 1000) == (1, True)
    assert gateway.order(quantity="0.01").headers[REFUSED] == "MaxPositionSize"


def test_a_second_gateway_does_not_use_the_same_ledger(start: Gateways, tmp_path: Path) -> None:
    first = start("--state", str(tmp_path / "ledger")).ready()
    second = start("--state", str(tmp_path / "ledger"), exchange=first.exchange, begin=False)
    with pytest.raises(AssertionError, match="is used by another process"):
        second.begin()


def test_an_exchange_that_cannot_be_reached_lets_nothing_through(start: Gateways) -> None:
    gateway = start().ready()
    gateway.exchange.stop()
    eventually(lambda: gateway.report("/readyz").status == 503)
    answer = gateway.order()
    assert answer.headers.get(REFUSED) == "NotReconciled"
    assert gateway.report("/risk").status == 503
    answer = gateway.signed("GET", "/api/v3/account")
    assert (answer.status, answer.body) == (503, b"")
    assert gateway.signed("DELETE", "/api/v3/openOrders", symbol=SYMBOL).status == 503


def test_a_window_that_closes_ends_entries_while_prices_keep_coming(start: Gateways) -> None:
    gateway = start().ready()
    assert buy_low(gateway, newClientOrderId="resting") == 200
    now = datetime.now(UTC).replace(microsecond=0)
    blackout = {
        "from": (now + timedelta(seconds=3)).isoformat().replace("+00:00", "Z"),
        "to": (now + timedelta(days=1)).isoformat().replace("+00:00", "Z"),
    }
    gateway.content["schedule"]["blackouts"] = [blackout]
    gateway.write(gateway.content)
    eventually(lambda: gateway.open_orders() == [])
    assert gateway.order().headers[REFUSED] == "Closed"
    assert gateway.risk()["openPositions"] == 0
