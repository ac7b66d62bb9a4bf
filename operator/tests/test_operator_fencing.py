"""A process that has lost the lease writes nothing, wherever it stood when it lost it."""

import asyncio
import inspect
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
from aiohttp import web
from operator_harness import serving
from tradingbot_api.model import JsonObject
from tradingbot_dev.processes.waiting import STUCK_SECONDS
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError
from tradingbot_operator.leadership.election import NotLeaderError
from tradingbot_operator.registry_client import RegistryClient, RegistryUnavailableError

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}

PATIENCE = STUCK_SECONDS
LEASES = (3, 12, 48)
"""Seconds. A busy machine may take longer from the lease to the write than a short lease allows:
then the process ends before it is stopped, and the next longer lease is tried."""
LONG_LEASE = 280

Write = Callable[[str], Awaitable[Any]]


class Leave:
    """Permission to write, which is withdrawn after `until` checks."""

    def __init__(self, *, until: int = 0) -> None:
        self.asked = 0
        self.until = until

    def __call__(self) -> None:
        self.asked += 1
        if self.asked > self.until:
            raise NotLeaderError("not any more")


def cluster_of(url: str) -> KubernetesApi:
    async def login() -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=url, token="t")

    return KubernetesApi(login)


def writing(leave: Leave, *, to: str) -> Write:
    """Return a write to the API server or the registry that needs that permission."""

    async def write(url: str) -> None:
        client = cluster_of(url) if to == "cluster" else RegistryClient(url)
        client.before_write = leave
        try:
            match to:
                case "cluster":
                    assert isinstance(client, KubernetesApi)
                    await client.apply(CONFIG_MAP)
                case "registry":
                    assert isinstance(client, RegistryClient)
                    await client.upsert("a/b/c", {"name": "c"})
                case _:
                    assert isinstance(client, RegistryClient)
                    await client.delete("a/b/c")
        finally:
            await client.close()

    return write


@pytest.mark.parametrize(
    ("to", "until"),
    [("cluster", 0), ("cluster", 1), ("registry", 0), ("registry", 1), ("registry, no body", 0)],
)
def test_a_write_whose_leave_ends_at_the_last_moment_is_not_sent(to: str, until: int) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.method)
        return web.json_response(CONFIG_MAP)

    async def main() -> None:
        async with serving(answer) as url:
            with pytest.raises(NotLeaderError):
                await writing(Leave(until=until), to=to)(url)
            await asyncio.sleep(0)
            assert seen == []
            await writing(Leave(until=99), to=to)(url)
            assert len(seen) == 1

    asyncio.run(main())


def test_aiohttp_still_has_the_methods_that_a_fenced_request_overrides() -> None:
    request = aiohttp.ClientRequest
    assert list(inspect.signature(request.send).parameters) == ["self", "conn"]
    parameters = inspect.signature(request.write_bytes).parameters
    assert list(parameters) == ["self", "writer", "conn", "content_length"]
    assert all(map(inspect.iscoroutinefunction, (request.send, request.write_bytes)))


@pytest.mark.parametrize(
    ("to", "times"), [("cluster", 2), ("registry", 2), ("registry, no body", 1)]
)
def test_leave_is_asked_for_before_the_head_and_before_the_body_of_a_write(
    to: str, times: int
) -> None:
    asked_when_it_arrived: list[int] = []
    leave = Leave(until=99)

    async def answer(_: web.Request) -> web.Response:
        asked_when_it_arrived.append(leave.asked)
        return web.json_response(CONFIG_MAP)

    async def main() -> None:
        async with serving(answer) as url:
            await writing(leave, to=to)(url)

    asyncio.run(main())
    assert asked_when_it_arrived == [times]
    assert leave.asked == times


def test_reading_needs_no_leave() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response([] if "assets" in request.path else CONFIG_MAP)

    async def main() -> None:
        async with serving(answer) as url:
            cluster, registry = cluster_of(url), RegistryClient(url)
            cluster.before_write = registry.before_write = Leave()
            assert await cluster.get("ConfigMap", "n", "c")
            assert [asset async for asset in registry.owned("a/")] == []
            await cluster.close()
            await registry.close()

    asyncio.run(main())


def test_a_write_is_given_up_on_after_its_time_here_and_in_the_api_server() -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.query.get("timeout", ""))
        if request.method != "GET":
            await asyncio.Event().wait()
        return web.json_response(CONFIG_MAP)

    async def main() -> None:
        async with serving(answer) as url:
            cluster, registry = cluster_of(url), RegistryClient(url)
            cluster.write_seconds = registry.write_seconds = 0.25
            await cluster.get("ConfigMap", "n", "c")
            with pytest.raises(KubernetesError):
                await cluster.apply(CONFIG_MAP)
            with pytest.raises(RegistryUnavailableError):
                await registry.upsert("a/b/c", {"name": "c"})
            await cluster.close()
            await registry.close()

    begun = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun < 5
    assert seen[:2] == ["", "0.25s"]


# A process that stops itself between the last question for leave and the write: what the kernel
# does then can only be seen on a real one.

OPERATOR = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
import kopf
from tradingbot_operator.leadership import election
from tradingbot_operator.cluster.client import KubernetesApi
from tradingbot_operator.leadership.lease import Timing

async def login():
    return kopf.ConnectionInfo(server=sys.argv[1], token="t")

async def main():
    leases, api = KubernetesApi(login), KubernetesApi(login)
    leader = election.LeaderElection(
        leases, name=("n", "l"), identity="me", timing=Timing(int(sys.argv[3])),
        clock=election.boot_clock, wall_clock=lambda: datetime.now(UTC),
        watchdog=election.end_process_after,
    )
    await leader.acquire()
    asked = 0
    def leave():
        nonlocal asked
        leader.guard()
        asked += 1
        if asked == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGSTOP)
    api.before_write = leave
    await api.apply({"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}})

asyncio.run(main())
"""


class ApiServer(ThreadingHTTPServer):
    """Has a released Lease, and counts all other writes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.written = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        assert isinstance(self.server, ApiServer)
        self.server.written += 1
        self._answer()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        meta = {"name": "l", "namespace": "n", "resourceVersion": "1"}
        lease: JsonObject = {
            "kind": "Lease",
            "metadata": meta,
            "spec": {"leaseDurationSeconds": 1},
        }
        body = json.dumps(lease).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def state_of(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


class TooSlowError(Exception):
    """The lease ended before the process came to the write."""


@contextmanager
def stopped_before_it_writes(
    question: int, *, lease: int
) -> Iterator[tuple[subprocess.Popen[bytes], ApiServer]]:
    """Run a leader that stops itself after its nth check before a write.

    `lease` is the duration of its lease in seconds.
    """
    with ApiServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        arguments = (server.url, str(question), str(lease))
        process = subprocess.Popen([sys.executable, "-c", OPERATOR, *arguments])
        try:
            deadline = time.monotonic() + PATIENCE
            while state_of(process) != "T":
                assert time.monotonic() < deadline
                if process.poll() is not None:
                    assert process.returncode == -signal.SIGALRM, "it failed before the write"
                    raise TooSlowError
                time.sleep(0.01)
            yield process, server
        finally:
            process.kill()
            process.wait()
            server.shutdown()


@pytest.mark.parametrize("question", [1, 2])
def test_a_process_that_stood_still_right_before_a_write_is_ended_and_does_not_write(
    question: int,
) -> None:
    for lease in LEASES:
        try:
            with stopped_before_it_writes(question, lease=lease) as (process, server):
                time.sleep(lease)  # on the kernel's clock, which nobody can put forward
                process.send_signal(signal.SIGCONT)
                assert process.wait(PATIENCE) == -signal.SIGALRM
                assert server.written == 0
                return
        except TooSlowError:
            continue
    pytest.fail(f"the process did not reach the write within a lease of {LEASES[-1]} s")


def test_a_process_that_stood_still_for_a_moment_writes() -> None:
    with stopped_before_it_writes(1, lease=LONG_LEASE) as (process, server):
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE) == 0
        assert server.written == 1
