"""The gateway when Coinbase fails: lost answers, errors, cut streams, restarts, an end."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path

import pytest
from coinbase_gateway import Bot, one_bot, start_bot
from exchange_process import eventually
from gateway_process import Gateways
from tradingbot_exchange.coinbase.calls import V3

ORDER = f"POST {V3}/orders"
REFUSED = "x-tradingbot-refused"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with one_bot(tmp_path_factory.mktemp("coinbase")) as bot:
        yield bot


@pytest.fixture
def bot(running: Bot) -> Iterator[Bot]:
    yield running
    running.exchange.control("DELETE", "/faults")
    running.gateway.ready()
    running.flatten()


def rest(bot: Bot, size: str = "0.001", client_id: str = "") -> bool:
    """Place an entry that rests; return whether it was accepted."""
    answer = bot.limit(bot.price() * Decimal("0.98"), size, client_id=client_id)
    return bool(answer.status == 200 and answer.body["success"])


# Lost answers


def test_an_order_whose_answer_is_lost_counts_until_the_exchange_has_said(bot: Bot) -> None:
    bot.exchange.fault(type="lose-answer", match=ORDER)
    answer = bot.order(base_size="0.0101", client_id="lost")
    assert (answer.status, answer.body["error"]) == (504, "DEADLINE_EXCEEDED")
    eventually(lambda: bot.gateway.risk()["openPositions"] == 1)
    assert bot.order(base_size="0.0102").headers[REFUSED] == "MaxPositionSize"
    eventually(lambda: len(bot.open_orders()) == 2)


def test_while_an_outcome_is_unknown_entries_wait(bot: Bot) -> None:
    bot.exchange.fault(type="drop-request", match=ORDER)
    assert bot.order(base_size="0.0103").status == 504
    assert bot.order(base_size="0.0013").headers[REFUSED] == "UnknownOutcome"
    eventually(lambda: bot.order(base_size="0.0014").body["success"], seconds=40)


def test_the_same_client_id_after_a_lost_answer_buys_once(bot: Bot) -> None:
    bot.exchange.fault(type="lose-answer", match=ORDER)
    assert bot.order(base_size="0.002", client_id="again").status == 504
    eventually(lambda: bot.order(base_size="0.002", client_id="again").body.get("success"))
    assert bot.held() == Decimal("0.002")


@pytest.mark.parametrize("status", [500, 503])
def test_errors_of_the_exchange_leave_the_outcome_open(bot: Bot, status: int) -> None:
    bot.exchange.fault(type="server-error", match=ORDER, status=status, executed=True)
    answer = bot.limit(bot.price() * Decimal("0.98"), "0.01")
    assert answer.status == status
    eventually(lambda: len(bot.listed()) == 1 and rest(bot, "0.0015"), seconds=40)
    assert not rest(bot, "0.0104")  # the first one rests, and counts


def test_an_order_that_was_refused_for_its_rate_does_not_count(bot: Bot) -> None:
    bot.exchange.fault(type="rate-limit", match=ORDER, retryAfter=7)
    answer = bot.limit(bot.price() * Decimal("0.98"), "0.01", patient=False)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert rest(bot, "0.0105")


def test_a_limit_of_the_rate_does_not_cost_a_position_its_protection(bot: Bot) -> None:
    answer = bot.order(base_size="0.0106")
    assert answer.body["success"], answer.body
    bot.exchange.fault(type="rate-limit", match=ORDER, retryAfter=1)
    eventually(lambda: len(bot.open_orders()) == 2)
    assert bot.held() == Decimal("0.0106")


def test_a_clock_that_is_wrong_is_measured_and_the_order_sent_again(bot: Bot) -> None:
    bot.exchange.fault(type="clock-skew", by="-30s")
    assert rest(bot)
    bot.exchange.control("DELETE", "/faults")
    assert rest(bot, "0.0016")


def test_protection_that_the_exchange_refuses_closes_and_halts(start: Gateways) -> None:
    bot = start_bot(start)
    bot.gateway.ready()
    # The entry waits at the exchange while the next order's fault begins.
    bot.exchange.fault(type="latency", delay="2s", match=ORDER, times=1)
    threading.Timer(1, lambda: bot.exchange.fault(type="reject", match=ORDER)).start()
    assert bot.order(base_size="0.01").body["success"]
    eventually(lambda: bot.held() == 0)
    eventually(lambda: bot.order().headers.get(REFUSED) == "DailyLossLimit")


# Streams


def test_no_entry_is_let_through_while_events_may_be_missed(bot: Bot) -> None:
    bot.exchange.fault(type="cut-streams", **{"for": "6s"})
    eventually(lambda: bot.gateway.report("/readyz").status == 503)
    assert bot.order().headers[REFUSED] == "NotReconciled"
    assert bot.gateway.report("/risk").status == 503
    bot.gateway.ready()
    assert bot.order().body["success"]


def test_what_happened_while_the_stream_was_cut_is_read_afterwards(bot: Bot) -> None:
    bot.buy()
    bot.exchange.fault(type="cut-streams", **{"for": "5s"})
    eventually(lambda: bot.gateway.report("/readyz").status == 503)
    bot.exchange.fault(type="crash", percent=4, over="1s")
    eventually(lambda: bot.held() == 0)
    bot.gateway.ready()
    assert bot.gateway.risk()["openPositions"] == 0


def test_a_message_that_is_missing_makes_the_gateway_read_all_again(bot: Bot) -> None:
    done = sum("reconciled" in line["message"] for line in bot.gateway.lines())
    bot.exchange.fault(type="drop-events", contains="user", times=1)
    assert bot.order().body["success"]
    eventually(lambda: sum("reconciled" in line["message"] for line in bot.gateway.lines()) > done)


# The end, and restarts


def test_a_drain_ends_entries_and_sigterm_keeps_protection(start: Gateways) -> None:
    bot = start_bot(start)
    bot.gateway.ready()
    bot.buy()
    assert rest(bot, "0.001", client_id="resting")
    assert bot.gateway.drain().status == 200
    assert bot.order().headers[REFUSED] == "Terminating"
    eventually(lambda: bot.listed() == [] and len(bot.open_orders()) == 2)
    assert bot.order(side="SELL", base_size="0.001").body["success"]
    eventually(lambda: len(bot.open_orders()) == 2)
    assert bot.gateway.stop(signal.SIGTERM) == 0
    assert len(bot.open_orders()) == 2


def test_restarts_with_and_without_a_ledger(start: Gateways, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    bot = start_bot(start, "--state", str(ledger))
    gateway = bot.gateway.ready()
    bot.buy()
    assert rest(bot, "0.004", client_id="resting")
    secret = (bot.handover / "api-secret").read_text()
    before, protection = gateway.risk(), {each["id"] for each in bot.open_orders()}
    gateway.kill()
    bot.real("POST", f"{V3}/orders", somebodys())  # on the same account: none of the bot's
    for with_ledger in (True, False):
        gateway.begin()
        gateway.ready()
        after = gateway.risk()
        assert after["openPositions"] == 1
        assert abs(Decimal(after["exposure"]) - Decimal(before["exposure"])) < 20
        assert bot.order(base_size="0.004").headers[REFUSED] == "MaxPositionSize"
        assert [each["client_order_id"] for each in bot.listed() if each["side"] == "BUY"] == [
            "resting"
        ]
        assert protection <= {each["id"] for each in bot.open_orders()}
        # The bot goes on with what it has read at its start.
        assert ((bot.handover / "api-secret").read_text() == secret) is with_ledger
        gateway.kill()
        for each in tmp_path.glob("ledger*"):
            each.unlink()  # the second time, all is found by the marks of client ids


def somebodys() -> dict[str, object]:
    return {
        "client_order_id": "a-persons",
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {"market_market_ioc": {"base_size": "0.1"}},
    }


def test_what_happened_while_no_gateway_ran_is_read_at_the_start(
    start: Gateways, tmp_path: Path
) -> None:
    bot = start_bot(start, "--state", str(tmp_path / "ledger"))
    gateway = bot.gateway.ready()
    bot.buy()
    gateway.kill()
    bot.exchange.fault(type="crash", percent=4, over="1s")
    eventually(lambda: bot.held() == 0)
    gateway.begin()
    gateway.ready()
    assert gateway.risk()["openPositions"] == 0
    assert Decimal(gateway.risk()["dayPnL"]) < -10


def test_an_order_in_flight_at_a_crash_counts_after_it(start: Gateways, tmp_path: Path) -> None:
    bot = start_bot(start, "--state", str(tmp_path / "ledger"))
    gateway = bot.gateway.ready()
    bot.exchange.fault(type="latency", delay="1s", match=ORDER)

    def send() -> None:
        with pytest.raises((OSError, HTTPException)):
            bot.order(base_size="0.0101", client_id="in-flight")

    sending = threading.Thread(target=send)
    sending.start()
    eventually(lambda: bot.exchange.control("GET", "/faults").body["faults"][0]["hits"] == 1)
    gateway.pause()  # the exchange carries the order out, and nobody hears of it
    eventually(lambda: bot.held() > 0)
    gateway.kill()
    sending.join()
    bot.exchange.control("DELETE", "/faults")
    gateway.begin()
    gateway.ready()
    assert gateway.risk()["openPositions"] == 1
    assert bot.order(base_size="0.0103").headers[REFUSED] == "MaxPositionSize"


def test_no_kill_lets_the_bot_have_more_than_its_limit(start: Gateways, tmp_path: Path) -> None:
    bot = start_bot(start, "--state", str(tmp_path / "ledger"))
    gateway = bot.gateway.ready()
    bot.exchange.fault(type="latency", delay="100ms", match=ORDER)
    for pause in (0.3, 0.7, 0.5):
        over = threading.Event()
        greedy = threading.Thread(target=buy_until, args=(bot, over))
        greedy.start()
        over.wait(pause)
        gateway.kill()
        over.set()
        greedy.join()
        assert bot.held() * bot.price() <= 1010
        gateway.begin()
        gateway.ready()
    bot.exchange.control("DELETE", "/faults")
    eventually(lambda: gateway.risk()["openPositions"] == int(bot.held() > 0))
    assert abs(Decimal(gateway.risk()["exposure"]) - bot.held() * bot.price()) < 10
    eventually(lambda: bot.order(side="SELL", base_size=f"{bot.held():f}").body["success"])


def buy_until(bot: Bot, over: threading.Event) -> None:
    """Buy as much as possible, until told otherwise or until nobody answers."""
    while not over.is_set():
        try:
            bot.sent += 1
            size = Decimal("0.003") + bot.sent % 50 * Decimal("0.00001")
            bot.order(base_size=f"{size:f}", timeout=10)
        except (OSError, HTTPException):
            return


def test_an_exchange_that_cannot_be_reached_lets_nothing_through(start: Gateways) -> None:
    bot = start_bot(start)
    bot.gateway.ready()
    bot.buy()
    bot.exchange.stop()
    eventually(lambda: bot.gateway.report("/readyz").status == 503)
    assert bot.order().headers[REFUSED] == "NotReconciled"
    answer = bot.signed("GET", f"{V3}/accounts")
    assert (answer.status, answer.body["error"]) == (503, "UNAVAILABLE")
    assert bot.cancel("some-order").status == 503


def test_nothing_secret_is_written(bot: Bot) -> None:
    bot.order()
    key = bot.exchange.key()
    written = bot.gateway.log.read_text() + bot.gateway.output.read_text()
    written += json.dumps(sorted(each.name for each in bot.handover.iterdir()))
    for secret in (key["name"], key["private_key"].splitlines()[1], "eyJ"):
        assert secret not in written
    handed = "".join(each.read_text() for each in bot.handover.iterdir())
    assert key["name"] not in handed
