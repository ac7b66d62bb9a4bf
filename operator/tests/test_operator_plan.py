"""The plan of a bot: stop reasons and their order, update policies, pending rollouts."""

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from operator_harness import NOW, SECRET_VERSION, bot, children_of, observed
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.bots.children.drift import is_subset_of_live
from tradingbot_operator.bots.observed import Children, Credentials, Observed
from tradingbot_operator.bots.plan import Plan, plan
from tradingbot_operator.reasons import Reason

NO_SECRET = Credentials(problem=Reason.SECRET_NOT_FOUND, message="not found")
CLOSED = {"windows": [{"start": "20:00", "end": "21:00"}]}
NEW_IMAGE = {"strategy": {"image": "ghcr.io/example/arb:2.0"}}


def manifest(decided: Plan, kind: str) -> JsonObject:
    (found,) = [manifest for manifest in decided.manifests if manifest["kind"] == kind]
    return found


def replicas(decided: Plan) -> int:
    return int(manifest(decided, "Deployment")["spec"]["replicas"])


def template(decided: Plan) -> JsonObject:
    return dict(manifest(decided, "Deployment")["spec"]["template"])


def image(decided: Plan) -> str:
    return str(template(decided)["spec"]["containers"][0]["image"])


def bot_json(decided: Plan) -> JsonObject:
    return dict(json.loads(manifest(decided, "ConfigMap")["data"]["bot.json"]))


def running(subject: Bot, **fields: Any) -> Observed:
    """Return a cluster in which `subject` runs as its spec says."""
    return observed(children_of(subject), **fields)


def test_a_new_bot_gets_its_three_children_and_one_pod() -> None:
    decided = plan(bot(), observed(), NOW)
    assert {manifest["kind"] for manifest in decided.manifests} == {
        "ConfigMap",
        "Deployment",
        "Service",
    }
    assert (replicas(decided), decided.stop, decided.waiting) == (1, None, None)
    assert decided.config_hash == bot_json(decided)["configHash"]


def test_the_configuration_is_applied_before_a_pod_starts_with_it() -> None:
    kinds = [manifest["kind"] for manifest in plan(bot(), observed(), NOW).manifests]
    assert kinds.index("ConfigMap") < kinds.index("Deployment")


def test_a_stop_is_applied_before_all_else() -> None:
    decided = plan(bot({"paused": True}), running(bot()), NOW)
    assert decided.manifests[0]["kind"] == "Deployment"
    assert replicas(decided) == 0


@pytest.mark.parametrize(
    ("spec", "credentials", "reason"),
    [
        ({"paused": True, "schedule": CLOSED}, NO_SECRET, Reason.PAUSED),
        ({"schedule": CLOSED}, NO_SECRET, Reason.SECRET_NOT_FOUND),
        ({}, Credentials(problem=Reason.KEY_NOT_FOUND), Reason.KEY_NOT_FOUND),
        ({"schedule": CLOSED}, Credentials(), Reason.OFF_HOURS),
    ],
    ids=str,
)
def test_of_several_reasons_to_stop_the_first_is_given(
    spec: JsonObject, credentials: Credentials, reason: Reason
) -> None:
    decided = plan(bot(spec), running(bot(), credentials=credentials), NOW)
    assert (decided.stop, replicas(decided)) == (reason, 0)
    assert {manifest["kind"] for manifest in decided.manifests} == {
        "ConfigMap",
        "Deployment",
        "Service",
    }


def test_a_name_conflict_comes_before_a_pause_and_an_invalid_spec_before_both() -> None:
    conflict = running(bot(), conflicts=("Service arb",))
    assert plan(bot({"paused": True}), conflict, NOW).stop is Reason.NAME_CONFLICT
    invalid = bot({"paused": True, "riskManagement": {"dailyLossLimit": "0"}})
    assert plan(invalid, conflict, NOW).stop is Reason.INVALID_SPEC


def test_hours_open_and_close_the_bot() -> None:
    subject = bot({"schedule": {"windows": [{"start": "13:00", "end": "14:00"}]}})
    for minutes, running_pods in ((0, 0), (60, 1), (119, 1), (120, 0)):
        decided = plan(subject, running(subject), NOW + timedelta(minutes=minutes))
        assert replicas(decided) == running_pods
        assert decided.hours is not None
        assert decided.hours.open is bool(running_pods)


def test_an_invalid_stored_spec_stops_a_running_bot_and_changes_nothing_else() -> None:
    before = running(bot())
    decided = plan(bot({"strategy": {"image": None}}), before, NOW)
    (deployment,) = decided.manifests
    assert deployment["spec"]["replicas"] == 0
    assert before.children.deployment is not None
    assert deployment["spec"]["template"] == before.children.deployment["spec"]["template"]
    assert (decided.config_hash, decided.hours, decided.waiting) == (None, None, None)


def test_an_invalid_spec_that_never_ran_makes_no_children() -> None:
    assert plan(bot({"mode": "Dream"}), observed(), NOW).manifests == ()


def test_an_invalid_spec_is_named_by_its_fields_and_never_by_values() -> None:
    key = "AKIA-a-real-key"
    subject = bot(
        {
            "strategy": {"parameters": {"p": 7}},
            "exchange": {"apiKeySecret": key, "baseURL": f"https://user:{key}@x"},
            "riskManagement": {"dailyLossLimit": key},
        }
    )
    assert subject.spec is None
    assert set(subject.invalid_fields) >= {
        "spec.exchange.apiKeySecret",
        "spec.exchange.baseURL",
        "spec.riskManagement.dailyLossLimit",
    }
    assert key not in str(subject.invalid_fields)


def test_an_object_that_no_webhook_saw_is_run_as_if_defaulted() -> None:
    subject = bot({"riskManagement": {"dailyLossLimit": 200}})
    assert subject.spec is not None
    assert subject.spec.risk_management.daily_loss_limit == "200"
    assert subject.spec.risk_management.take_profit_percentage == "4"


def test_what_the_bot_can_not_have_is_left_alone_and_what_is_its_own_is_stopped() -> None:
    children = children_of(bot())
    conflict = observed(Children(deployment=children.deployment), conflicts=("ConfigMap x",))
    decided = plan(bot(), conflict, NOW)
    assert [manifest["kind"] for manifest in decided.manifests] == ["Deployment"]
    assert replicas(decided) == 0
    foreign = observed(Children(config_map=children.config_map), conflicts=("Deployment arb",))
    assert plan(bot(), foreign, NOW).manifests == ()


IMMEDIATE = {"updatePolicy": "Immediate"}
MANUAL = {"updatePolicy": "Manual"}
LIVE = {"mode": "Live"}


@pytest.mark.parametrize(
    ("spec", "rolls"),
    [
        ({}, True),
        (LIVE, False),
        (IMMEDIATE, True),
        ({**IMMEDIATE, **LIVE}, True),
        (MANUAL, False),
        ({**MANUAL, **LIVE}, False),
    ],
    ids=str,
)
def test_the_update_policy_says_whether_a_change_restarts_the_bot_now(
    spec: JsonObject, rolls: bool
) -> None:
    decided = plan(bot({**spec, **NEW_IMAGE}), running(bot(spec)), NOW)
    assert image(decided) == f"ghcr.io/example/arb:{'2.0' if rolls else '1.0'}"
    assert (decided.waiting is None) is rolls
    assert (decided.stop, replicas(decided)) == (None, 1)


@pytest.mark.parametrize(("before", "after"), [({}, LIVE), (LIVE, {})])
def test_a_change_from_or_to_live_waits_until_the_bot_is_flat(
    before: JsonObject, after: JsonObject
) -> None:
    decided = plan(bot(after), running(bot(before)), NOW)
    assert decided.waiting is not None
    assert decided.waiting.reason is Reason.POSITIONS_UNKNOWN


def test_a_secret_that_changed_restarts_the_bot_as_any_other_change() -> None:
    rotated = Credentials(version="78")
    assert plan(bot(LIVE), running(bot(LIVE), credentials=rotated), NOW).waiting is not None
    decided = plan(bot(), running(bot(), credentials=rotated), NOW)
    assert decided.waiting is None
    assert not is_subset_of_live(
        manifest(decided, "Deployment"), running(bot()).children.deployment
    )


@pytest.mark.parametrize("spec", [LIVE, MANUAL], ids=str)
def test_while_a_change_waits_the_pod_template_stays_and_limits_reach_the_bot(
    spec: JsonObject,
) -> None:
    before = running(bot(spec))
    change = {
        **spec,
        "strategy": {"image": "ghcr.io/example/arb:2.0", "parameters": {"a": "b"}},
        "riskManagement": {"dailyLossLimit": "150"},
        "schedule": {"dayStart": "08:00"},
    }
    decided = plan(bot(change), before, NOW)
    assert is_subset_of_live(manifest(decided, "Deployment"), before.children.deployment)
    body = bot_json(decided)
    assert body["strategy"]["image"] == "ghcr.io/example/arb:1.0"
    assert "a" not in body["strategy"]["parameters"]
    assert (body["risk"]["dailyLossLimit"], body["schedule"]["dayStart"]) == ("150", "08:00")
    # The declared hash is still that of the whole spec.
    assert decided.config_hash != body["configHash"]


def test_a_second_change_while_one_waits_keeps_what_runs() -> None:
    first = running(bot(LIVE))
    waits = plan(bot({**LIVE, **NEW_IMAGE}), first, NOW)
    children = Children(manifest(waits, "ConfigMap"), first.children.deployment)
    again = bot(
        {
            **LIVE,
            "strategy": {"image": "ghcr.io/example/arb:3.0"},
            "riskManagement": {"dailyLossLimit": "50"},
        }
    )
    decided = plan(again, observed(children), NOW)
    assert image(decided) == "ghcr.io/example/arb:1.0"
    assert bot_json(decided)["strategy"]["image"] == "ghcr.io/example/arb:1.0"
    assert bot_json(decided)["risk"]["dailyLossLimit"] == "50"


def test_a_change_back_before_it_rolled_waits_for_nothing() -> None:
    first = running(bot(LIVE))
    waits = plan(bot({**LIVE, **NEW_IMAGE}), first, NOW)
    children = Children(manifest(waits, "ConfigMap"), first.children.deployment)
    decided = plan(bot(LIVE), observed(children), NOW)
    assert decided.waiting is None
    assert is_subset_of_live(manifest(decided, "Deployment"), first.children.deployment)
    assert bot_json(decided)["configHash"] == decided.config_hash


@pytest.mark.parametrize("spec", [LIVE, MANUAL], ids=str)
def test_the_message_gives_the_command_that_approves_exactly_this_change(spec: JsonObject) -> None:
    changed = bot({**spec, **NEW_IMAGE})
    waiting = plan(changed, running(bot(spec)), NOW).waiting
    assert waiting is not None
    assert changed.spec is not None
    _, hash_ = manifests.pod_template(changed, changed.spec, SECRET_VERSION)
    command = f"kubectl annotate tradingbot arb -n desk trading.io/rollout={hash_} --overwrite"
    assert command in waiting.message
    for approved, rolls in ((hash_, True), (f"{hash_}0", False), ("", False), ("true", False)):
        meta = {"annotations": {"trading.io/rollout": approved}}
        decided = plan(bot({**spec, **NEW_IMAGE}, metadata=meta), running(bot(spec)), NOW)
        assert (decided.waiting is None) is rolls


@pytest.mark.parametrize("policy", ["WhenFlat", "Manual", "Immediate"])
def test_a_bot_that_is_stopped_takes_a_change_at_once(policy: str) -> None:
    spec = {**LIVE, "updatePolicy": policy}
    changed = {**spec, **NEW_IMAGE}
    stopped = observed(children_of(bot(spec), count=0))
    for subject, seen in (
        (bot({**changed, "paused": True}), running(bot(spec))),
        (bot({**changed, "schedule": CLOSED}), running(bot(spec))),
        (bot(changed), running(bot(spec), credentials=NO_SECRET)),
        (bot(changed), stopped),
    ):
        decided = plan(subject, seen, NOW)
        assert (decided.waiting, image(decided)) == (None, "ghcr.io/example/arb:2.0")


def test_a_deployment_that_was_deleted_comes_back_as_declared() -> None:
    seen = running(bot(LIVE))
    decided = plan(
        bot({**LIVE, **NEW_IMAGE}), observed(Children(config_map=seen.children.config_map)), NOW
    )
    assert (decided.waiting, image(decided)) == (None, "ghcr.io/example/arb:2.0")


def test_a_waiting_change_does_not_stop_other_drift_from_being_mended() -> None:
    seen = running(bot(LIVE))
    assert seen.children.deployment is not None
    seen.children.deployment["spec"]["replicas"] = 3
    decided = plan(bot({**LIVE, **NEW_IMAGE}), seen, NOW)
    assert (decided.waiting is not None, replicas(decided)) == (True, 1)


def test_a_deployment_without_our_annotation_is_brought_into_line() -> None:
    seen = running(bot(LIVE))
    assert seen.children.deployment is not None
    del seen.children.deployment["spec"]["template"]["metadata"]["annotations"]
    decided = plan(bot(LIVE), seen, NOW)
    assert decided.waiting is None
    assert not is_subset_of_live(manifest(decided, "Deployment"), seen.children.deployment)


def test_deciding_twice_gives_the_same_and_changes_no_input() -> None:
    subject, seen = bot({**LIVE, **NEW_IMAGE}), running(bot(LIVE))
    before = copy.deepcopy(seen)
    assert plan(subject, seen, NOW) == plan(subject, seen, NOW)
    assert seen == before
