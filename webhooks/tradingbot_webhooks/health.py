"""Answers /healthz, /readyz and /metrics in plain HTTP on a separate port."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tradingbot_webhooks.http.messages import Answer, Head, refusal


class HealthApp:
    """The application of the health port. `problem` returns why it is not ready, or None."""

    def __init__(self, *, registry: CollectorRegistry, problem: Callable[[], str | None]) -> None:
        self._registry = registry
        self._problem = problem

    def refusal(self, head: Head) -> Answer | None:
        """Refuse methods that change something."""
        if head.method not in {b"GET", b"HEAD"}:
            return refusal(405, "only GET is answered here", (b"allow", b"GET, HEAD"))
        return None

    def answer(self, head: Head, _body: bytes, *, since: float) -> Answer:  # noqa: ARG002 - probes are not timed
        """Answer a probe."""
        if head.path == "/healthz":
            return Answer(200, b"ok\n")
        if head.path == "/readyz":
            problem = self._problem()
            return Answer(503 if problem else 200, f"{problem or 'ok'}\n".encode())
        if head.path == "/metrics":
            text = generate_latest(self._registry)
            return Answer(200, text, media_type=CONTENT_TYPE_LATEST.encode())
        return Answer(404, b"not found\n")

    def refused(self, _code: int) -> None:
        """Do nothing: probes are not counted."""
