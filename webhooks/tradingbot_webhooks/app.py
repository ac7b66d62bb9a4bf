"""The application: one admission request in, one answer out.

HTTP errors are plain text. Every answer about an object is an AdmissionReview with HTTP 200, as the
API server requires. The client gets an answer even if deciding fails.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tradingbot_api.strategies.checked import DEFAULT_STRATEGY_IMAGES

from tradingbot_webhooks import wire
from tradingbot_webhooks.admission import (
    Outcome,
    mutate,
    validate,
)
from tradingbot_webhooks.errors import NotAReviewError, TooComplexError
from tradingbot_webhooks.http.messages import JSON, Answer, Head, refusal
from tradingbot_webhooks.metrics import Metrics

logger = logging.getLogger(__name__)
audit = logging.getLogger("tradingbot_webhooks.audit")

_STOP = "/mutate/stop"
"""Path of the webhook for updates that leave a bot paused. It never denies."""

_ENDPOINTS = frozenset({"/mutate", _STOP, "/validate"})


@dataclass(slots=True)
class _Review:
    endpoint: str
    request: wire.TypedCreation | wire.AdmissionRequest
    since: float


class AdmissionApp:
    """Answers POST /mutate, POST /mutate/stop and POST /validate."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        strategy_images: frozenset[str] = DEFAULT_STRATEGY_IMAGES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._metrics = metrics
        self._strategy_images = strategy_images
        self._clock = clock

    def refusal(self, head: Head) -> Answer | None:
        """Refuse a request that cannot be a review, before its body is read."""
        if head.path not in _ENDPOINTS:
            return refusal(404, "not found: the endpoints are /mutate, /mutate/stop and /validate")
        if head.method != b"POST":
            return refusal(405, "only POST is answered here", (b"allow", b"POST"))
        media_type = head.headers.get(b"content-type", b"")
        if media_type != JSON and media_type.partition(b";")[0].strip().lower() != JSON:
            return refusal(415, "the content type must be application/json")
        if head.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return refusal(415, "a compressed body is not read")
        return None

    def refused(self, code: int) -> None:
        """Count an HTTP error."""
        self._metrics.refused(code)

    def answer(self, head: Head, body: bytes, *, since: float) -> Answer:
        """Answer a review."""
        path = head.path
        try:
            request = wire.parse(body)
        except NotAReviewError as error:
            return refusal(400, str(error))
        except TooComplexError as error:
            return self._too_complex(path, wire.uid_of(body), error)
        review = _Review(path[1:], request, since)
        try:
            outcome = self._decide(path, request, body)
            if not outcome.allowed:
                return self._denied(review, outcome, wire.as_plain(request, body))
            return self._allowed(review, outcome)
        except Exception as error:
            return self._failed(review, error)

    def _decide(
        self, path: str, request: wire.TypedCreation | wire.AdmissionRequest, body: bytes
    ) -> Outcome:
        now, images = self._clock(), self._strategy_images
        if path == "/validate":
            return validate(request, now=now, strategy_images=images)
        return mutate(
            request, plain=lambda: wire.as_plain(request, body), now=now, strategy_images=images
        )

    def _allowed(self, review: _Review, outcome: Outcome) -> Answer:
        body = wire.allowed(review.request.uid, warnings=outcome.warnings, patch=outcome.patch)
        return self._counted(review, "allowed", body)

    def _denied(self, review: _Review, outcome: Outcome, request: wire.AdmissionRequest) -> Answer:
        self._metrics.rejected(request.kind.kind, outcome.errors)
        _log_denial(review.endpoint, request, outcome)
        body = wire.denied(request, outcome.errors, warnings=outcome.warnings)
        return self._counted(review, "denied", body)

    def _too_complex(self, path: str, uid: str | None, error: TooComplexError) -> Answer:
        """Deny with a reason: for an HTTP error the API server would only report that the webhook
        failed.

        A stop gets the HTTP error, so that it continues: its webhook has `failurePolicy: Ignore`.
        """
        if uid is None or path == _STOP:
            return refusal(413, str(error))
        self._metrics.refused(wire.TOO_LARGE)
        audit.info("refused", extra={"uid": uid, "reason": "too complex"})
        return Answer(200, wire.refused(uid), JSON)

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


def _log_denial(endpoint: str, request: wire.AdmissionRequest, outcome: Outcome) -> None:
    """Log who was denied what, and for which fields. Never a value: it may be a credential."""
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
    """Log the frames and the type of the exception, not its text, which may quote the object."""
    logger.error(
        "review failed",
        extra={
            "uid": request.uid,
            "kind": request.kind.kind,
            "error": type(error).__name__,
            "traceback": "".join(traceback.format_tb(error.__traceback__)),
        },
    )
