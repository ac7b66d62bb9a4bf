"""What a gateway says of itself: read from its answers, shown in its condition, told as events."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import NOW, observed
from poller_harness import BUSY, A, fresh, harness_of
from reconcile_harness import BOT, KEY
from risk_bots import http, raw_serving, report, report_body, request
from test_operator_gateway import RUNS, WITH_IMAGE, guarded, pod_with
from test_operator_silent_gateway import guarded as harness_of_a_bot
from test_operator_silent_gateway import run
from tradingbot_api.gateway_state import HEADER, GatewayNotice, GatewayReason
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.bots.pods import Pods
from tradingbot_operator.bots.status.gateway_status import gateway_ready
from tradingbot_operator.bots.status.transitions import transitions
from tradingbot_operator.cluster.conditions import ConditionState, condition_of
from tradingbot_operator.risk.answer import NoReportError
from tradingbot_operator.risk.client import RiskPeer
from tradingbot_operator.risk.daily_loss import PollState, RiskTerms, StoredRisk, assess
from tradingbot_operator.settings import OperatorSettings

UNREACHABLE = GatewayNotice(GatewayReason.EXCHANGE_UNREACHABLE, "Connection refused")
REFUSED = GatewayNotice(GatewayReason.KEYS_REFUSED, "answered 401, code -2015")
STALE = GatewayNotice(GatewayReason.PRICES_STALE, "no price of BTC-USDT is younger than 30 s")
WITHDRAWS = GatewayNotice(GatewayReason.KEY_MAY_WITHDRAW, "the API key may withdraw")
READY = {**RUNS, "started": True, "ready": True}
STARTS = {**RUNS, "started": False}


# ---- read


@given(st.sampled_from(GatewayReason), st.text())
def test_each_notice_is_read_as_it_was_written_with_printable_text(
    reason: GatewayReason, sentence: str
) -> None:
    written = GatewayNotice(reason, sentence).header()
    read = GatewayNotice.parse(written)
    assert (read is None) == (sentence == "")
    if read is not None:
        assert (read.reason, read.header()) == (reason, written)
        assert read.sentence.isascii()
        assert len(read.sentence) <= 200


@pytest.mark.parametrize(
    "header",
    ["", "PricesStale", "Invented: x", "PricesStale: ", "PricesStale: \x1b[2J", "PricesStale:x"],
)
def test_anything_else_is_no_notice(header: str) -> None:
    assert GatewayNotice.parse(header) is None
    assert GatewayNotice.parse("PricesStale: " + 201 * "x") is None


async def asked(*answers: bytes) -> list[GatewayNotice | None]:
    """Poll a bot that gives these answers on one connection, and return each notice."""
    following = iter(answers)

    async def bot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await request(reader):
            writer.write(next(following))
            await writer.drain()

    found: list[GatewayNotice | None] = []
    async with raw_serving(bot) as url:
        peer = RiskPeer(url, timeout=10.0)
        for _ in answers:
            with suppress(NoReportError):
                await peer.report(keep=True)
            found.append(peer.notice)
        peer.close()
    return found


def test_a_notice_is_read_with_a_report_and_without_and_belongs_to_one_answer() -> None:
    warned = http(report_body(), headers=f"{HEADER}: {WITHDRAWS.header()}\r\n")
    well = http(report_body())
    failed = http(b"{}", status="503 Not yet", headers=f"{HEADER}: {REFUSED.header()}\r\n")
    silent = http(b"{}", status="503 Not yet")
    found = asyncio.run(asked(warned, well, failed, silent))
    assert found == [WITHDRAWS, None, REFUSED, None]


def test_the_state_of_a_bots_polls_has_its_last_notice() -> None:
    for answer, notice in ((fresh, WITHDRAWS), (lambda _: BUSY, REFUSED)):
        harness = harness_of(answer)
        harness.bots.notice = notice
        harness.run(20)
        assert harness.poller.state(A).notice == notice


# ---- polled


def test_a_gateway_is_polled_before_its_bot_starts_and_says_what_it_waits_for() -> None:
    async def scenario() -> None:
        harness = harness_of_a_bot()
        await harness.settle()
        waiting = {"state": {"waiting": {"reason": "PodInitializing"}}}
        harness.controllers(
            initContainerStatuses=[{"name": "gateway", **STARTS}],
            containerStatuses=[{"name": "bot", "ready": False, **waiting}],
        )
        harness.reports.now = PollState(problem="it answered with HTTP 503", notice=REFUSED)
        await harness.reconcile()
        await harness.reconcile()
        assert not harness.reports.watched[KEY].started
        condition = condition_of(harness.cluster.objects[BOT]["status"], "GatewayReady")
        assert (condition["status"], condition["reason"]) == ("False", "KeysRefused")
        posted = [event for event in harness.cluster.posted if event["reason"] == "GatewayNotReady"]
        assert [event["message"] for event in posted] == [condition["message"]]

    run(scenario())


# ---- shown


def shown(
    notice: GatewayNotice | None, gateway: JsonObject, *, bot_runs: bool = True, reports: bool
) -> ConditionState:
    subject = guarded()
    assert subject.spec is not None
    state = PollState(
        report=report(NOW) if reports else None,
        received=NOW if reports else None,
        problem="" if reports else "it answered with HTTP 503",
        notice=notice,
    )
    every = timedelta(seconds=OperatorSettings().risk_status_interval)
    risk = assess(RiskTerms.of(subject.spec), StoredRisk(), state, NOW, figures_every=every)
    pods = Pods(own=(pod_with(gateway, bot_runs=bot_runs),))
    seen = replace(observed(), pods=pods, risk=risk)
    (found,) = gateway_ready(subject, plan(subject, seen, NOW, WITH_IMAGE), seen)
    return found


@pytest.mark.parametrize(
    ("notice", "gateway", "bot_runs", "reports", "expected"),
    [
        (None, READY, True, True, ("True", "Reconciled")),
        (WITHDRAWS, READY, True, True, ("True", "KeyMayWithdraw")),
        (UNREACHABLE, READY, True, False, ("False", "ExchangeUnreachable")),
        (UNREACHABLE, READY, True, True, ("False", "ExchangeUnreachable")),
        (REFUSED, STARTS, False, False, ("False", "KeysRefused")),
        (STALE, READY, True, False, ("False", "PricesStale")),
        (STALE, READY, True, True, ("True", "Reconciled")),  # a moment: the report still counts
        (None, STARTS, False, False, ("False", "NotReconciled")),
        (None, READY, True, False, ("False", "NoReport")),
    ],
)
def test_the_condition_has_the_reason_and_the_sentence_of_the_gateway(
    notice: GatewayNotice | None,
    gateway: JsonObject,
    bot_runs: bool,
    reports: bool,
    expected: tuple[str, str],
) -> None:
    found = shown(notice, gateway, bot_runs=bot_runs, reports=reports)
    assert (found.status, found.reason) == expected
    if notice is not None and found.reason == notice.reason:
        assert notice.sentence in found.message
    if not bot_runs:
        assert "bot starts after that" in found.message


# ---- told


def status(ready: str, reason: str) -> JsonObject:
    told = {"type": "GatewayReady", "status": ready, "reason": reason, "message": f"is {reason}"}
    return {"phase": "Running", "conditions": [told, {"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        (("True", "Reconciled"), ("False", "ExchangeUnreachable"), "GatewayNotReady"),
        (("False", "NotReconciled"), ("False", "KeysRefused"), "GatewayNotReady"),
        (("Unknown", "NotRunning"), ("False", "KeysRefused"), "GatewayNotReady"),
        (("Unknown", "NotRunning"), ("False", "NotReconciled"), None),
        (("False", "KeysRefused"), ("False", "KeysRefused"), None),
        (("True", "Reconciled"), ("True", "KeyMayWithdraw"), "KeyMayWithdraw"),
        (("False", "NotReconciled"), ("True", "KeyMayWithdraw"), "KeyMayWithdraw"),
        (("True", "KeyMayWithdraw"), ("True", "KeyMayWithdraw"), None),
        (("True", "KeyMayWithdraw"), ("False", "ExchangeUnreachable"), "GatewayNotReady"),
        (("False", "ExchangeUnreachable"), ("True", "Reconciled"), None),
    ],
)
def test_a_change_is_an_event(
    before: tuple[str, str], after: tuple[str, str], event: str | None
) -> None:
    found = [*transitions(status(*before), status(*after))]
    expected = [] if event is None else [("Warning", event, f"is {after[1]}")]
    assert found == expected
