"""`tradingbot webhooks`: take the ports, then serve until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import uvloop
from tradingbot_process.listening import listen

from tradingbot_webhooks.app import AdmissionApp
from tradingbot_webhooks.health import HealthApp
from tradingbot_webhooks.http.room import Limits
from tradingbot_webhooks.http.server import HttpServer
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

_OTHER_DESCRIPTORS = 96
"""File descriptors of the process itself, and of connections that were just dropped."""


@dataclass
class Lifecycle:
    """Whether the process is draining."""

    draining: bool = False


def run(settings: WebhookSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises WebhookError or ListenError at the start."""
    listening = listen(settings.host, settings.port, setting="--port")
    health = listen(settings.health_host, settings.health_port, setting="--health-port")
    uvloop.run(_serve(settings, listening=listening, health=health))


async def _serve(
    settings: WebhookSettings, *, listening: socket.socket, health: socket.socket
) -> None:
    """Answer reviews and probes. The health port outlives the admission port, so that a drain can
    be watched."""
    metrics, lifecycle = Metrics(), Lifecycle()
    certificate = CertificateFollower(
        settings.cert_dir, metrics=metrics, client_ca=settings.client_ca
    )

    def problem() -> str | None:
        return "draining" if lifecycle.draining else certificate.problem(datetime.now(UTC))

    app = AdmissionApp(metrics=metrics, strategy_images=settings.strategy_images)
    server = HttpServer(app, _limits(settings), tls=certificate.context)
    probes = HttpServer(HealthApp(registry=metrics.registry, problem=problem), _HEALTH_LIMITS)
    following = asyncio.create_task(certificate.follow(settings.cert_poll_interval))
    with _draining(lifecycle, server, delay=settings.drain_delay):
        probing = asyncio.create_task(probes.serve(health))
        host, port = listening.getsockname()[:2]
        _tune_garbage_collection()
        logger.info("serving admission reviews", extra={"host": host, "port": port})
        await server.serve(listening)
        probes.stop()
        await probing
    following.cancel()
    logger.info("stopped")


def _limits(settings: WebhookSettings) -> Limits:
    return Limits(
        request_timeout=settings.request_timeout,
        keep_alive=settings.keep_alive,
        drain_timeout=settings.drain_timeout,
        max_connections=_with_descriptors(settings.max_concurrency),
        max_body=MAX_BODY,
        max_buffered=settings.max_buffered,
    )


def _with_descriptors(connections: int) -> int:
    """Return `connections`, or fewer if the process may not open so many files."""
    others = _HEALTH_LIMITS.max_connections + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < connections + others:
        soft = connections + others if hard == resource.RLIM_INFINITY else hard
        soft = min(soft, connections + others)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < connections + others:
        logger.warning("fewer connections than set: at most %d open files are allowed", hard)
    return max(2, min(connections, soft - others))


def _tune_garbage_collection() -> None:
    """Exempt the loaded modules from garbage collection, and collect less often.

    The modules stay, and a review leaves few cycles behind: to traverse everything after every few
    hundred objects takes a tenth of the server's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@contextlib.contextmanager
def _draining(lifecycle: Lifecycle, server: HttpServer, *, delay: float) -> Iterator[None]:
    """On SIGTERM or SIGINT: unready at once, the end of listening after `delay` seconds.

    Between the two the Service's endpoints lose this pod, answers ask clients to reconnect, and
    requests that still arrive are served. A second signal ends the wait.
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
