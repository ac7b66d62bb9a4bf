"""Watches with kopf, started again from scratch whenever one of them ends.

Three layers, each of which repairs what the one below can't:

    kopf            reconnects a watch that times out or loses its connection
    _run_kopf       runs kopf in a session and returns when a watch has ended for good
    watch           starts another session, and asks for a listing of what was missed

A session is a thread with an event loop (see `session`). kopf ends a single watch for good when the
API server answers with something unexpected, such as a 404 while it starts, and goes on without
that watch: hence the supervision. It also never starts a watch if it looks for a new definition in
the moment in which the API server does not serve it yet: hence `is_served`.

kopf lists before it watches. The operator lists by itself, in pages, and lets kopf's lists come
back empty (see `kopf_tuning`): 20,000 objects would go through kopf's handling of events one by
one, for seconds, although the cache knows them already.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import kopf

from tradingbot_operator.cluster.watching.health import WatchHealth
from tradingbot_operator.cluster.watching.kopf_tuning import NoMemories
from tradingbot_operator.cluster.watching.kopf_wiring import (
    BUILT_IN,
    KINDS,
    PLURALS,
    Callbacks,
    OnEvent,
    watch_registry,
    watch_settings,
)
from tradingbot_operator.cluster.watching.session import WatchSession, end_all_tasks

logger = logging.getLogger(__name__)

SUPERVISION_SECONDS = 0.5
GRACE_SECONDS = 10.0
"""Within which kopf must have started the watch of a kind that the API server serves."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before another session: each makes the operator list everything."""

BEAT_SECONDS = 30.0
"""A session whose event loop has stood still for so long is abandoned."""

STOP_SECONDS = 5.0
"""Within which the watches must have ended when the operator stops."""

_WATCHER = "watcher for "


async def watch(
    on_event: OnEvent,
    *,
    namespaces: Sequence[str],
    stop: asyncio.Event,
    ready: asyncio.Event,
    on_missed_events: Callable[[], None],
    is_served: Callable[[str], bool] = lambda _kind: False,
    health: WatchHealth | None = None,
) -> None:
    """Watch all kinds until `stop`.

    `ready` is set once all watches have started: a listing that begins now misses nothing. From
    then on each change is passed to `on_event`, or else `on_missed_events` is called, and
    everything has to be listed again. That happens

    - when a watch could not be kept up (a 410 Gone) and starts again from the present,
    - when a line of a watch can't be read,
    - when a session ends, since nothing is watched until the next one has started.

    `is_served` says whether the API server serves a kind that a definition adds. It is called
    in the session's thread; all other callbacks run in the caller's event loop.
    """
    loop = asyncio.get_running_loop()
    health = WatchHealth() if health is None else health

    def all_started() -> None:
        health.whole()
        if ready.is_set():
            on_missed_events()
        ready.set()

    def events_missed() -> None:
        if ready.is_set():  # before that, nothing was listed yet
            on_missed_events()

    async def work(session: WatchSession) -> list[str]:
        # `session.call` brings each callback from the session's thread into this loop.
        callbacks = Callbacks(
            on_event=lambda type_, obj: session.call(on_event, type_, obj),
            on_all_started=lambda: session.call(all_started),
            on_unreadable=lambda: session.call(events_missed),
            on_answer=health.answered,
        )
        return await _run_kopf(session, callbacks, namespaces, is_served)

    stopping = asyncio.create_task(stop.wait())
    pause = FIRST_PAUSE
    session = None
    try:
        while not stop.is_set():
            begun = loop.time()
            session = WatchSession(work)
            health.begins(session)
            ended = await _until_ended(session, stopping)
            if ended:
                health.broken()
                pause = FIRST_PAUSE if loop.time() > begun + LONGEST_PAUSE else pause
                logger.warning(
                    "Restarting all watches in %.0f s, since these have ended: %s",
                    pause,
                    ", ".join(ended),
                )
                events_missed()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
                pause = min(pause * 2, LONGEST_PAUSE)
    finally:
        stopping.cancel()
        if session is not None:
            session.abandon()


async def _until_ended(session: WatchSession, stopping: asyncio.Task[Any]) -> list[str]:
    """Wait until the session has ended, stands still, or the operator stops.

    Returns the watches that have ended; none if the operator stops.
    """
    while not session.ended.done() and not stopping.done():
        await asyncio.wait(
            {session.ended, stopping}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED
        )
        if session.silent_seconds > BEAT_SECONDS:
            session.abandon()
            return [f"kopf (its thread has stood still for {session.silent_seconds:.0f} s)"]
    if not session.ended.done():
        session.stop()
        await asyncio.wait({session.ended}, timeout=STOP_SECONDS)
    ended = session.ended.result() if session.ended.done() else []
    session.abandon()
    return ended


class _StartedWatches:
    """The watches that have started. Calls `on_all` when all have, and for each that restarts."""

    def __init__(self, on_all: Callable[[], object]) -> None:
        self._missing = set(PLURALS)
        self._on_all = on_all
        self.plurals: set[str] = set()

    def add(self, plural: str) -> None:
        """Note that the watch of `plural` starts, and will report every change from now on."""
        self._missing.discard(plural)
        self.plurals.add(plural)
        if not self._missing:
            self._on_all()

    def give_up_waiting(self) -> None:
        """Go on without the watches that have not started."""
        if self._missing:
            self._missing.clear()
            self._on_all()


async def _run_kopf(
    session: WatchSession,
    callbacks: Callbacks,
    namespaces: Sequence[str],
    is_served: Callable[[str], bool],
) -> list[str]:
    """Run kopf until the session is stopped or a watch has ended. Return which have, and why.

    In this order: start kopf, supervise it, report the end to the other thread, clean up. The
    report comes before the cleanup, which can take seconds in which nothing is watched.
    """
    ending, started = asyncio.Event(), _StartedWatches(callbacks.on_all_started)
    http_sessions: list[kopf.AiohttpSession] = []
    operator = asyncio.create_task(
        kopf.operator(
            registry=watch_registry(callbacks, started.add, http_sessions.append),
            settings=watch_settings(),
            memories=NoMemories(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=ending,
        )
    )
    # kopf logs why a watch has ended. asyncio would log it again, as an error that nobody fetched.
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: logger.debug("kopf: %s", context.get("exception") or context["message"])
    )
    ended = await _until_one_ends(session, operator, started, is_served)
    session.report(ended)
    ending.set()
    await end_all_tasks(operator)
    for http_session in http_sessions:
        with suppress(Exception):
            await asyncio.wait_for(http_session.aiohttp_session.close(), 1.0)
    return ended


async def _until_one_ends(
    session: WatchSession,
    operator: asyncio.Task[None],
    started: _StartedWatches,
    is_served: Callable[[str], bool],
) -> list[str]:
    """Supervise kopf's watches. Return which have ended, and why; none if the session is stopped.

    kopf has no interface for this. Its watches are recognised by the names of their tasks, which
    the tests of the sessions check against the pinned kopf.
    """
    known: dict[str, asyncio.Task[object]] = {}
    ended: list[str] = []
    now = asyncio.get_running_loop().time
    begun = now()
    awaited: dict[str, float] = {}  # since when a kind has been served and not watched
    while not session.stopping and not ended:
        session.beat()
        alive = {
            name: task
            for task in asyncio.all_tasks()
            if (name := task.get_name()).startswith(_WATCHER)
        }
        ended = [f"{name} ({_how(known[name])})" for name in sorted(known.keys() - alive.keys())]
        running = set(map(_plural_of, alive))
        if not ended:  # a watch may have started and ended between two checks of the tasks
            ended = [f"{plural} (at once)" for plural in sorted(started.plurals - running)]
        awaited = {
            plural: awaited.get(plural, now())
            for plural in sorted(PLURALS - running)
            if plural in BUILT_IN or is_served(KINDS[plural][0])
        }
        ended += [
            f"{each} (not begun)" for each in awaited if now() > awaited[each] + GRACE_SECONDS
        ]
        if now() > begun + GRACE_SECONDS:
            # kopf watches a CRD that is missing now once it is installed, or else see `awaited`.
            started.give_up_waiting()
        known = alive
        if operator.done():
            ended.append(f"kopf ({_how(operator)})")
        elif not ended:
            await asyncio.wait({operator}, timeout=SUPERVISION_SECONDS)
    return ended


def _plural_of(task_name: str) -> str:
    """Return the plural that a task of kopf's watches, from its name."""
    return task_name.removeprefix(_WATCHER).split(".", 1)[0]


def _how(task: asyncio.Task[object]) -> str:
    """Return how a task has ended, in a few words."""
    error = None if task.cancelled() else task.exception()
    return "cancelled" if task.cancelled() else str(error or "no error")[:200]
