"""The ASGI application: one admission request in, one answer out.

Refusals of HTTP are plain text; everything about an object is an AdmissionReview with HTTP 200, as
the API server wants it. Whatever happens while deciding, the client gets an answer.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from tradingbot_webhooks import wire
from tradingbot_webhooks.admission import Outcome, mutate, secret_to_look_up, validate
from tradingbot_webhooks.errors import NotAReviewError
from tradingbot_webhooks.metrics import Metrics
from tradingbot_webhooks.settings import MAX_BODY

logger = logging.getLogger(__name__)
audit = logging.getLogger("tradingbot_webhooks.audit")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
Decide = Callable[..., Outcome]

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")


class SecretLookup(Protocol):
    """Asks whether a Secret exists: True, False, or None where nobody knows."""

    async def exists(self, namespace: str, name: str) -> bool | None: ...


@dataclass
class Lifecycle:
    """Whether the process is on its way out. Clients are asked to leave while it is."""

    draining: bool = False


class _Refusal(Exception):  # noqa: N818 - an answer, not a fault of this program
    """An HTTP error to answer with."""

    def __init__(self, code: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(text)
        self.code = code
        self.headers = headers


class _ClientGoneError(Exception):
    """The client closed, or was dropped for being slow, before its request was complete."""


class AdmissionApp:
    """Answers POST /mutate and POST /validate."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        lifecycle: Lifecycle,
        secrets: SecretLookup | None,
        max_buffered: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._secrets = secrets
        self._max_buffered = max_buffered
        self._buffered = 0
        self._clock = clock
        self._endpoints: dict[str, Decide] = {"/mutate": mutate, "/validate": validate}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            decide = self._route(scope)
            body = await self._body(scope, receive)
            answer = await self._answer(scope["path"][1:], decide, body)
        except _Refusal as refusal:
            self._metrics.refused(refusal.code)
            # The rest of a refused body is not read, so the connection can't be used again.
            headers = (_TEXT, _CLOSE, *refusal.headers)
            await _respond(send, refusal.code, f"{refusal}\n".encode(), headers)
        except _ClientGoneError:
            return
        else:
            closing = (_CLOSE,) if self._lifecycle.draining else ()
            await _respond(send, 200, answer, (_JSON, *closing))

    def _route(self, scope: Scope) -> Decide:
        decide = self._endpoints.get(scope["path"])
        if decide is None:
            raise _Refusal(404, "not found: the endpoints are /mutate and /validate")
        if scope["method"] != "POST":
            raise _Refusal(405, "only POST is answered here", (b"allow", b"POST"))
        return decide

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        headers = dict(scope["headers"])
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            raise _Refusal(415, "the content type must be application/json")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise _Refusal(415, "a compressed body is not read")
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > MAX_BODY:
            raise _too_large()
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"]:
            body: bytes = message["body"]
            if len(body) > MAX_BODY:
                raise _too_large()
            return body
        return await self._rest_of_body(message, receive)

    async def _rest_of_body(self, message: Message, receive: Receive) -> bytes:
        """The body of a request that did not come at once, within the bounds for it and for all."""
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                if message["type"] != "http.request":
                    raise _ClientGoneError
                chunk = message["body"]
                size += len(chunk)
                self._buffered += len(chunk)
                if size > MAX_BODY:
                    raise _too_large()
                if self._buffered > self._max_buffered:
                    raise _Refusal(503, "too many large requests", (b"retry-after", b"1"))
                chunks.append(chunk)
                if not message["more_body"]:
                    return b"".join(chunks)
                message = await receive()
        finally:
            self._buffered -= size

    async def _answer(self, endpoint: str, decide: Decide, body: bytes) -> bytes:
        begin = time.perf_counter()
        try:
            request = wire.parse(body)
        except NotAReviewError as error:
            raise _Refusal(400, str(error)) from error
        try:
            answer, verdict = await self._review(endpoint, decide, request)
        except Exception as error:
            _log_failure(request, error)
            answer, verdict = wire.failed(request.uid), "error"
        self._metrics.reviewed(
            endpoint=endpoint,
            kind=request.kind.kind,
            operation=request.operation,
            verdict=verdict,
            seconds=time.perf_counter() - begin,
        )
        return answer

    async def _review(
        self, endpoint: str, decide: Decide, request: wire.AdmissionRequest
    ) -> tuple[bytes, str]:
        outcome = decide(request, now=self._clock())
        if not outcome.allowed:
            self._metrics.rejected(request.kind.kind, outcome.errors)
            _log_denial(endpoint, request, outcome)
            return wire.denied(request, outcome.errors, warnings=outcome.warnings), "denied"
        warnings = outcome.warnings
        if self._secrets is not None and decide is validate:
            warnings += await self._secret_warning(self._secrets, request)
        return wire.allowed(request.uid, warnings=warnings, patch=outcome.patch), "allowed"

    async def _secret_warning(
        self, secrets: SecretLookup, request: wire.AdmissionRequest
    ) -> tuple[str, ...]:
        wanted = secret_to_look_up(request)
        if wanted is None:
            return ()
        namespace, name = wanted
        exists = await secrets.exists(namespace, name)
        self._metrics.looked_up({True: "found", False: "missing", None: "failed"}[exists])
        if exists is not False:
            return ()
        warning = (
            f'spec.exchange.apiKeySecret: Secret "{name}" not found in namespace "{namespace}":'
            " the bot waits until it exists"
        )
        return (warning,)


def _too_large() -> _Refusal:
    return _Refusal(413, f"the body is over {MAX_BODY} bytes")


async def _respond(send: Send, code: int, body: bytes, headers: Headers) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": code, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


def _log_denial(endpoint: str, request: wire.AdmissionRequest, outcome: Outcome) -> None:
    """Who was denied what, and for which fields. Never a value: it may be a credential."""
    audit.info(
        "denied",
        extra={
            "endpoint": endpoint,
            "user": request.user_info.username,
            "operation": request.operation,
            "kind": request.kind.kind,
            "namespace": request.namespace,
            "object": request.object_name,
            "uid": request.uid,
            "dry_run": bool(request.dry_run),
            "fields": sorted({error.field for error in outcome.errors}),
        },
    )


def _log_failure(request: wire.AdmissionRequest, error: Exception) -> None:
    """The frames and the exception's type; its text is left out, for it may quote the object."""
    logger.error(
        "review failed",
        extra={
            "uid": request.uid,
            "kind": request.kind.kind,
            "error": type(error).__name__,
            "traceback": "".join(traceback.format_tb(error.__traceback__)),
        },
    )
