"""Watch sessions against an API server that breaks them: each ends in time or is abandoned."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import kopf
import pytest
from tradingbot_api.model import JsonObject
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_operator.cluster.watching import kopf_wiring, watches
from tradingbot_operator.cluster.watching.kopf_wiring import PLURALS, Callbacks, OnEvent
from tradingbot_operator.cluster.watching.session import WatchSession
from watch_server import WatchServer

PATIENCE = STUCK_SECONDS
MANY = tuple(f"desk-{number}" for number in range(8))


@dataclass
class Watching:
    """Records what the watches report while they run against a server."""

    server: WatchServer
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    names: list[str] = field(default_factory=list)
    losses: int = 0

    def seen(self, type_: str | None, obj: JsonObject) -> None:
        self.names.append(obj["metadata"]["name"])

    def lost(self) -> None:
        self.losses += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - the lists are filled from outside
                await asyncio.sleep(0.02)

    async def begun(self, times: int, namespaces: int = 1) -> None:
        """Wait until each watch has started so often."""
        counts = self.server.begun
        await self.until(
            lambda: min(counts.count(plural) for plural in PLURALS) >= times * max(namespaces, 1)
        )


def watch(
    monkeypatch: pytest.MonkeyPatch,
    scenario: Callable[[Watching], Awaitable[None]],
    *,
    namespaces: tuple[str, ...] = (),
    undiscovered: frozenset[str] = frozenset(),
    is_served: Callable[[WatchServer, str], bool] = lambda _server, _kind: False,
) -> Watching:
    """Run `scenario` while the operator watches; it must stop in time afterwards."""

    async def main() -> Watching:
        server = WatchServer(namespaces=namespaces, undiscovered=set(undiscovered))
        async with server.serving() as url:

            async def login() -> kopf.ConnectionInfo:
                return kopf.ConnectionInfo(server=url, token="t")

            monkeypatch.setattr(kopf_wiring, "login", login)
            monkeypatch.setattr(watches, "FIRST_PAUSE", 0.1)
            subject = Watching(server)
            running = asyncio.create_task(
                watches.watch(
                    subject.seen,
                    namespaces=namespaces,
                    stop=subject.stop,
                    ready=subject.ready,
                    on_missed_events=subject.lost,
                    is_served=lambda kind: is_served(server, kind),
                )
            )
            async with asyncio.timeout(PATIENCE):
                await subject.ready.wait()
            await subject.begun(1, len(namespaces))
            await scenario(subject)
            subject.stop.set()
            async with asyncio.timeout(PATIENCE):
                await running
            return subject

    return asyncio.run(main())


def end_one_watch(subject: Watching) -> None:
    """Make kopf give up a watch, and then itself, with its other watches still running."""
    status = {"kind": "Status", "code": 500, "message": "made up by the test"}
    line = json.dumps({"type": "ERROR", "object": status}).encode()
    subject.server.watches["services"][-1].put_nowait(line + b"\n")


def test_all_watches_begin_again_when_one_has_died_and_the_others_wait_for_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # kopf ends when one of its own watches dies: first it closes the session, so that all other
    # watches wait for credentials that nobody gives any more, and 5 s later it cancels them
    # together with the tasks that would report a pause to them. One whose pause was cancelled first
    # takes its own cancellation for a pause, goes on, and kopf waits for it for ever.
    async def scenario(subject: Watching) -> None:
        end_one_watch(subject)
        await subject.begun(2, len(MANY))
        subject.server.event("tradingbots", "after-the-loss")
        await subject.until(lambda: "after-the-loss" in subject.names)
        assert subject.losses >= 1

    watch(monkeypatch, scenario, namespaces=MANY)


def test_no_thread_is_left_of_a_session_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(subject: Watching) -> None:
        for times in (2, 3):
            end_one_watch(subject)
            await subject.begun(times, len(MANY))

    before = threading.active_count()
    watch(monkeypatch, scenario, namespaces=MANY)
    assert threading.active_count() <= before + 1


def test_a_session_that_does_not_end_is_abandoned_and_says_nothing_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    real = watches._run_kopf
    speak: list[OnEvent] = []

    async def stuck(session: WatchSession, callbacks: Callbacks, *others: Any) -> list[str]:
        ended = await real(session, callbacks, *others)
        if not speak:
            speak.append(callbacks.on_event)
            release.wait(PATIENCE * 2)
        return ended

    monkeypatch.setattr(watches, "_run_kopf", stuck)
    monkeypatch.setattr(watches, "BEAT_SECONDS", 2.0)

    async def scenario(subject: Watching) -> None:
        end_one_watch(subject)
        await subject.begun(2)
        await subject.until(lambda: bool(speak))
        speak[0]("ADDED", {"metadata": {"name": "from the abandoned"}})
        subject.server.event("tradingbots", "after-the-loss")
        await subject.until(lambda: "after-the-loss" in subject.names)
        assert "from the abandoned" not in subject.names

    try:
        watch(monkeypatch, scenario)
    finally:
        release.set()


def test_a_stop_is_obeyed_though_the_session_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    real = watches._run_kopf

    async def stuck(session: WatchSession, callbacks: Callbacks, *others: Any) -> list[str]:
        ended = await real(session, callbacks, *others)
        release.wait(PATIENCE * 2)
        return ended

    async def scenario(_: Watching) -> None:
        pass

    monkeypatch.setattr(watches, "_run_kopf", stuck)
    try:
        watch(monkeypatch, scenario)
    finally:
        release.set()


def test_a_kind_that_is_served_and_that_kopf_has_not_found_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "GRACE_SECONDS", 0.5)

    def is_served(server: WatchServer, kind: str) -> bool:
        if kind != "TradingBot" or "assetregistries" not in server.begun:
            return False
        # kopf has looked. The definition is there now, and no event makes kopf look again.
        server.undiscovered.clear()
        return True

    async def change(watching: Watching) -> None:
        watching.server.event("tradingbots", "late")
        await watching.until(lambda: "late" in watching.names)

    seen = watch(monkeypatch, change, undiscovered=frozenset({"tradingbots"}), is_served=is_served)
    assert seen.server.begun.count("configmaps") == 2


def test_a_kind_that_is_not_served_keeps_no_other_from_being_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "GRACE_SECONDS", 0.2)
    rounds = 0

    def is_served(server: WatchServer, kind: str) -> bool:
        nonlocal rounds
        rounds += kind == "TradingBot" and "assetregistries" in server.begun
        if rounds == 4:  # much longer than the grace: nothing may have started again until now
            assert server.begun.count("configmaps") == 1
            server.undiscovered.clear()
        return rounds >= 4

    async def begun_again(watching: Watching) -> None:
        await watching.until(lambda: watching.server.begun.count("configmaps") == 2)

    watch(monkeypatch, begun_again, undiscovered=frozenset({"tradingbots"}), is_served=is_served)
