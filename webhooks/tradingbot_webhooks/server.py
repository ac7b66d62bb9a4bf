"""`tradingbot webhooks`: take the ports, then serve in this process or in several.

Several processes accept from one listening socket, so that a worker that dies takes no waiting
connection with it. The parent only waits for its children: it runs neither threads nor an event
loop, so it can fork at any time.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable

from tradingbot_webhooks.errors import ListenError, WebhookError, WorkersError
from tradingbot_webhooks.settings import WebhookSettings

logger = logging.getLogger(__name__)

_TOO_SOON = 2.0
"""Seconds. A worker that dies sooner would only die again."""


def run(settings: WebhookSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises WebhookError if that can't begin."""
    listening = listen(settings.host, settings.port, setting="--port")
    health = listen(settings.health_host, settings.health_port, setting="--health-port")
    if settings.workers > 1:
        with tempfile.TemporaryDirectory(prefix="tradingbot-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            _Supervisor(settings, listening=listening, health=health).run()
        return
    from tradingbot_webhooks.worker import serve  # noqa: PLC0415 - see there

    serve(settings, listening=listening, health=health)


def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """A bound and listening socket. Raises ListenError, naming the `setting` to change."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(2048)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        hint = {
            errno.EADDRINUSE: "the port is taken by another process",
            errno.EACCES: "ports under 1024 need privileges",
        }.get(error.errno or 0, error.strerror or str(error))
        raise ListenError(
            f"cannot listen on {host}:{port}: {hint}. Choose another {setting}"
        ) from error
    sock.setblocking(False)
    return sock


class _Supervisor:
    """Keeps `settings.workers` workers alive, and a process that answers probes for all of them."""

    def __init__(
        self, settings: WebhookSettings, *, listening: socket.socket, health: socket.socket
    ) -> None:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        from tradingbot_webhooks import tls, worker  # noqa: PLC0415

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        # Before there are children, so that a bad certificate is one line and not one a worker.
        tls.load(settings.cert_dir / "tls.crt", settings.cert_dir / "tls.key")
        self._count = settings.workers
        self._serve: Callable[[], None] = lambda: worker.serve(
            settings, listening=listening, health=None
        )
        self._serve_health: Callable[[], None] = lambda: worker.serve_health(
            settings, health=health, registry=registry
        )
        self._workers: dict[int, float] = {}
        self._health = 0
        self._stopping = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        gc.freeze()  # what is loaded by now stays shared between the processes
        self._health = self._fork(self._serve_health)
        for _ in range(self._count):
            self._start_worker()
        failure: WebhookError | None = None
        while self._workers:
            pid, status = os.waitpid(-1, 0)
            try:
                self._ended(pid, os.waitstatus_to_exitcode(status))
            except WorkersError as error:
                failure = error
                self._stop()
        if self._health:
            os.kill(self._health, signal.SIGINT)
            os.waitpid(self._health, 0)
        if failure is not None:
            raise failure

    def _ended(self, pid: int, code: int) -> None:
        if pid == self._health:
            self._health = 0 if self._stopping else self._fork(self._serve_health)
            return
        age = time.monotonic() - self._workers.pop(pid, 0.0)
        if self._stopping:
            return
        logger.error("worker died", extra={"worker": pid, "exit_code": code})
        if age < _TOO_SOON:
            raise WorkersError(f"a worker died {age:.1f} s after its start (exit code {code})")
        self._start_worker()

    def _start_worker(self) -> None:
        self._workers[self._fork(self._serve)] = time.monotonic()

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for pid in (*self._workers, *([self._health] if self._health else [])):
            os.kill(pid, signal.SIGTERM)

    def _fork(self, serve: Callable[[], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            serve()
            code = 0
        except Exception:
            logger.exception("worker failed")
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
