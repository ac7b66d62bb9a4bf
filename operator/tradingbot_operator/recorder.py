"""Events on bots: one for each transition, as `kubectl describe` shows them."""

import logging
from collections.abc import Iterator
from datetime import datetime
from uuid import uuid4

from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject

from tradingbot_operator import FIELD_MANAGER
from tradingbot_operator.kube import KubernetesApi, KubernetesError
from tradingbot_operator.risk import rfc3339

logger = logging.getLogger(__name__)

NORMAL, WARNING = "Normal", "Warning"

Transition = tuple[str, str, str]
"""Type, reason and message of an event."""

_ENTERED = {
    "Failed": (WARNING, None),
    "Paused": (NORMAL, "Paused"),
    "AwaitingCredentials": (WARNING, "CredentialsMissing"),
    "OffHours": (NORMAL, "ScheduleClosed"),
}
_LEFT = {
    "OffHours": "ScheduleOpened",
    "Paused": "Resumed",
    "Halted": "Resumed",
    "AwaitingCredentials": "Resumed",
}


def transitions(before: JsonObject, after: JsonObject) -> Iterator[Transition]:
    """What has happened to a bot between two of its statuses."""
    old, new = before.get("phase"), after["phase"]
    ready = _condition(after, "Ready")
    if old is None:
        yield NORMAL, "Created", "the bot was taken up"
    elif before.get("configHash") not in {None, after.get("configHash")} and after.get(
        "configHash"
    ):
        yield NORMAL, "Updated", f"the declared configuration is now {after['configHash']}"
    # By its condition: a bot that is paused as well is halted all the same.
    halted = _condition(after, "RiskHalted")
    if halted.get("status") == "True" != _condition(before, "RiskHalted").get("status"):
        yield WARNING, "Halted", halted["message"]
    if new in _ENTERED:
        if (old, _condition(before, "Ready").get("reason")) != (new, ready["reason"]):
            type_, reason = _ENTERED[new]
            yield type_, reason or ready["reason"], ready["message"]
    elif old in _LEFT and new not in {old, "Halted"}:
        yield NORMAL, _LEFT[old], f"the bot left phase {old}"


def _condition(status: JsonObject, type_: str) -> JsonObject:
    conditions = status.get("conditions") or ()
    return next((one for one in conditions if one["type"] == type_), {})


class Recorder:
    """Posts events. One that can't be posted is logged and lost: it must hold nothing up."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def post(self, body: JsonObject, event: Transition, now: datetime) -> None:
        """Post an event about the object `body`."""
        type_, reason, message = event
        meta = body["metadata"]
        stamp = rfc3339(now)
        manifest = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta['name'][:200].rstrip('-.')}.{uuid4().hex[:16]}",
                "namespace": meta["namespace"],
            },
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": body["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "resourceVersion": meta.get("resourceVersion", ""),
            },
            "type": type_,
            "reason": reason,
            "message": message[:1000],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": FIELD_MANAGER,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        logger.info(
            "%s %s/%s: %s: %s", body["kind"], meta["namespace"], meta["name"], reason, message
        )
        try:
            await self._api.create(manifest)
        except KubernetesError as error:
            logger.warning("event %s was not posted: %s", reason, error)
