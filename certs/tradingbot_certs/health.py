"""/healthz, /readyz and /metrics of the `tradingbot certs` process."""

from __future__ import annotations

import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from tradingbot_process.listening import listen

from tradingbot_certs.authority import renewal
from tradingbot_certs.rotation import View
from tradingbot_certs.state import Phase


class Status:
    """State of the certificates and result of the last check, for probes and metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.problem: str | None = "the first check has not finished"
        self._phases: dict[str, Phase] = {}
        self._checks = Counter(
            "tradingbot_certs_checks",
            "Checks of certificates and caBundles",
            ["result"],
            registry=self.registry,
        )
        self._success = self._gauge(
            "last_success_timestamp_seconds", "When a check last succeeded, in seconds since 1970"
        )
        self._expiry = self._gauge(
            "expiry_timestamp_seconds",
            "When a certificate ends, in seconds since 1970",
            "certificate",
        )
        self._renewal = self._gauge(
            "renewal_timestamp_seconds",
            "When a certificate is due to be replaced, in seconds since 1970",
            "certificate",
        )
        self._phase = self._gauge(
            "rotation_phase", "1 for how far the replacement of the authority is", "phase"
        )
        self._replicas = self._gauge(
            "replicas", "Webhook servers, by the certificate that they show", "shows"
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"tradingbot_certs_{name}", text, labels, registry=self.registry)

    def failed(self, problem: str) -> None:
        self._checks.labels("failed").inc()
        self.problem = problem

    def succeeded(self, now: datetime) -> None:
        self._checks.labels("ok").inc()
        self._success.set(now.timestamp())
        self.problem = None

    def saw(self, view: View, *, prefix: str = "") -> None:
        """Also in a check that fails later. `prefix` tells other servers' certificates apart."""
        signing = view.authorities.signing
        for label, pair in (("serving", view.serving), ("authority", signing)):
            if pair is not None:
                certificate = pair.certificate
                ends, due = certificate.not_valid_after_utc, renewal(certificate)
                self._expiry.labels(prefix + label).set(ends.timestamp())
                self._renewal.labels(prefix + label).set(due.timestamp())
        self._phases[prefix] = view.authorities.phase
        under_way = set(self._phases.values()) - {Phase.NONE}
        for phase in Phase:
            self._phase.labels(phase.value).set(phase in (under_way or {Phase.NONE}))
        if view.served is not None and not prefix:
            for shows, count in view.served_by().items():
                self._replicas.labels(shows).set(count)


class HealthServer:
    """Serves `status` from a thread while the context lasts. Port 0 serves nothing.

    Raises ListenError.
    """

    def __init__(self, host: str, port: int, *, status: Status) -> None:
        self._server: ThreadingHTTPServer | None = None
        if port:
            sock = listen(host, port, setting="--health-port")
            self._server = ThreadingHTTPServer(
                sock.getsockname()[:2], _handler(status), bind_and_activate=False
            )
            self._server.socket.close()  # unbound; of one family
            self._server.socket = sock

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
