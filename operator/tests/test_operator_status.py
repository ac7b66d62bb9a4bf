"""The status, and the events for its changes."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_harness import NOW, bot, bot_pod, children_of, merged, observed
from situations import CLOSED, INVALID, SITUATIONS, STOPPED, is_a_message, status_of
from tradingbot_api.crds import crds
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.observed import (
    Children,
    Credentials,
    Observed,
    Refusal,
    running_pod,
    running_since,
)
from tradingbot_operator.bots.pods import Pods
from tradingbot_operator.bots.registry_sync import RegistryState
from tradingbot_operator.bots.status.bot_status import deployed_resources
from tradingbot_operator.cluster.conditions import merge_patch
from tradingbot_operator.reasons import Reason

PROGRESS = {"Failed": ["Stalled"], "Pending": ["Reconciling"], "Stopping": ["Reconciling"]}
PROGRESS["AwaitingCredentials"] = ["Reconciling"]
CONDITIONS = [
    "Trading",
    "ChildrenApplied",
    "StopBlocked",
    "CredentialsReady",
    "ConfigApplied",
    "RolloutPending",
    "ScheduleOpen",
    "RiskHalted",
    "RiskReported",
    "RegistrySynced",
]


def test_the_values_in_effect_are_shown_and_follow_what_they_are_computed_from() -> None:
    default = status_of(bot())["effective"]
    tighter = bot(
        {
            "riskManagement": {"stopLossPercentage": 7},
            "resources": {"limits": {"cpu": "50m", "memory": "1Gi"}},
        }
    )
    assert default == {
        "riskManagement": {"takeProfitPercentage": "4", "enforcement": "Bot"},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
    }
    assert status_of(tighter)["effective"] == {
        "riskManagement": {"takeProfitPercentage": "14", "enforcement": "Bot"},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
    }
    own = bot({"riskManagement": {"takeProfitPercentage": 9}})
    assert status_of(own)["effective"]["riskManagement"] == {
        "takeProfitPercentage": "9",
        "enforcement": "Bot",
    }


def test_no_value_is_in_effect_of_a_spec_that_is_invalid() -> None:
    assert "effective" not in status_of(bot(INVALID))


def condition(status: JsonObject, type_: str) -> JsonObject:
    (found,) = [condition for condition in status["conditions"] if condition["type"] == type_]
    return dict(found)


def verdict(status: JsonObject, type_: str) -> tuple[str, str]:
    found = condition(status, type_)
    return found["status"], found["reason"]


@pytest.mark.parametrize("phase", SITUATIONS)
def test_each_situation_has_its_phase(phase: str) -> None:
    assert status_of(*SITUATIONS[phase])["phase"] == phase


@pytest.mark.parametrize("phase", SITUATIONS)
def test_conditions_are_always_all_present_and_say_something(phase: str) -> None:
    status = status_of(*SITUATIONS[phase])
    expected = ["Ready", *PROGRESS.get(phase, []), *CONDITIONS]
    assert [condition["type"] for condition in status["conditions"]] == expected
    for condition in status["conditions"]:
        assert condition["status"] in {"True", "False", "Unknown"}
        assert condition["reason"].isalpha()
        assert is_a_message(condition["message"]), condition["message"]
        assert condition["observedGeneration"] == 3
        assert condition["lastTransitionTime"] == "2026-03-04T12:00:00Z"


def pruned(value: Any, schema: JsonObject) -> Any:
    """Return `value` as an API server stores it that knows only `schema`."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {key: pruned(inner, known[key]) for key, inner in value.items() if key in known}
    if isinstance(value, list):
        return [pruned(inner, schema["items"]) for inner in value]
    return value


@pytest.mark.parametrize("phase", SITUATIONS)
def test_the_schema_prunes_nothing_of_the_status(phase: str) -> None:
    (crd,) = [crd for crd in crds() if crd["spec"]["names"]["kind"] == "TradingBot"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    status = status_of(*SITUATIONS[phase])
    assert pruned(status, schema) == status
    assert json.loads(json.dumps(status)) == status


def test_an_invalid_spec_is_told_by_its_fields() -> None:
    status = status_of(*SITUATIONS["Failed"])
    ready = condition(status, "Ready")
    assert ready["reason"] == "InvalidSpec"
    assert "spec.riskManagement.dailyLossLimit" in ready["message"]
    assert "-5" not in json.dumps(status)
    assert verdict(status, "CredentialsReady")[0] == "Unknown"
    assert verdict(status, "ScheduleOpen")[0] == "Unknown"
    assert not {"configHash", "schedule"} & status.keys()


def test_a_name_conflict_is_told_by_the_child() -> None:
    status = status_of(bot(), observed(conflicts=("Service arb",)))
    assert (status["phase"], verdict(status, "Ready")) == ("Failed", ("False", "NameConflict"))
    assert "Service arb" in condition(status, "Ready")["message"]


def test_missing_credentials_say_what_is_missing() -> None:
    status = status_of(*SITUATIONS["AwaitingCredentials"])
    assert verdict(status, "CredentialsReady") == ("False", "SecretNotFound")
    assert condition(status, "CredentialsReady")["message"] == 'Secret "x" not found'
    assert condition(status, "Ready")["message"] == 'Secret "x" not found'


def test_a_secret_that_could_not_be_read_is_unknown_and_not_missing() -> None:
    unread = Credentials(unread=OSError("forbidden"))
    status = status_of(bot({"paused": True}), observed(credentials=unread))
    assert verdict(status, "CredentialsReady") == ("Unknown", "NotRead")


def test_a_closed_schedule_says_when_it_opens() -> None:
    status = status_of(*SITUATIONS["OffHours"])
    assert status["schedule"] == {"open": False, "nextTransition": "2026-03-04T20:00:00Z"}
    assert "2026-03-04T20:00:00Z" in condition(status, "Ready")["message"]
    assert status_of(bot())["schedule"] == {"open": True}


def test_a_waiting_change_is_told_with_its_command() -> None:
    live, changed = bot({"mode": "Live"}), bot({"mode": "Live", "strategy": {"type": "Grid"}})
    status = status_of(changed, observed(children_of(live)))
    assert verdict(status, "RolloutPending") == ("True", "PositionsUnknown")
    assert "kubectl annotate" in condition(status, "RolloutPending")["message"]
    assert verdict(status, "Ready") == ("True", "Available")


def test_what_the_registry_said_is_told() -> None:
    down = RegistryState("False", Reason.REGISTRY_UNAVAILABLE, "down")
    assert verdict(status_of(bot(), registry=down), "RegistrySynced") == (
        "False",
        "RegistryUnavailable",
    )


def test_the_transition_time_is_carried_over_while_the_status_stays() -> None:
    first = status_of(bot())
    same = status_of(bot(status=first), later=60)
    assert same == first
    closed = status_of(bot(CLOSED, status=same), observed(STOPPED), later=120)
    assert condition(closed, "Trading")["lastTransitionTime"] == "2026-03-04T12:02:00Z"
    assert condition(closed, "Ready")["lastTransitionTime"] == "2026-03-04T12:00:00Z"
    assert condition(closed, "CredentialsReady")["lastTransitionTime"] == "2026-03-04T12:00:00Z"


def test_another_reason_for_the_same_status_is_no_transition() -> None:
    first = status_of(bot({"paused": True}), observed(STOPPED))
    second = status_of(bot(CLOSED, status=first), observed(STOPPED), later=60)
    ready = condition(second, "Ready")
    assert (ready["reason"], ready["lastTransitionTime"]) == (
        "OffHours",
        "2026-03-04T12:00:00Z",
    )


objects = st.recursive(
    st.booleans() | st.text(max_size=2) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: isinstance(value, dict))


@settings(deadline=None)
@given(objects, objects)
def test_a_merge_patch_turns_the_old_status_into_the_new_one(
    before: JsonObject, after: JsonObject
) -> None:
    assert merged(before, merge_patch(before, after)) == after


def pod(**fields: Any) -> Observed:
    """Return a bot whose only pod is as usual except for those fields."""
    children = children_of(bot())
    return observed(children, pods=Pods(own=(bot_pod(children, **fields),)))


@pytest.mark.parametrize(
    ("found", "runs", "since"),
    [
        (observed(), False, None),
        (pod(), True, NOW - timedelta(hours=1)),
        (pod(ready=False), False, NOW - timedelta(hours=1)),
        (pod(started=None), False, None),
        (pod(restart_hash="of an older template"), False, NOW - timedelta(hours=1)),
        (pod(going=NOW), False, NOW - timedelta(hours=1)),
    ],
    ids=["none", "running", "not ready", "not started", "old template", "terminating"],
)
def test_a_bot_runs_with_a_ready_pod_of_its_template_and_trades_with_any_that_started(
    found: Observed, runs: bool, since: datetime | None
) -> None:
    assert (running_pod(found) is not None, running_since(found)) == (runs, since)


def stopping(seconds: int, *, stop_refusals: tuple[str, ...] = (), **fields: Any) -> JsonObject:
    """Return the status of a paused bot whose pod still exists that long after the stop began."""
    since = NOW - timedelta(seconds=seconds)
    seen = replace(pod(**fields), stopping_since=since, stop_refusals=stop_refusals)
    return status_of(bot({"paused": True}), seen)


@pytest.mark.parametrize(
    ("status", "expected", "says"),
    [
        (stopping(0), ("Unknown", "Stopping"), "pod arb-1 is running"),
        (stopping(14, stop_refusals=("no",)), ("Unknown", "Stopping"), "pod arb-1 is running"),
        (stopping(15, stop_refusals=("no",)), ("True", "Refused"), "no"),
        (stopping(15), ("True", "PodRemains"), "pod arb-1 is running"),
        (
            stopping(20, going=NOW + timedelta(seconds=10)),
            ("Unknown", "Stopping"),
            "terminating and has until 2026-03-04T12:00:10Z",
        ),
        (
            stopping(60, going=NOW - timedelta(seconds=15), finalizers=("example.com/hold",)),
            ("True", "PodRemains"),
            "(finalizers: example.com/hold)",
        ),
    ],
    ids=str,
)
def test_a_stop_that_takes_too_long_is_blocked_and_says_why(
    status: JsonObject, expected: tuple[str, str], says: str
) -> None:
    assert status["phase"] == "Stopping"
    assert verdict(status, "StopBlocked") == expected
    assert says in condition(status, "StopBlocked")["message"]
    assert verdict(status, "Ready") == ("False", "Stopping")
    assert "Paused" in condition(status, "Ready")["message"]


def test_a_deployment_that_asks_for_a_pod_is_not_stopped_though_it_has_none() -> None:
    status = status_of(bot({"paused": True}), observed(children_of(bot()), pods=Pods()))
    assert status["phase"] == "Stopping"


def test_what_holds_a_pod_up_is_told_in_its_own_words() -> None:
    problem = "ImagePullBackOff: Back-off pulling image"
    status = status_of(bot(), pod(ready=False, started=None, problem=problem))
    assert problem in condition(status, "Ready")["message"]


def test_a_refused_child_is_told_by_kind_name_and_message() -> None:
    refused = observed(refusals=(Refusal("ConfigMap", "arb-config", "exceeded quota"),))
    status = status_of(bot(), refused)
    assert verdict(status, "ChildrenApplied") == ("False", "Refused")
    message = condition(status, "ChildrenApplied")["message"]
    assert message == "ConfigMap arb-config: exceeded quota"


def test_pods_that_a_deployment_can_not_make_are_told() -> None:
    children = children_of(bot())
    assert children.deployment is not None
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    children.deployment["status"]["conditions"] = [failure]
    status = status_of(bot(), observed(children, pods=Pods()))
    assert verdict(status, "ChildrenApplied") == ("False", "ReplicaFailure")
    assert "exceeded quota: pods" in condition(status, "ChildrenApplied")["message"]
    assert "exceeded quota: pods" in condition(status, "Ready")["message"]


def test_pods_of_somebody_else_are_told_only_while_there_are_any() -> None:
    seen = pod()
    theirs = bot_pod(seen.children, name="hand-made")
    status = status_of(bot(), replace(seen, pods=replace(seen.pods, foreign=(theirs,))))
    assert verdict(status, "ForeignPods") == ("True", "NotOurs")
    assert "hand-made" in condition(status, "ForeignPods")["message"]
    assert status["phase"] == "Running"


def test_deployed_resources_are_those_that_exist() -> None:
    children = children_of(bot())
    assert deployed_resources(children, deployment_ready=True) == [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "arb-config", "ready": True},
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "arb", "ready": True},
        {"apiVersion": "v1", "kind": "Service", "name": "arb", "ready": True},
    ]
    assert deployed_resources(Children(), deployment_ready=True) == []


@pytest.mark.parametrize(
    ("paused", "count", "ready"), [(True, 0, True), (True, 1, False), (False, 1, True)]
)
def test_a_deployment_that_must_have_no_pod_does_its_job_without(
    paused: bool, count: int, ready: bool
) -> None:
    status = status_of(bot({"paused": paused}), observed(children_of(bot(), count=count)))
    found = {child["kind"]: child["ready"] for child in status["deployedResources"]}
    assert found["Deployment"] is ready


def test_a_child_that_is_being_deleted_is_not_ready() -> None:
    children = children_of(bot())
    for child in (children.config_map, children.deployment, children.service):
        assert child is not None
        child["metadata"]["deletionTimestamp"] = "2026-03-04T12:00:00Z"
    assert [child["ready"] for child in deployed_resources(children, deployment_ready=True)] == [
        False
    ] * 3
