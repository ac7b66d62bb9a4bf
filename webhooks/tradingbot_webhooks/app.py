"""The application: one admission request in, one answer out.

Refusals of HTTP are plain text; everything about an object is an AdmissionReview with HTTP 200, as
the API server wants it. Whatever happens while deciding, the client gets an answer.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from tradingbot_webhooks import wire
from tradingbot_webhooks.admission import (
    Outcome,
    mutate,
    mutate_well_formed,
    secret_to_look_up,
    validate,
)
from tradingbot_webhooks.errors import NotAReviewError
from tradingbot_webhooks.http_messages import JSON, Answer, Head, refusal
from tradingbot_webhooks.metrics import Metrics

logger = logging.getLogger(__name__)
audit = logging.getLogger("tradingbot_webhooks.audit")

_ENDPOINTS = frozenset({"/mutate", "/validate"})


class SecretLookup(Protocol):
    """Asks whether a Secret exists: True, False, or None where nobody knows."""

    def remembers(self, namespace: str, name: str) -> bool:
        """Whether the Secret was there a moment ago."""

    async def exists(self, namespace: str, name: str) -> bool | None:
        """The answer, after a while."""


@dataclass(slots=True)
class _Review:
    endpoint: str
    request: wire.Creation | wire.AdmissionRequest
    since: float


class AdmissionApp:
    """Answers POST /mutate and POST /validate."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        secrets: SecretLookup | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._metrics = metrics
        self._secrets = secrets
        self._clock = clock

    def refusal(self, head: Head) -> Answer | None:
        """Whatever can be no review, before its body is read."""
        if head.path not in _ENDPOINTS:
            return refusal(404, "not found: the endpoints are /mutate and /validate")
        if head.method != b"POST":
            return refusal(405, "only POST is answered here", (b"allow", b"POST"))
        media_type = head.headers.get(b"content-type", b"")
        if media_type != JSON and media_type.partition(b";")[0].strip().lower() != JSON:
            return refusal(415, "the content type must be application/json")
        if head.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return refusal(415, "a compressed body is not read")
        return None

    def refused(self, code: int) -> None:
        """Count it."""
        self._metrics.refused(code)

    def answer(self, head: Head, body: bytes, *, since: float) -> Answer | Awaitable[Answer]:
        """The answer to a review: at once, unless a Secret is to be looked up first."""
        path = head.path
        try:
            request = wire.parse(body)
        except NotAReviewError as error:
            return refusal(400, str(error))
        review = _Review(path[1:], request, since)
        try:
            outcome = self._decide(path, request, body)
            if not outcome.allowed:
                return self._denied(review, outcome, wire.as_asked(request, body))
            if self._secrets is not None and path == "/validate":
                wanted = secret_to_look_up(request)
                if wanted is not None and not self._secrets.remembers(*wanted):
                    return self._after_look_up(self._secrets, wanted, review, outcome)
            return self._allowed(review, outcome)
        except Exception as error:
            return self._failed(review, error)

    def _decide(
        self, path: str, request: wire.Creation | wire.AdmissionRequest, body: bytes
    ) -> Outcome:
        if path == "/validate":
            return validate(request, now=self._clock())
        if isinstance(request, wire.Creation):
            outcome = mutate_well_formed(request)
            if outcome is not None:
                return outcome
            request = wire.as_asked(request, body)
        return mutate(request, now=self._clock())

    def _allowed(self, review: _Review, outcome: Outcome, *more: str) -> Answer:
        warnings = outcome.warnings + more
        body = wire.allowed(review.request.uid, warnings=warnings, patch=outcome.patch)
        return self._counted(review, "allowed", body)

    def _denied(self, review: _Review, outcome: Outcome, request: wire.AdmissionRequest) -> Answer:
        self._metrics.rejected(request.kind.kind, outcome.errors)
        _log_denial(review.endpoint, request, outcome)
        body = wire.denied(request, outcome.errors, warnings=outcome.warnings)
        return self._counted(review, "denied", body)

    def _failed(self, review: _Review, error: Exception) -> Answer:
        _log_failure(review.request, error)
        return self._counted(review, "error", wire.failed(review.request.uid))

    def _counted(self, review: _Review, verdict: str, body: bytes) -> Answer:
        self._metrics.reviewed(
            endpoint=review.endpoint,
            kind=review.request.kind.kind,
            operation=review.request.operation,
            verdict=verdict,
            seconds=time.perf_counter() - review.since,
        )
        return Answer(200, body, JSON)

    async def _after_look_up(
        self, secrets: SecretLookup, wanted: tuple[str, str], review: _Review, outcome: Outcome
    ) -> Answer:
        namespace, name = wanted
        try:
            exists = await secrets.exists(namespace, name)
            self._metrics.looked_up({True: "found", False: "missing", None: "failed"}[exists])
            if exists is not False:
                return self._allowed(review, outcome)
            warning = (
                f'spec.exchange.apiKeySecret: Secret "{name}" not found in namespace'
                f' "{namespace}": the bot waits until it exists'
            )
            return self._allowed(review, outcome, warning)
        except Exception as error:
            return self._failed(review, error)


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


def _log_failure(request: wire.Request, error: Exception) -> None:
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
