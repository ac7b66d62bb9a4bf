"""Native sidecars of local pods: started, probed, restarted and ended as the kubelet does it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from tradingbot_dev.pods import worker as worker_module
from tradingbot_dev.pods.apiserver import ApiServer
from tradingbot_dev.pods.containers import State
from tradingbot_dev.pods.images import LocalImage
from tradingbot_dev.pods.plan import address_of, container_plan
from tradingbot_dev.pods.records import Record
from tradingbot_dev.pods.worker import Node, PodWorker
from tradingbot_dev.processes.table import ProcessTable
from tradingbot_dev.processes.waiting import STUCK_SECONDS

JsonObject = dict[str, Any]
UID = str(uuid4())
"""Another address for each run."""
SIDECAR = """
import http.server, os, pathlib, signal, sys
home, (host, port) = pathlib.Path(os.environ["HOME"]), sys.argv[1].split(":")
def note(text):
    with (home / "journal").open("a") as file: file.write(text + "\\n")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/drain": note("drain")
        good = (home / self.path[1:]).exists()
        self.send_response(200 if good else 503)
        self.end_headers()
    def log_message(self, *_): pass
def end(*_):
    note("sidecar ends"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("sidecar starts")
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""
BOT = """
import os, pathlib, signal, sys, time
journal = pathlib.Path(os.environ["HOME"]) / "journal"
def note(text):
    with journal.open("a") as file: file.write(text + "\\n")
def end(*_):
    time.sleep(0.5); note("bot ends"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("bot starts " + os.environ["GATE"] + " " + os.environ["OUTSIDE"])
while True: time.sleep(1)
"""
IMAGES = {
    "sidecar": LocalImage((sys.executable, "-c", SIDECAR), ("http://unused",)),
    "bot": LocalImage((sys.executable, "-c", BOT)),
}


class Api:
    """An API server that stores nothing."""

    def __init__(self) -> None:
        self.statuses: list[JsonObject] = []

    async def get(self, _: str) -> None:
        return None

    async def post(self, _: str, body: JsonObject) -> JsonObject:
        return body

    async def patch(self, _: str, body: JsonObject, *, type_: str) -> JsonObject:
        del type_
        self.statuses.append(body["status"])
        return pod(status=body["status"])

    async def delete(self, _: str, __: JsonObject) -> None:
        return None


def probe(path: str, failures: int) -> JsonObject:
    get = {"path": path, "port": "http"}
    return {"httpGet": get, "periodSeconds": 0.05, "failureThreshold": failures}


def pod(status: JsonObject | None = None, **metadata: Any) -> JsonObject:
    port = {"name": "http", "containerPort": 8080}
    env = [
        {"name": "GATE", "value": "http://127.0.0.1:8080/x"},
        {"name": "OUTSIDE", "value": "http://127.0.0.1:9090"},
    ]
    return {
        "metadata": {"name": "p", "namespace": "desk", "uid": UID, **metadata},
        "status": status or {},
        "spec": {
            "initContainers": [
                {
                    "name": "gateway",
                    "image": "sidecar:1",
                    "restartPolicy": "Always",
                    "args": [f"{address_of(UID)}:8080"],
                    "ports": [port],
                    "startupProbe": probe("/started", 1000),
                    "livenessProbe": probe("/alive", 3),
                    "readinessProbe": probe("/ready", 1),
                    "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": 8080}}},
                }
            ],
            "containers": [{"name": "bot", "image": "bot:1", "env": env}],
        },
    }


class Desk:
    """A worker, and what its containers have written."""

    def __init__(self, state: State) -> None:
        self.api = Api()
        node = Node(cast("ApiServer", self.api), state, lambda: datetime.now(UTC))
        self.worker = PodWorker(node, Record("desk", "p", UID), pod())
        self.home = state.pod(UID).home

    def journal(self) -> list[str]:
        file = self.home / "journal"
        return file.read_text().splitlines() if file.exists() else []

    def give(self, *names: str) -> None:
        for name in names:
            (self.home / name).touch()

    @property
    def status(self) -> JsonObject:
        return self.api.statuses[-1] if self.api.statuses else {}

    def state_of(self, name: str) -> JsonObject:
        found = [
            *self.status.get("initContainerStatuses", ()),
            *self.status.get("containerStatuses", ()),
        ]
        return next((each for each in found if each["name"] == name), {})


async def eventually(check: Callable[[], object]) -> None:
    async with asyncio.timeout(STUCK_SECONDS):
        while not check():  # noqa: ASYNC110 - a file of another process has no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(worker_module, "container_plan", partial(container_plan, images=IMAGES))
    state = State(tmp_path)
    desk = Desk(state)
    task = asyncio.create_task(desk.worker.run())
    try:
        yield desk
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        ProcessTable(run=state.run, log=tmp_path).end_strays()


def test_a_bot_starts_after_its_sidecar_and_ends_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running(tmp_path, monkeypatch) as desk:
            await eventually(lambda: desk.journal() == ["sidecar starts"])
            await eventually(lambda: "running" in desk.state_of("gateway").get("state", {}))
            assert not desk.state_of("gateway")["started"]
            assert "waiting" in desk.state_of("bot")["state"]
            assert desk.status["phase"] == "Pending"

            desk.give("alive", "started")
            here = f"http://{address_of(UID)}:8080/x"
            await eventually(lambda: f"bot starts {here} http://127.0.0.1:9090" in desk.journal())
            await eventually(lambda: desk.state_of("bot").get("ready"))
            assert not desk.state_of("gateway")["ready"]
            desk.give("ready")
            await eventually(lambda: desk.state_of("gateway")["ready"])

            now = datetime.now(UTC)
            until = (now + timedelta(seconds=30)).isoformat()
            journal = tmp_path / "journal"  # its directory goes with the pod, and this link stays
            journal.hardlink_to(desk.home / "journal")
            desk.worker.declare(pod(deletionTimestamp=until))
            await eventually(lambda: "sidecar ends" in journal.read_text())
            assert journal.read_text().splitlines()[-3:] == ["drain", "bot ends", "sidecar ends"]

    asyncio.run(scenario())


def test_a_sidecar_whose_liveness_fails_is_restarted_and_the_bot_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running(tmp_path, monkeypatch) as desk:
            await eventually(desk.journal)
            desk.give("alive", "started", "ready")
            await eventually(lambda: desk.state_of("bot").get("ready"))
            (desk.home / "alive").unlink()
            await eventually(lambda: desk.journal().count("sidecar starts") == 2)
            desk.give("alive")
            await eventually(lambda: desk.state_of("gateway").get("restartCount", 0) >= 1)
            assert desk.state_of("bot")["restartCount"] == 0
            assert len([line for line in desk.journal() if line.startswith("bot")]) == 1

    asyncio.run(scenario())
