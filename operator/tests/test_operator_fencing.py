"""A process that may not act any more writes nothing, wherever it stood when it lost the lease."""

import asyncio
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

import kopf
import pytest
from aiohttp import web
from operator_harness import serving
from tradingbot_api.model import JsonObject
from tradingbot_operator.kube import KubernetesApi, KubernetesError
from tradingbot_operator.leader_election import NotLeaderError
from tradingbot_operator.registry_client import RegistryClient, RegistryUnavailableError

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}

PATIENCE = 30.0
LEASE_SECONDS = 3

Write = Callable[[str], Awaitable[Any]]


class Leave:
    """Leave to write, which is withdrawn at the given question."""

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
    """A write to the API server or the registry at a URL, with that leave."""

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


def test_reading_needs_no_leave() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response([] if "assets" in request.path else CONFIG_MAP)

    async def main() -> None:
        async with serving(answer) as url:
            cluster, registry = cluster_of(url), RegistryClient(url)
            cluster.before_write = registry.before_write = Leave()
            assert await cluster.get("ConfigMap", "n", "c")
            assert [one async for one in registry.owned("a/")] == []
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
from tradingbot_operator import leader_election
from tradingbot_operator.kube import KubernetesApi
from tradingbot_operator.lease import Timing

async def login():
    return kopf.ConnectionInfo(server=sys.argv[1], token="t")

async def main():
    leases, api = KubernetesApi(login), KubernetesApi(login)
    election = leader_election.LeaderElection(
        leases, name=("n", "l"), identity="me", timing=Timing(3),
        clock=leader_election.boot_clock, wall_clock=lambda: datetime.now(UTC),
        dead_man=leader_election.end_process_after,
    )
    await election.acquire()
    asked = 0
    def leave():
        nonlocal asked
        election.guard()
        asked += 1
        if asked == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGSTOP)
    api.before_write = leave
    await api.apply({"kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}})

asyncio.run(main())
"""


class ApiServer(ThreadingHTTPServer):
    """Has a Lease that was released, and counts what else is written."""

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


@contextmanager
def stopped_before_it_writes(question: int) -> Iterator[tuple[subprocess.Popen[bytes], ApiServer]]:
    """A leader that has stopped itself after it was given leave for the nth time."""
    with ApiServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = subprocess.Popen([sys.executable, "-c", OPERATOR, server.url, str(question)])
        try:
            deadline = time.monotonic() + PATIENCE
            while state_of(process) != "T":
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.01)
            yield process, server
        finally:
            process.kill()
            process.wait()
            server.shutdown()


@pytest.mark.parametrize("question", [1, 2])
def test_a_process_that_stood_still_right_before_a_write_is_ended_and_not_let_go_on(
    question: int,
) -> None:
    with stopped_before_it_writes(question) as (process, server):
        time.sleep(LEASE_SECONDS)  # on the kernel's clock, which nobody can put forward
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE) == -signal.SIGALRM
        assert server.written == 0


def test_a_process_that_stood_still_for_a_moment_only_goes_on() -> None:
    with stopped_before_it_writes(1) as (process, server):
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE) == 0
        assert server.written == 1
