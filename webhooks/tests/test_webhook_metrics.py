"""The metrics of reviews look as if the library had counted them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from tradingbot_webhooks.metrics import _BUCKETS, Metrics


def test_reviews_are_exposed_as_a_counter_and_a_histogram_of_the_library_would_be() -> None:
    metrics, registry = Metrics(), CollectorRegistry()
    labels = ["endpoint", "kind", "operation", "verdict"]
    counter = Counter("tradingbot_webhook_reviews", "Reviews answered", labels, registry=registry)
    histogram = Histogram(
        "tradingbot_webhook_review_duration_seconds",
        "Time from a complete request to its answer",
        ["endpoint"],
        buckets=_BUCKETS,
        registry=registry,
    )
    for endpoint, kind, shown in (
        ("mutate", "TradingBot", "TradingBot"),
        ("validate", "AssetRegistry", "AssetRegistry"),
        ("validate", "Pod", "other"),
    ):
        for seconds in (0.0, *_BUCKETS, *(bound * 1.001 for bound in _BUCKETS), 1000.0):
            metrics.reviewed(
                endpoint=endpoint, kind=kind, operation="CREATE", verdict="allowed", seconds=seconds
            )
            counter.labels(endpoint, shown, "CREATE", "allowed").inc()
            histogram.labels(endpoint).observe(seconds)

    assert generate_latest(metrics.registry).startswith(generate_latest(registry))
