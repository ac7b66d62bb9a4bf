"""The doctor's own TLS handshake, with a real server: over the network and through a port-forward.

The port-forward's other end speaks the API server's protocol (v4.channel.k8s.io: a byte for the
channel, data on 0, errors on 1) and connects to a server on this machine, as a node does to a pod.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from issued import Issued, authority, serving
from kubernetes.client import Configuration
from tradingbot_cli.doctor.facts import Served, Unserved
from tradingbot_cli.doctor.handshake import (
    look,
    over_the_network,
    silent_threads,
    through_port_forward,
)

HOST = "tradingbot-webhooks.tradingbot-system.svc"
BEGIN = datetime.now(UTC) - timedelta(days=1)
CA = authority("our CA", begin=BEGIN)
OTHER = authority("another CA", begin=BEGIN)
PROTOCOL = "v4.channel.k8s.io"


@pytest.fixture
def tls_port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A TLS server with the certificate that the test names."""
    served: Issued = request.param
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    for file, content in zip(files, (served.pem, served.key_pem), strict=True):
        file.write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(connection: socket.socket) -> None:
            with (
                connection,
                suppress(OSError),
                context.wrap_socket(connection, server_side=True) as tls,
            ):
                tls.recv(1)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                # A thread each: one that is about to end must not hold up the next.
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


async def _forward(request: web.Request) -> web.WebSocketResponse:
    """One port-forward, to the port of this machine that is asked for."""
    if request.match_info["pod"] == "forbidden":
        raise web.HTTPForbidden
    port = int(request.query["ports"])
    answer = web.WebSocketResponse(protocols=(PROTOCOL,))
    await answer.prepare(request)
    for channel in (0, 1):
        await answer.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await answer.send_bytes(b"\x01dial tcp4 127.0.0.1: connect: connection refused")
        await answer.close()
        return answer

    async def back() -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await answer.send_bytes(b"\x00" + data)

    task = asyncio.create_task(back())
    async for message in answer:
        if message.type == WSMsgType.BINARY and message.data[:1] == b"\x00":
            writer.write(message.data[1:])
    writer.close()
    task.cancel()
    return answer


@pytest.fixture(scope="module")
def api_server() -> Iterator[Configuration]:
    """Knows port-forwards and nothing else."""
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), list[int]()

    async def begin() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/portforward", _forward)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
        return runner

    def run() -> None:
        runner = loop.run_until_complete(begin())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{ports[0]}"
    yield configuration
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


GOOD = serving(CA, HOST, begin=BEGIN)
EXPIRED = serving(CA, HOST, begin=BEGIN - timedelta(days=100))


def forwarded(api_server: Configuration, port: int, pod: str = "webhooks-a") -> Served | Unserved:
    connect = through_port_forward(api_server, namespace="n", pod=pod, port=port)
    with silent_threads():
        return look(f"pod {pod}", connect, host=HOST, bundles=[CA.pem, OTHER.pem])


@pytest.mark.parametrize("tls_port", [GOOD], indirect=True)
def test_the_certificate_of_a_pod_is_seen_through_a_port_forward(
    api_server: Configuration, tls_port: int
) -> None:
    found = forwarded(api_server, tls_port)
    assert found == Served("pod webhooks-a", (GOOD.der,), frozenset({CA.pem}))


@pytest.mark.parametrize("tls_port", [EXPIRED], indirect=True)
def test_an_expired_one_is_seen_too_and_leads_to_its_authority(
    api_server: Configuration, tls_port: int
) -> None:
    found = forwarded(api_server, tls_port)
    assert found == Served("pod webhooks-a", (EXPIRED.der,), frozenset({CA.pem}))


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_pod_that_does_not_listen_is_broken(api_server: Configuration) -> None:
    found = forwarded(api_server, unused_port())
    assert isinstance(found, Unserved)
    assert found.broken
    assert "connection refused" in found.why


def test_who_may_not_port_forward_is_told_so(api_server: Configuration) -> None:
    found = forwarded(api_server, 9443, pod="forbidden")
    assert found == Unserved(
        "pod forbidden",
        "you may not port-forward to forbidden (create pods/portforward)",
        broken=False,
    )


@pytest.mark.parametrize("tls_port", [GOOD], indirect=True)
def test_over_the_network(tls_port: int) -> None:
    connect = over_the_network("127.0.0.1", tls_port)
    found = look("here", connect, host=HOST, bundles=[OTHER.pem, b"no PEM"])
    assert found == Served("here", (GOOD.der,), frozenset())


def test_nobody_there_is_not_the_webhooks_fault() -> None:
    """From where the API server is, it may look different."""
    connect = over_the_network("127.0.0.1", unused_port())
    found = look("here", connect, host=HOST, bundles=[])
    assert isinstance(found, Unserved)
    assert not found.broken


def test_one_who_speaks_no_tls_is_broken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        connect = over_the_network("127.0.0.1", listener.getsockname()[1])
        found = look("here", connect, host=HOST, bundles=[])
        thread.join()
    assert isinstance(found, Unserved)
    assert found.broken
