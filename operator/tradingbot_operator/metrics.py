"""The operator's metrics, for Prometheus."""

from collections import Counter as Counter_
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from tradingbot_operator.cluster.cache import Store

disable_created_metrics()  # type: ignore[no-untyped-call] # they double the number of series

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters and gauges of one operator, in a registry of its own: tests run several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "tradingbot_operator_reconciles_total",
            "Reconciles by queue and result.",
            ("queue", "result"),
            registry=self.registry,
        )
        self.duration = Histogram(
            "tradingbot_operator_reconcile_seconds",
            "Duration of a reconcile.",
            ("queue",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.depth = Gauge(
            "tradingbot_operator_queue_depth",
            "Number of objects that wait to be reconciled.",
            ("queue",),
            registry=self.registry,
        )
        self.bots = Gauge(
            "tradingbot_operator_bots",
            "Number of bots by phase.",
            ("phase",),
            registry=self.registry,
        )
        self.halts = Counter(
            "tradingbot_operator_halts_total",
            "Daily loss halts.",
            registry=self.registry,
        )
        self.stops_blocked = Gauge(
            "tradingbot_operator_stops_blocked",
            "Number of bots that must not run and could not be stopped.",
            registry=self.registry,
        )
        self.ungoverned = Gauge(
            "tradingbot_operator_ungoverned_deployments",
            "Number of Deployments of bots without a TradingBot that could not be stopped.",
            registry=self.registry,
        )
        self.ungoverned_stops = Counter(
            "tradingbot_operator_ungoverned_stops_total",
            "Deployments of bots without a TradingBot that were stopped.",
            registry=self.registry,
        )
        self.unreadable = Gauge(
            "tradingbot_operator_unreadable_objects",
            "Number of objects that the operator can't read, by kind; the log names each.",
            ("kind",),
            registry=self.registry,
        )
        self.leader = Gauge(
            "tradingbot_operator_leader",
            "1 if this operator is the leader, 0 if it is a standby.",
            registry=self.registry,
        )
        self.requests = Counter(
            "tradingbot_operator_api_requests_total",
            "Requests to the API server by verb and status code; 0 if there was no answer.",
            ("verb", "code"),
            registry=self.registry,
        )

    def request(self, verb: str, code: int) -> None:
        """Count a request to the API server."""
        self.requests.labels(verb, str(code)).inc()

    def count_bots(self, store: Store) -> None:
        """Set the gauge of bots by phase."""
        self.bots.clear()
        for phase, count in store.phases("TradingBot").items():
            self.bots.labels(phase or "Pending").set(count)

    def count_unreadable(self, kinds: Iterable[str], store: Store) -> None:
        """Set the gauge of unreadable objects for all watched kinds."""
        counts = Counter_(kind for kind, _, _ in store.unreadable())
        for kind in kinds:
            self.unreadable.labels(kind).set(counts[kind])
