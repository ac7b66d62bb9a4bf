"""The metrics of the server. Labels take few values, whatever clients send."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from tradingbot_api.admission.review import KINDS
from tradingbot_api.errors import SHOWN_KEY, FieldError, MapKey, cut

disable_created_metrics()  # type: ignore[no-untyped-call] # they would double the series

MAX_FIELDS = 200
_OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0)
_OTHER = "other"


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reviews = Counter(
            "tradingbot_webhook_reviews",
            "Reviews answered",
            ["endpoint", "kind", "operation", "verdict"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "tradingbot_webhook_review_duration_seconds",
            "Time from a complete request to its answer",
            ["endpoint"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._rejections = Counter(
            "tradingbot_webhook_rejections",
            "Field errors for which objects were denied",
            ["kind", "field"],
            registry=self.registry,
        )
        self._refusals = Counter(
            "tradingbot_webhook_http_refusals",
            "Requests answered with an HTTP error",
            ["code"],
            registry=self.registry,
        )
        self._reloads = Counter(
            "tradingbot_webhook_certificate_reloads",
            "Attempts to load a changed certificate",
            ["result"],
            registry=self.registry,
        )
        self._expiry = Gauge(
            "tradingbot_webhook_certificate_expiry_timestamp_seconds",
            "Expiry of the served certificate, in seconds since 1970",
            registry=self.registry,
        )
        self._fields: set[str] = set()
        self._series: dict[tuple[str, str, str, str], tuple[Counter, Histogram]] = {}

    def reviewed(
        self, *, endpoint: str, kind: str, operation: str, verdict: str, seconds: float
    ) -> None:
        kind = kind if kind in KINDS else _OTHER
        operation = operation if operation in _OPERATIONS else _OTHER
        key = (endpoint, kind, operation, verdict)
        series = self._series.get(key)
        if series is None:  # a lookup by labels takes longer than counting
            series = (self._reviews.labels(*key), self._duration.labels(endpoint))
            self._series[key] = series
        series[0].inc()
        series[1].observe(seconds)

    def rejected(self, kind: str, errors: tuple[FieldError, ...]) -> None:
        for error in errors:
            self._rejections.labels(kind, self._field(error)).inc()

    def refused(self, code: int) -> None:
        self._refusals.labels(str(code)).inc()

    def certificate(self, *, reloaded: bool, expiry: float | None) -> None:
        self._reloads.labels("ok" if reloaded else "failed").inc()
        if expiry is not None:
            self._expiry.set(expiry)

    def _field(self, error: FieldError) -> str:
        """Return the field without list indexes and map keys, or `other` after MAX_FIELDS names."""
        parts = [
            "[]" if isinstance(s, int | MapKey) else f".{cut(s, SHOWN_KEY)}" for s in error.path
        ]
        field = "".join(parts).lstrip(".")
        if field not in self._fields:
            if len(self._fields) >= MAX_FIELDS:
                return _OTHER
            self._fields.add(field)
        return field
