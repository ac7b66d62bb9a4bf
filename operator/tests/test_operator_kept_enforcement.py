"""A default takes no keys from a bot in Live: what it ran with counts until its spec says."""

import pytest
from operator_harness import NOW, bot, bot_body, children_of, merged, observed
from tradingbot_api.exchange import Enforcement
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.gateway import GatewayImage
from tradingbot_operator.bots.children.surroundings import Surroundings
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.bots.registry_sync import OFF
from tradingbot_operator.bots.status.bot_status import bot_status
from tradingbot_operator.bots.status.transitions import transitions
from tradingbot_operator.cluster.conditions import condition_of

SILENT = {"riskManagement": {"enforcement": None}}
LIVE = {**SILENT, "mode": "Live"}
GUARDED = Surroundings(gateway=GatewayImage("registry.example/operator:1"))
OLD_CLUSTER = Surroundings(gateway=GatewayImage(problem="too old"))


def ran_with(enforcement: str) -> JsonObject:
    risk = {"enforcement": enforcement, "takeProfitPercentage": "4"}
    return {"status": {"phase": "Running", "effective": {"riskManagement": risk}}}


def enforcement_of(subject: Bot) -> Enforcement | None:
    assert subject.spec is not None, subject.invalid_fields
    return subject.spec.risk_management.enforcement


def status_of(subject: Bot) -> JsonObject:
    seen = observed(children_of(subject)) if subject.spec is not None else observed()
    decision = plan(subject, seen, NOW, GUARDED)
    return bot_status(subject, decision, seen, OFF, NOW)


@pytest.mark.parametrize(
    ("spec", "status", "kept"),
    [
        pytest.param(LIVE, ran_with("Bot"), True, id="a bot in Live from before"),
        pytest.param(LIVE, {}, False, id="a new bot"),
        pytest.param(LIVE, ran_with("Gateway"), False, id="a bot that had a gateway"),
        pytest.param(LIVE, {"status": {"effective": [1]}}, False, id="a status of another form"),
        pytest.param(SILENT, ran_with("Bot"), False, id="Paper"),
        pytest.param(
            merged(LIVE, {"riskManagement": {"enforcement": "Gateway"}}),
            ran_with("Bot"),
            False,
            id="a spec that says Gateway",
        ),
        pytest.param(
            merged(LIVE, {"riskManagement": {"enforcement": "Bot"}}),
            ran_with("Bot"),
            False,
            id="a spec that says Bot",
        ),
        pytest.param(
            merged(LIVE, {"exchange": {"name": "Coinbase"}}),
            ran_with("Bot"),
            False,
            id="an exchange without that default",
        ),
    ],
)
def test_a_bot_in_live_keeps_its_keys_until_its_spec_says_otherwise(
    spec: JsonObject, status: JsonObject, kept: bool
) -> None:
    subject = bot(spec, **status)

    assert subject.keeps_enforcement is kept
    if kept:
        assert enforcement_of(subject) is Enforcement.BOT


def test_it_is_not_restarted_and_says_so_once() -> None:
    before = bot(merged(LIVE, {"riskManagement": {"enforcement": "Bot"}}))
    seen, known = observed(children_of(before)), status_of(before)
    after = Bot.read(bot_body(LIVE, status=known), now=NOW)

    decision = plan(after, seen, NOW, GUARDED)
    status = bot_status(after, decision, seen, OFF, NOW)

    assert (decision.causes, decision.waiting, decision.stop) == ((), None, None)
    assert condition_of(known, "EnforcementKept") == {}
    assert condition_of(status, "EnforcementKept")["reason"] == "NotInSpec"
    assert [reason for _, reason, _ in transitions(known, status)] == ["EnforcementKept"]
    again = Bot.read(bot_body(LIVE, status=status), now=NOW)
    assert bot_status(again, plan(again, seen, NOW, GUARDED), seen, OFF, NOW) == status


def test_a_cluster_without_native_sidecars_does_not_stop_it() -> None:
    assert plan(bot(LIVE, **ran_with("Bot")), observed(), NOW, OLD_CLUSTER).stop is None
    assert plan(bot(LIVE), observed(), NOW, OLD_CLUSTER).stop == "GatewayUnavailable"


def test_what_a_gateway_forbids_does_not_stop_it() -> None:
    address = {"pod": {"env": [{"name": "EXCHANGE_BASE_URL", "value": "https://a.example"}]}}

    assert bot(merged(LIVE, address)).invalid_fields == ("spec.pod.env[0].name",)
    assert bot(merged(LIVE, address), **ran_with("Bot")).invalid_fields == ()


def test_a_mistake_in_the_spec_makes_nobody_forget_it() -> None:
    broken = merged(LIVE, {"riskManagement": {"maxPositionSize": "0"}})
    status = status_of(bot(broken, **ran_with("Bot")))

    assert status["phase"] == "Failed"
    assert bot(LIVE, status=status).keeps_enforcement


@pytest.mark.parametrize(
    "spec",
    [None, [], {"mode": "Live"}, {"mode": "Live", "exchange": "x", "riskManagement": [1]}],
    ids=repr,
)
def test_a_spec_of_another_form_is_invalid_as_before(spec: object) -> None:
    body = {**bot_body(), **ran_with("Bot"), "spec": spec}

    assert Bot.read(body, now=NOW).spec is None
