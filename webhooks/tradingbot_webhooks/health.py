"""/healthz, /readyz and /metrics, in plain HTTP on a port of their own."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tradingbot_webhooks.app import Receive, Scope, Send

_TEXT = b"text/plain; charset=utf-8"


class HealthApp:
    """`problem` says why no traffic should come here; None means that it may."""

    def __init__(self, *, registry: CollectorRegistry, problem: Callable[[], str | None]) -> None:
        self._registry = registry
        self._problem = problem

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        code, content_type, body = self._answer(scope["method"], scope["path"])
        headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        if code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, method: str, path: str) -> tuple[int, bytes, bytes]:
        if method not in {"GET", "HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"only GET is answered here\n"
        if path == "/healthz":
            return HTTPStatus.OK, _TEXT, b"ok\n"
        if path == "/readyz":
            problem = self._problem()
            code = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
            return code, _TEXT, f"{problem or 'ok'}\n".encode()
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_LATEST.encode(), generate_latest(self._registry)
        return HTTPStatus.NOT_FOUND, _TEXT, b"not found\n"
