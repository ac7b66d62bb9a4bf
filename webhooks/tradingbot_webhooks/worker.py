"""One process that serves. Imported only after it is clear how many there are: prometheus_client
decides at its import whether processes share their counters."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import uvloop
from prometheus_client import CollectorRegistry

from tradingbot_webhooks import secret_lookup
from tradingbot_webhooks.app import AdmissionApp
from tradingbot_webhooks.health import HealthApp
from tradingbot_webhooks.http_connection import Limits
from tradingbot_webhooks.http_server import HttpServer
from tradingbot_webhooks.metrics import Metrics
from tradingbot_webhooks.settings import MAX_BODY, WebhookSettings
from tradingbot_webhooks.tls import CertificateFollower

logger = logging.getLogger(__name__)

_HEALTH_LIMITS = Limits(
    request_timeout=5.0,
    keep_alive=5.0,
    drain_timeout=1.0,
    max_connections=64,
    max_body=1 << 16,
    max_buffered=1 << 20,
)


@dataclass
class Lifecycle:
    """Whether the process is on its way out."""

    draining: bool = False


def serve(
    settings: WebhookSettings, *, listening: socket.socket, health: socket.socket | None
) -> None:
    """Answer reviews, and probes if there is a socket for them, until SIGTERM or SIGINT."""
    uvloop.run(_serve(settings, listening=listening, health=health))


def serve_health(
    settings: WebhookSettings, *, health: socket.socket, registry: CollectorRegistry
) -> None:
    """Answer only probes, for workers in other processes. SIGTERM says that they drain, SIGINT
    that they have ended."""
    uvloop.run(_serve_health(settings, health=health, registry=registry))


async def _serve(
    settings: WebhookSettings, *, listening: socket.socket, health: socket.socket | None
) -> None:
    metrics, lifecycle = Metrics(), Lifecycle()
    certificate = CertificateFollower(settings.cert_dir, metrics=metrics)
    secrets = secret_lookup.connect() if settings.secret_lookup else None
    limits = Limits(
        request_timeout=settings.request_timeout,
        keep_alive=settings.keep_alive,
        drain_timeout=settings.drain_timeout,
        max_connections=settings.max_concurrency,
        max_body=MAX_BODY,
        max_buffered=settings.max_buffered,
    )
    app = AdmissionApp(metrics=metrics, secrets=secrets)
    server = HttpServer(app, limits, tls=certificate.context)
    following = asyncio.create_task(certificate.follow(settings.cert_poll_interval))
    probes = _Probes(health, metrics.registry, certificate, lifecycle)
    with _draining(lifecycle, server, delay=settings.drain_delay):
        probing = asyncio.create_task(probes.run())
        host, port = listening.getsockname()[:2]
        _spare_the_collector()
        logger.info("serving admission reviews", extra={"host": host, "port": port})
        await server.serve(listening)
        await probes.stop(probing)
    following.cancel()
    if secrets is not None:
        secrets.close()
    logger.info("stopped")


def _spare_the_collector() -> None:
    """What is loaded by now stays, and a review leaves few cycles behind: looking through all of it
    after every few hundred objects takes a tenth of the server's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _serve_health(
    settings: WebhookSettings, *, health: socket.socket, registry: CollectorRegistry
) -> None:
    lifecycle = Lifecycle()
    certificate = CertificateFollower(settings.cert_dir, metrics=Metrics())
    following = asyncio.create_task(certificate.follow(settings.cert_poll_interval))
    probes = _Probes(health, registry, certificate, lifecycle)
    probing = asyncio.create_task(probes.run())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: setattr(lifecycle, "draining", True))
    loop.add_signal_handler(signal.SIGINT, stop.set)
    await stop.wait()
    await probes.stop(probing)
    following.cancel()


class _Probes:
    """The health port. It outlives the admission port, so that a drain can be watched."""

    def __init__(
        self,
        sock: socket.socket | None,
        registry: CollectorRegistry,
        certificate: CertificateFollower,
        lifecycle: Lifecycle,
    ) -> None:
        def problem() -> str | None:
            return "draining" if lifecycle.draining else certificate.problem(datetime.now(UTC))

        self._sock = sock
        app = HealthApp(registry=registry, problem=problem)
        self._server = HttpServer(app, _HEALTH_LIMITS)

    async def run(self) -> None:
        if self._sock is not None:
            await self._server.serve(self._sock)

    async def stop(self, running: asyncio.Task[None]) -> None:
        self._server.stop()
        await running


@contextlib.contextmanager
def _draining(lifecycle: Lifecycle, server: HttpServer, *, delay: float) -> Iterator[None]:
    """On SIGTERM or SIGINT: unready at once, the end of listening after `delay` seconds.

    Between the two the Service's endpoints lose this pod, answers ask clients to reconnect, and
    whatever still arrives is served. A second signal ends the wait.
    """
    loop = asyncio.get_running_loop()

    def begin() -> None:
        if lifecycle.draining:
            server.stop()
            return
        lifecycle.draining = True
        server.drain()
        logger.info("draining", extra={"delay_seconds": delay})
        loop.call_later(delay, server.stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
