"""kopf, as far as the operator uses it: logging in and watching.

Plain `on.event` handlers: they keep no state of their own in the objects (no annotations, no
finalizer), and every event only says which object to look at.

kopf lists before it watches. Of what is there it is shown nothing (see `kopf_session`): the
operator lists by itself, in pages, and 20,000 objects would go through kopf's handling of events
one by one, for seconds, only to be known already.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import kopf
import uvloop
from tradingbot_api import GROUP, VERSION
from tradingbot_api.model import JsonObject

from tradingbot_operator import MANAGED_BY
from tradingbot_operator.kopf_session import NoMemories, session_of, use_little

logger = logging.getLogger(__name__)

Seen = Callable[[str | None, JsonObject], None]
"""Called with the type of an event (None: from a list) and the object as it is, or was."""

SERVER_TIMEOUT = 240
CLIENT_TIMEOUT = 270
"""A watch that has gone silent is begun anew after this; kopf itself looks after 70 s."""

WATCHED = (
    (GROUP, VERSION, "tradingbots", "TradingBot"),
    (GROUP, VERSION, "assetregistries", "AssetRegistry"),
    ("apps", "v1", "deployments", "Deployment"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "services", "Service"),
)


SUPERVISION_SECONDS = 0.5
GRACE_SECONDS = 10.0
"""Within which kopf must have begun to watch what every API server has."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Before watching anew: all is listed each time, so not too often if it never lasts."""

BUILT_IN = tuple(plural for group, _, plural, _ in WATCHED if group != GROUP)

PLURALS = frozenset(plural for _, _, plural, _ in WATCHED)

_WATCHER = "watcher for "


class Backoffs:
    """Pauses before kopf tries a request again: without end, since a watch must not give up."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.2, 0.5, 1.0, 2.0)
        while True:
            yield 5.0


class LoginError(RuntimeError):
    """There is no cluster to log in to."""


async def login() -> kopf.ConnectionInfo:
    """The connection: that of the pod's ServiceAccount, else that of the kubeconfig."""
    settings = kopf.OperatorSettings()
    try:
        found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
            settings=settings
        )
    except (OSError, KeyError, ValueError, kopf.LoginError) as error:
        raise LoginError(f"can't read the kubeconfig: {error}; check KUBECONFIG") from error
    if found is None:
        raise LoginError("there is no cluster to log in to: run in a pod or set KUBECONFIG")
    return found


async def watch(
    seen: Seen,
    *,
    namespaces: Sequence[str],
    stop: asyncio.Event,
    ready: asyncio.Event,
    lost: Callable[[], None],
) -> None:
    """Watch until `stop`; `ready` is set once everything that there is can be listed.

    What happens after that is either told to `seen`, or `lost` is called, and all has to be listed
    once more.

    kopf has a thread and an event loop of its own: when it ends, it cancels every task that it
    finds in its loop, whoever made it.

    It ends a single watch for good when the API server answers what it does not expect, such as a
    404 while the server starts, and goes on without it. So whenever one is missing, all of kopf is
    begun anew: what happened in between was not seen. The same where a single watch had to begin
    anew because it was too far behind (410 Gone).
    """
    loop = asyncio.get_running_loop()
    stopping = threading.Event()

    def forward(type_: str | None, obj: JsonObject) -> None:
        loop.call_soon_threadsafe(seen, type_, obj)

    def to_be_listed() -> None:
        if ready.is_set():
            lost()
        ready.set()

    def session() -> list[str]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(
                _session(
                    forward, namespaces, stopping, lambda: loop.call_soon_threadsafe(to_be_listed)
                )
            )

    telling = asyncio.create_task(_tell_thread(stop, stopping))
    pause = FIRST_PAUSE
    try:
        while not stop.is_set():
            begun = loop.time()
            missing = await asyncio.to_thread(session)
            if missing:
                pause = FIRST_PAUSE if loop.time() > begun + LONGEST_PAUSE else pause
                logger.warning(
                    "watching anew in %.0f s, these watches have ended: %s",
                    pause,
                    ", ".join(missing),
                )
                to_be_listed()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
                pause = min(pause * 2, LONGEST_PAUSE)
    finally:
        stopping.set()
        telling.cancel()


async def _tell_thread(stop: asyncio.Event, stopping: threading.Event) -> None:
    await stop.wait()
    stopping.set()


class _Begun:
    """Notes that watches have begun; `all_begun` is called when all have, and for each anew."""

    def __init__(self, all_begun: Callable[[], object]) -> None:
        self._missing = set(PLURALS)
        self._all_begun = all_begun

    def note(self, plural: str) -> None:
        """The watch of `plural` begins, with all that happens from now on."""
        self._missing.discard(plural)
        if not self._missing:
            self._all_begun()

    def give_up_waiting(self) -> None:
        """Go on without those that have not begun."""
        if self._missing:
            self._missing.clear()
            self._all_begun()


async def _session(
    seen: Seen,
    namespaces: Sequence[str],
    stopping: threading.Event,
    to_be_listed: Callable[[], object],
) -> list[str]:
    """Run kopf until `stopping`, or until a watch has ended: which have, and how."""
    ending, watches = asyncio.Event(), _Begun(to_be_listed)
    operator = asyncio.create_task(
        kopf.operator(
            registry=watch_registry(seen, watches.note),
            settings=watch_settings(),
            memories=NoMemories(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=ending,
        )
    )
    # kopf logs why a watch has ended; that nobody asked its task for it is no news.
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: logger.debug("kopf: %s", context.get("exception") or context["message"])
    )
    known: dict[str, asyncio.Task[object]] = {}
    ended: list[str] = []
    begun = asyncio.get_running_loop().time()
    while not operator.done() and not stopping.is_set() and not ended:
        alive = {
            name: task
            for task in asyncio.all_tasks()
            if (name := task.get_name()).startswith(_WATCHER)
        }
        ended = [f"{name} ({_how(known[name])})" for name in sorted(known.keys() - alive.keys())]
        if asyncio.get_running_loop().time() > begun + GRACE_SECONDS:
            ended += [f"{one} (not begun)" for one in BUILT_IN if one not in map(_watched, alive)]
            watches.give_up_waiting()  # a CRD that is not there is watched as soon as it is
        known = alive
        await asyncio.wait({operator}, timeout=SUPERVISION_SECONDS)
    ending.set()
    try:
        await operator
    except Exception as error:
        ended.append(f"kopf ({error})")
    return ended


def _watched(name: str) -> str:
    """The plural of what a watch of kopf's, by the name of its task, is of."""
    return name.removeprefix(_WATCHER).split(".", 1)[0]


def _how(task: asyncio.Task[object]) -> str:
    """How a task has ended, in few words."""
    error = None if task.cancelled() else task.exception()
    return "cancelled" if task.cancelled() else str(error or "no error")[:200]


def watch_settings() -> kopf.OperatorSettings:
    """kopf's settings: watches that notice silence, only our children, nothing written."""
    settings = kopf.OperatorSettings()
    settings.watching.server_timeout = SERVER_TIMEOUT
    settings.watching.client_timeout = CLIENT_TIMEOUT
    settings.watching.connect_timeout = 5.0
    # kopf takes its own finalizer off whatever it has no handlers of deletion for: not ours.
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.posting.enabled = False
    use_little(settings)
    settings.networking.error_backoffs = Backoffs()
    # One line for each event of each object says nothing; what is done is logged where it is done.
    for name in ("kopf.objects", "kopf.activities", "kopf._core.engines.activities"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns that it does not listen to signals in its thread: the operator does.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    selector = ",".join(f"{key}={value}" for key, value in MANAGED_BY.items())
    for group, version, plural, _ in WATCHED:
        if group != GROUP:
            settings.watching.label_selectors[group, version, plural] = selector
    return settings


def watch_registry(seen: Seen, listed: Callable[[str], None]) -> kopf.OperatorRegistry:
    """Handlers that pass each event of a watched kind to `seen`."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return session_of(await login(), plurals=PLURALS, listed=listed)

    for group, version, plural, kind in WATCHED:
        kopf.on.event(group, version, plural, registry=registry, id=f"{kind}-event")(
            _forwarding(f"{group}/{version}".lstrip("/"), kind, seen)
        )
    return registry


def _forwarding(api_version: str, kind: str, seen: Seen) -> Callable[..., Any]:
    async def forward(event: Any, **_: Any) -> None:
        # Items of a list come without their type.
        seen(event["type"], {"apiVersion": api_version, "kind": kind, **event["object"]})

    return forward
