"""The status and the events that are read off it."""

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_harness import NOW, bot, children_of, merged, observed
from tradingbot_api.crds import crds
from tradingbot_api.model import JsonObject
from tradingbot_operator.bot import Bot
from tradingbot_operator.plan import Children, Credentials, Observed, is_available, plan
from tradingbot_operator.reasons import Reason
from tradingbot_operator.recorder import transitions
from tradingbot_operator.status import (
    RegistryState,
    bot_status,
    deployed_resources,
    merge_patch,
)

SYNCED = RegistryState("True", Reason.SYNCED, "synced")
CONDITIONS = [
    "Ready",
    "CredentialsReady",
    "ConfigApplied",
    "RolloutPending",
    "ScheduleOpen",
    "RiskHalted",
    "RiskReported",
    "RegistrySynced",
]
CLOSED = {"schedule": {"windows": [{"start": "20:00", "end": "21:00"}]}}
NO_SECRET = Credentials(problem=Reason.SECRET_NOT_FOUND, message='Secret "x" not found')
INVALID = {"riskManagement": {"dailyLossLimit": "-5"}}


def status_of(
    subject: Bot, seen: Observed | None = None, *, registry: RegistryState = SYNCED, later: int = 0
) -> JsonObject:
    now = NOW + timedelta(seconds=later)
    found = observed(children_of(bot())) if seen is None else seen
    return bot_status(subject, plan(subject, found, now), found, registry, now)


def condition(status: JsonObject, type_: str) -> JsonObject:
    (found,) = [one for one in status["conditions"] if one["type"] == type_]
    return dict(found)


def verdict(status: JsonObject, type_: str) -> tuple[str, str]:
    found = condition(status, type_)
    return found["status"], found["reason"]


SITUATIONS: dict[str, tuple[Bot, Observed]] = {
    "Running": (bot(), observed(children_of(bot()))),
    "Pending": (bot(), observed()),
    "Paused": (bot({"paused": True}), observed(children_of(bot()))),
    "AwaitingCredentials": (bot(), observed(children_of(bot()), credentials=NO_SECRET)),
    "OffHours": (bot(CLOSED), observed(children_of(bot()))),
    "Failed": (bot(INVALID), observed(children_of(bot()))),
}


@pytest.mark.parametrize("phase", SITUATIONS)
def test_each_situation_has_its_phase(phase: str) -> None:
    assert status_of(*SITUATIONS[phase])["phase"] == phase


@pytest.mark.parametrize("phase", SITUATIONS)
def test_conditions_are_always_all_present_and_say_something(phase: str) -> None:
    status = status_of(*SITUATIONS[phase])
    assert [one["type"] for one in status["conditions"]] == CONDITIONS
    for one in status["conditions"]:
        assert one["status"] in {"True", "False", "Unknown"}
        assert one["reason"].isalpha()
        assert one["message"]
        assert one["observedGeneration"] == 3
        assert one["lastTransitionTime"] == "2026-03-04T12:00:00Z"


@pytest.mark.parametrize("phase", SITUATIONS)
def test_only_a_running_bot_is_ready(phase: str) -> None:
    ready, _ = verdict(status_of(*SITUATIONS[phase]), "Ready")
    assert ready == ("True" if phase == "Running" else "False")


def pruned(value: Any, schema: JsonObject) -> Any:
    """`value` as an API server keeps it that knows only `schema`."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {key: pruned(inner, known[key]) for key, inner in value.items() if key in known}
    if isinstance(value, list):
        return [pruned(inner, schema["items"]) for inner in value]
    return value


@pytest.mark.parametrize("phase", SITUATIONS)
def test_the_schema_prunes_nothing_of_the_status(phase: str) -> None:
    (crd,) = [one for one in crds() if one["spec"]["names"]["kind"] == "TradingBot"]
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
    closed = status_of(bot(CLOSED, status=same), later=120)
    assert condition(closed, "Ready")["lastTransitionTime"] == "2026-03-04T12:02:00Z"
    assert condition(closed, "CredentialsReady")["lastTransitionTime"] == "2026-03-04T12:00:00Z"


def test_another_reason_for_the_same_status_is_no_transition() -> None:
    first = status_of(bot({"paused": True}))
    second = status_of(bot(CLOSED, status=first), later=60)
    ready = condition(second, "Ready")
    assert (ready["reason"], ready["lastTransitionTime"]) == (
        "OutsideHours",
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


def deployment(**status: int) -> Children:
    return Children(deployment={"metadata": {"generation": 2}, "status": status})


@pytest.mark.parametrize(
    ("children", "available"),
    [
        (Children(), False),
        (Children(deployment={"metadata": {}, "status": None}), False),
        (deployment(), False),
        (deployment(observedGeneration=2, updatedReplicas=1), False),
        (deployment(observedGeneration=1, updatedReplicas=1, availableReplicas=1), False),
        (deployment(observedGeneration=2, availableReplicas=1), False),
        (deployment(observedGeneration=2, updatedReplicas=1, availableReplicas=1), True),
    ],
    ids=str,
)
def test_a_bot_is_available_once_the_pod_of_its_latest_template_is(
    children: Children, available: bool
) -> None:
    assert is_available(children) is available


def test_deployed_resources_are_those_that_exist() -> None:
    children = children_of(bot())
    assert deployed_resources(children, stopped=False) == [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "arb-config", "ready": True},
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "arb", "ready": True},
        {"apiVersion": "v1", "kind": "Service", "name": "arb", "ready": True},
    ]
    assert deployed_resources(Children(), stopped=False) == []


def test_a_deployment_that_shall_have_no_pod_does_its_job_without() -> None:
    children = children_of(bot(), replicas=0)
    for stopped in (True, False):
        found = deployed_resources(children, stopped=stopped)
        assert [one["ready"] for one in found] == [True, stopped, True]


def events(before: JsonObject, after: JsonObject) -> list[tuple[str, str]]:
    return [(type_, reason) for type_, reason, _ in transitions(before, after)]


STATUSES = {phase: status_of(*situation) for phase, situation in SITUATIONS.items()}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("Running", "Paused", ("Normal", "Paused")),
        ("Paused", "Running", ("Normal", "Resumed")),
        ("Paused", "Pending", ("Normal", "Resumed")),
        ("Running", "OffHours", ("Normal", "ScheduleClosed")),
        ("OffHours", "Pending", ("Normal", "ScheduleOpened")),
        ("Running", "AwaitingCredentials", ("Warning", "CredentialsMissing")),
        ("AwaitingCredentials", "Pending", ("Normal", "Resumed")),
        ("Running", "Failed", ("Warning", "InvalidSpec")),
        ("Paused", "OffHours", ("Normal", "ScheduleClosed")),
        ("Pending", "Running", None),
        ("Running", "Pending", None),
        ("Failed", "Running", None),
    ],
)
def test_each_transition_is_one_event(
    before: str, after: str, expected: tuple[str, str] | None
) -> None:
    new = {**STATUSES[after], "configHash": "h"}
    old = {**STATUSES[before], "configHash": "h"}
    assert events(old, new) == ([expected] if expected else [])


@pytest.mark.parametrize("phase", STATUSES)
def test_what_stays_is_no_event(phase: str) -> None:
    assert events(STATUSES[phase], copy.deepcopy(STATUSES[phase])) == []


def test_a_bot_is_created_once_and_its_first_state_is_told_too() -> None:
    assert events({}, STATUSES["Pending"]) == [("Normal", "Created")]
    assert events({}, STATUSES["AwaitingCredentials"]) == [
        ("Normal", "Created"),
        ("Warning", "CredentialsMissing"),
    ]


def test_another_configuration_is_an_update() -> None:
    changed = status_of(bot({"riskManagement": {"dailyLossLimit": "150"}}))
    assert events(STATUSES["Running"], changed) == [("Normal", "Updated")]


def test_another_failure_is_told_though_the_phase_stays() -> None:
    conflict = status_of(bot(), observed(conflicts=("Service arb",)))
    assert events(STATUSES["Failed"], conflict) == [("Warning", "NameConflict")]


def test_another_key_that_is_missing_is_told_though_the_phase_stays() -> None:
    seen = observed(credentials=Credentials(problem=Reason.KEY_NOT_FOUND, message="no key"))
    after = status_of(bot(), seen)
    assert events(STATUSES["AwaitingCredentials"], after) == [("Warning", "CredentialsMissing")]


def test_a_child_that_is_being_deleted_is_not_ready() -> None:
    children = children_of(bot())
    for child in (children.config_map, children.deployment, children.service):
        assert child is not None
        child["metadata"]["deletionTimestamp"] = "2026-03-04T12:00:00Z"
    assert [one["ready"] for one in deployed_resources(children, stopped=False)] == [False] * 3
