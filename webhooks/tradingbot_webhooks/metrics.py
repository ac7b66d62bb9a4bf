"""The metrics of the server. Labels take few values, whatever clients send."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from tradingbot_api.admission.review import KINDS
from tradingbot_api.errors import SHOWN_KEY, FieldError, MapKey, cut

disable_created_metrics()  # type: ignore[no-untyped-call] # they would double the series

MAX_FIELDS = 200
_OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0)
_OTHER = "other"


@dataclass(slots=True)
class _Durations:
    """How many reviews are in each bucket, the last of which has no bound, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS) + 1))
    seconds: float = 0.0


class _Reviews(Collector):
    """The reviews that were answered, and how long they took.

    The library's counters take a lock for each of the four numbers of a review: 4 % of the time of
    a whole review. These are read by the event loop that writes them.
    """

    def __init__(self) -> None:
        self._answered: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
        self._durations: defaultdict[str, _Durations] = defaultdict(_Durations)

    def add(self, labels: tuple[str, str, str, str], seconds: float) -> None:
        """Count a review: its endpoint, kind, operation and verdict."""
        self._answered[labels] += 1
        durations = self._durations[labels[0]]
        durations.counts[bisect_left(_BUCKETS, seconds)] += 1
        durations.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield both metrics."""
        reviews = CounterMetricFamily(
            "tradingbot_webhook_reviews",
            "Reviews answered",
            labels=["endpoint", "kind", "operation", "verdict"],
        )
        for labels, count in self._answered.items():
            reviews.add_metric(labels, count)
        yield reviews
        durations = HistogramMetricFamily(
            "tradingbot_webhook_review_duration_seconds",
            "Time from a complete request to its answer",
            labels=["endpoint"],
        )
        # As text: the form that the format of Prometheus asks for.
        bounds = [*map(str, _BUCKETS), "+Inf"]
        for endpoint, found in self._durations.items():
            buckets = zip(bounds, accumulate(found.counts), strict=True)
            durations.add_metric([endpoint], [*buckets], found.seconds)
        yield durations


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reviews = _Reviews()
        self.registry.register(self._reviews)
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

    def reviewed(
        self, *, endpoint: str, kind: str, operation: str, verdict: str, seconds: float
    ) -> None:
        kind = kind if kind in KINDS else _OTHER
        operation = operation if operation in _OPERATIONS else _OTHER
        self._reviews.add((endpoint, kind, operation, verdict), seconds)

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
