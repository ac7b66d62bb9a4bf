"""The operator's metrics, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from tradingbot_operator.store import Store

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, which nobody asks for

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters and gauges of one operator; a registry of its own, so that tests can have many."""

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
            "How long a reconcile took.",
            ("queue",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.depth = Gauge(
            "tradingbot_operator_queue_depth",
            "Keys that are due and not being worked on.",
            ("queue",),
            registry=self.registry,
        )
        self.bots = Gauge(
            "tradingbot_operator_bots", "Bots by phase.", ("phase",), registry=self.registry
        )
        self.halts = Counter(
            "tradingbot_operator_halts_total",
            "Bots halted for their daily loss.",
            registry=self.registry,
        )
        self.leader = Gauge(
            "tradingbot_operator_leader",
            "1 if this operator acts, 0 if it stands by.",
            registry=self.registry,
        )
        self.requests = Counter(
            "tradingbot_operator_api_requests_total",
            "Requests to the API server by verb and code; code 0 is no answer.",
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
