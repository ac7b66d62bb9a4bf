"""The events for changes of the status."""

import copy

import pytest
from operator_harness import bot, observed
from situations import (
    SITUATIONS,
    STOPPED,
    is_a_message,
    status_of,
)
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.observed import (
    Credentials,
)
from tradingbot_operator.bots.status.transitions import transitions
from tradingbot_operator.reasons import Reason


def events(before: JsonObject, after: JsonObject) -> list[tuple[str, str]]:
    return [(type_, reason) for type_, reason, _ in transitions(before, after)]


STATUSES = {phase: status_of(*situation) for phase, situation in SITUATIONS.items()}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("Running", "Stopping", None),
        ("Stopping", "Paused", ("Normal", "Paused")),
        ("Paused", "Stopping", None),
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
    assert all(is_a_message(message) for _, _, message in transitions(old, new))


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
    seen = observed(
        STOPPED, credentials=Credentials(problem=Reason.KEY_NOT_FOUND, message="no key")
    )
    after = status_of(bot(), seen)
    assert events(STATUSES["AwaitingCredentials"], after) == [("Warning", "CredentialsMissing")]
