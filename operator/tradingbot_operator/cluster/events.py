"""Events on objects: one for each transition, as `kubectl describe` shows them."""

import logging
from datetime import datetime
from uuid import uuid4

from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject

from tradingbot_operator import FIELD_MANAGER
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.cluster.event_correlation import Correlation, Occurrence
from tradingbot_operator.cluster.timestamps import rfc3339

logger = logging.getLogger(__name__)

LONGEST_MESSAGE = 960
"""Characters of a message. The API server takes 1024, with what is put before combined ones."""
NORMAL, WARNING = "Normal", "Warning"

Transition = tuple[str, str, str]
"""Type, reason and message of an event."""


class Recorder:
    """Posts events; one that repeats another raises its count.

    An event that can't be posted is logged and dropped: it must not delay work.
    """

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._correlation = Correlation()

    async def post(
        self, body: JsonObject, event: Transition, now: datetime, *, api_version: str = API_VERSION
    ) -> None:
        """Post an event about the object `body`."""
        type_, reason, message = event
        meta = body["metadata"]
        logger.info(
            "%s %s/%s: %s: %s", body["kind"], meta["namespace"], meta["name"], reason, message
        )
        about = tuple(map(str, (body["kind"], meta["namespace"], meta["name"], meta.get("uid"))))
        kind = (about, type_, reason)
        occurrence = self._correlation.occurrence(
            kind, message[:LONGEST_MESSAGE], now, new_name=lambda: _new_name(meta["name"])
        )
        manifest = _manifest(body, event, occurrence, now, api_version=api_version)
        try:
            await self._write(manifest, occurrence)
        except KubernetesError as error:
            if occurrence.count == 1:
                self._correlation.forget(kind, occurrence)
            logger.warning("Could not post the event %s: %s", reason, error)

    async def _write(self, manifest: JsonObject, occurrence: Occurrence) -> None:
        """Create an Event, or update the one that it repeats, unless that has expired."""
        if occurrence.count > 1:
            changed = {key: manifest[key] for key in ("message", "lastTimestamp", "count")}
            try:
                await self._api.merge(
                    "Event", manifest["metadata"]["namespace"], occurrence.name, changed
                )
            except KubernetesError as error:
                if error.status != 404:  # noqa: PLR2004
                    raise
            else:
                return
        await self._api.create(manifest)


def _manifest(
    body: JsonObject,
    event: Transition,
    occurrence: Occurrence,
    now: datetime,
    *,
    api_version: str,
) -> JsonObject:
    type_, reason, _ = event
    meta = body["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": occurrence.name, "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": api_version,
            "kind": body["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta.get("uid", ""),
            "resourceVersion": meta.get("resourceVersion", ""),
        },
        "type": type_,
        "reason": reason,
        "message": occurrence.message,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": FIELD_MANAGER,
        "firstTimestamp": rfc3339(occurrence.first),
        "lastTimestamp": rfc3339(now),
        "count": occurrence.count,
    }


def _new_name(name: str) -> str:
    return f"{name[:200].rstrip('-.')}.{uuid4().hex[:16]}"
