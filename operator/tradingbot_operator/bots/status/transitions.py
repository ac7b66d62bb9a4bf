"""The events of a bot: one for each transition between two of its statuses."""

from collections.abc import Iterator

from tradingbot_api.model import JsonObject

from tradingbot_operator.cluster.conditions import condition_of
from tradingbot_operator.cluster.events import NORMAL, WARNING, Transition

_ENTERED = {
    "Failed": (WARNING, None),
    "Paused": (NORMAL, "Paused"),
    "AwaitingCredentials": (WARNING, "CredentialsMissing"),
    "OffHours": (NORMAL, "ScheduleClosed"),
}
"""Type and reason of the event for entering a phase; None takes the reason of `Ready`."""

_BY_REASON = frozenset({"Failed", "AwaitingCredentials"})
"""Phases with more than one reason; another reason is an event too."""

_LEFT = {
    "OffHours": "ScheduleOpened",
    "Paused": "Resumed",
    "Halted": "Resumed",
    "AwaitingCredentials": "Resumed",
}
"""Reason of the event for leaving a phase."""

_TROUBLES = frozenset({"ExchangeUnreachable", "KeysRefused", "PricesStale"})
"""Reasons of `GatewayReady` that are events also while a gateway starts."""

_WARNED_OF = (
    ("ChildrenApplied", "False", "ChildRefused"),
    ("EnforcementKept", "True", "EnforcementKept"),
    ("ForeignPods", "True", "ForeignPods"),
    ("LimitExceeded", "True", "LimitExceeded"),
)
"""Type and status of a condition, and the reason of the event for its change to that status."""


def transitions(before: JsonObject, after: JsonObject) -> Iterator[Transition]:
    """Yield the events for what changed between two statuses of a bot."""
    old, new = before.get("phase"), after["phase"]
    ready = condition_of(after, "Ready")
    if old is None:
        yield NORMAL, "Created", "Started managing this bot"
    elif before.get("configHash") not in {None, after.get("configHash")} and after.get(
        "configHash"
    ):
        yield NORMAL, "Updated", f"The declared configuration is now {after['configHash']}"
    # By the condition, not the phase: the phase of a halted bot that is also paused is Paused.
    halted = condition_of(after, "RiskHalted")
    if halted.get("status") == "True" != condition_of(before, "RiskHalted").get("status"):
        yield WARNING, "Halted", halted["message"]
    if new in _ENTERED:
        reason_before = condition_of(before, "Ready").get("reason")
        if old != new or (new in _BY_REASON and reason_before != ready["reason"]):
            type_, reason = _ENTERED[new]
            yield type_, reason or ready["reason"], ready["message"]
    elif old in _LEFT and new not in {old, "Halted", "Stopping"}:
        yield NORMAL, _LEFT[old], f"The bot left phase {old}"
    yield from transitions_of_stop(before, after)
    if _waits_for(after) not in {"", _waits_for(before)}:
        yield NORMAL, "RolloutPending", condition_of(after, "RolloutPending")["message"]
    yield from transitions_of_gateway(before, after)
    for type_, status, reason in _WARNED_OF:
        if _turned(before, after, type_, status):
            yield WARNING, reason, condition_of(after, type_)["message"]


def transitions_of_gateway(before: JsonObject, after: JsonObject) -> Iterator[Transition]:
    """Yield the event for what changed about the gateway of a bot between two statuses."""
    old, new = condition_of(before, "GatewayReady"), condition_of(after, "GatewayReady")
    if new.get("status") == "False":
        # A gateway that starts is not ready either: that needs no event.
        told = old.get("status") == "True" or new["reason"] in _TROUBLES
        if told and old.get("reason") != new["reason"]:
            yield WARNING, "GatewayNotReady", new["message"]
    elif new.get("reason") == "KeyMayWithdraw" != old.get("reason"):
        yield WARNING, "KeyMayWithdraw", new["message"]


def transitions_of_stop(before: JsonObject, after: JsonObject) -> Iterator[Transition]:
    """Yield the events for what changed about the stop of a bot between two statuses."""
    blocked = condition_of(after, "StopBlocked")
    if _turned(before, after, "StopBlocked", "True"):
        yield WARNING, "StopBlocked", blocked["message"]
    elif (
        blocked.get("reason") == "Stopped"
        and condition_of(before, "StopBlocked").get("status") == "True"
    ):
        yield NORMAL, "StopCompleted", "No pod of the bot is left"


def _waits_for(status: JsonObject) -> str:
    """Return for which change a restart waits, "" if none does."""
    found = condition_of(status, "RolloutPending")
    waits = found.get("status") == "True"
    return str(found.get("message", "")).partition(";")[0] if waits else ""


def _turned(before: JsonObject, after: JsonObject, type_: str, status: str) -> bool:
    """Return whether a condition has changed to that status."""
    old = condition_of(before, type_).get("status")
    return bool(condition_of(after, type_).get("status") == status != old)
