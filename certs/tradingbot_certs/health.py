"""/healthz, /readyz and /metrics of the `tradingbot certs` process."""

from __future__ import annotations

import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tradingbot_certs.errors import CertSettingsError


class Status:
    """How the last check went, for whoever asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.problem: str | None = "the first check has not ended yet"
        self._checks = Counter(
            "tradingbot_certs_checks",
            "Checks of what is stored and injected",
            ["result"],
            registry=self.registry,
        )
        self._expiry = Gauge(
            "tradingbot_certs_expiry_timestamp_seconds",
            "When a certificate ends, in seconds since 1970",
            ["certificate"],
            registry=self.registry,
        )

    def failed(self, problem: str) -> None:
        self._checks.labels("failed").inc()
        self.problem = problem

    def succeeded(self, *, serving_expiry: datetime, authority_expiry: datetime) -> None:
        self._checks.labels("ok").inc()
        self._expiry.labels("serving").set(serving_expiry.timestamp())
        self._expiry.labels("authority").set(authority_expiry.timestamp())
        self.problem = None


class HealthServer:
    """Serves `status` from a thread while the context lasts. Port 0 serves nothing."""

    def __init__(self, host: str, port: int, *, status: Status) -> None:
        self._server: ThreadingHTTPServer | None = None
        if port:
            try:
                self._server = ThreadingHTTPServer((host, port), _handler(status))
            except OSError as error:
                raise CertSettingsError(
                    f"cannot listen on {host}:{port}: {error.strerror}."
                    " Choose another --certs-health-port"
                ) from error

    def __enter__(self) -> Self:
        if self._server is not None:
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _handler(status: Status) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # a client that sends nothing must not hold a thread

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(200, b"ok\n")
            elif self.path == "/readyz":
                problem = status.problem
                self._answer(503 if problem else 200, f"{problem or 'ok'}\n".encode())
            elif self.path == "/metrics":
                self._answer(200, generate_latest(status.registry), CONTENT_TYPE_LATEST)
            else:
                self._answer(404, b"not found\n")

        def _answer(
            self, code: int, body: bytes, content_type: str = "text/plain; charset=utf-8"
        ) -> None:
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes every few seconds are not worth a log line."""

    return Handler
