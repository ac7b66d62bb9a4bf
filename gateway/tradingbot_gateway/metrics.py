"""The gateway's metrics, for Prometheus."""

from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from tradingbot_gateway.risk.figures import Figures, Unknown
from tradingbot_gateway.risk.limits import Limits
from tradingbot_gateway.risk.verdicts import Allowed, Refused, Verdict

disable_created_metrics()  # type: ignore[no-untyped-call] # they double the number of series

NOT_A_NUMBER = float("nan")


class Metrics:
    """Counters and gauges of one gateway, in a registry of its own: tests run several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.verdicts = Counter(
            "tradingbot_gateway_verdicts_total",
            "Decisions on requests of the bot, by verdict and by what refused.",
            ("verdict", "control"),
            registry=self.registry,
        )
        self.exchange_errors = Counter(
            "tradingbot_gateway_exchange_errors_total",
            "Requests that the exchange did not carry out, by kind: not_sent, lost, refused,"
            " limited, failed.",
            ("kind",),
            registry=self.registry,
        )
        self.cuts = Counter(
            "tradingbot_gateway_stream_cuts_total",
            "Ends of the gateway's own user data stream.",
            registry=self.registry,
        )
        self.own_orders = Counter(
            "tradingbot_gateway_own_orders_total",
            "Orders and cancels that the gateway sent by itself.",
            ("action",),
            registry=self.registry,
        )
        self.ready = Gauge(
            "tradingbot_gateway_reconciled",
            "Whether the exchange has been asked for all that may have changed.",
            registry=self.registry,
        )
        self.distance = Gauge(
            "tradingbot_gateway_limit_distance",
            "How much is left of a limit, in its own unit; NaN while the figures are unknown.",
            ("limit",),
            registry=self.registry,
        )

    def decided(self, verdict: Verdict) -> None:
        """Count a decision."""
        if isinstance(verdict, Allowed):
            self.verdicts.labels("allowed", "").inc()
        elif isinstance(verdict, Refused):
            self.verdicts.labels("refused", verdict.control.value).inc()
        else:
            self.verdicts.labels("released", "").inc()

    def measured(self, limits: Limits, figures: Figures | Unknown, largest: Decimal | None) -> None:
        """Show how far the limits are. `largest`: what the largest position could be worth."""
        if isinstance(figures, Unknown) or largest is None:
            for limit in ("dailyLossLimit", "maxOpenPositions", "maxPositionSize"):
                self.distance.labels(limit).set(NOT_A_NUMBER)
            return
        left = max(limits.daily_loss_limit + figures.day_pnl, Decimal(0))
        self.distance.labels("dailyLossLimit").set(float(left))
        open_left = limits.max_open_positions - figures.open_positions
        self.distance.labels("maxOpenPositions").set(max(open_left, 0))
        room = max(limits.max_position_size - largest, Decimal(0))
        self.distance.labels("maxPositionSize").set(float(room))
