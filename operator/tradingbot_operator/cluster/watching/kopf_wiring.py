"""The settings and handlers that kopf gets: what it watches, and where each event goes.

Plain `on.event` handlers: kopf keeps no state in the objects (no annotations, no finalizer), and
each event is passed on as it comes.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import kopf
from tradingbot_api import GROUP, VERSION
from tradingbot_api.model import JsonObject

from tradingbot_operator.cluster.login import login
from tradingbot_operator.cluster.resource_paths import labels_of, selector_of
from tradingbot_operator.cluster.watching.kopf_tuning import minimise_kopf_memory, session_of
from tradingbot_operator.cluster.watching.lines import NUMBER, Handover

OnEvent = Callable[[str | None, JsonObject], None]
"""Called with the type of an event (None: from a list) and the object as it is, or was."""

SERVER_TIMEOUT = 240
CLIENT_TIMEOUT = 270
"""Seconds without data after which a watch is started again; kopf's own limit is 70."""

WATCHED = (
    (GROUP, VERSION, "tradingbots", "TradingBot"),
    (GROUP, VERSION, "assetregistries", "AssetRegistry"),
    ("apps", "v1", "deployments", "Deployment"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "services", "Service"),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    ("", "v1", "pods", "Pod"),
)

BUILT_IN = tuple(plural for group, _, plural, _ in WATCHED if group != GROUP)

KINDS = {
    plural: (kind, f"{group}/{version}".lstrip("/")) for group, version, plural, kind in WATCHED
}
"""Kind and API version of the watched objects, by plural."""

PLURALS = frozenset(KINDS)


class Backoffs:
    """Pauses before kopf tries a request again: without end, since a watch must not give up."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.2, 0.5, 1.0, 2.0)
        while True:
            yield 5.0


@dataclass(frozen=True)
class Callbacks:
    """What a run of kopf reports, from its own thread."""

    on_event: OnEvent
    on_all_started: Callable[[], object]
    """All watches have started, or one of them has started again."""
    on_unreadable: Callable[[], object]
    """An event was lost, since its line can't be read."""
    on_answer: Callable[[str, str], object]
    """A list or watch was answered: its path, and why it failed (empty: it did not)."""


def watch_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: watches that notice silence, only our children, nothing written."""
    settings = kopf.OperatorSettings()
    settings.watching.server_timeout = SERVER_TIMEOUT
    settings.watching.client_timeout = CLIENT_TIMEOUT
    settings.watching.connect_timeout = 5.0
    # kopf removes its own finalizer from every object without deletion handlers: not our one.
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.posting.enabled = False
    minimise_kopf_memory(settings)
    settings.networking.error_backoffs = Backoffs()
    # kopf logs a line for each event of each object; the operator logs what it does about them.
    for name in ("kopf.objects", "kopf.activities", "kopf._core.engines.activities"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # kopf warns that it does not listen to signals in its thread: the operator does.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    for group, version, plural, kind in WATCHED:
        if group != GROUP:
            selector = selector_of(labels_of(kind))
            settings.watching.label_selectors[group, version, plural] = selector
    return settings


def watch_registry(
    callbacks: Callbacks,
    on_started: Callable[[str], None],
    on_session: Callable[[kopf.AiohttpSession], None],
) -> kopf.OperatorRegistry:
    """Return handlers that pass on each event of a watched kind.

    `on_started` is called with the plural of each watch that starts, `on_session` with each HTTP
    session, to be closed by the caller.
    """
    registry = kopf.OperatorRegistry()
    handover = Handover()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        session = session_of(
            await login(),
            kinds=KINDS,
            on_listed=on_started,
            on_answer=callbacks.on_answer,
            handover=handover,
            on_unreadable=callbacks.on_unreadable,
        )
        on_session(session)
        return session

    async def forward(event: Any, **_: Any) -> None:
        callbacks.on_event(event["type"], handover.take(event["object"][NUMBER]))

    for group, version, plural, kind in WATCHED:
        kopf.on.event(group, version, plural, registry=registry, id=f"{kind}-event")(forward)
    return registry
