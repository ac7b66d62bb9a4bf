"""What the running bots report, for Prometheus, as it is known when it is asked for.

A bot that does not run has no series. A figure that is not known has none either: a zero would say
that the bot holds nothing and has lost nothing.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from tradingbot_api.contract import RiskReport

from tradingbot_operator.risk import FRESH, Seen
from tradingbot_operator.risk_poller import RiskPoller

BOT = ("namespace", "name")


def fresh_report(seen: Seen, now: datetime) -> RiskReport | None:
    """The last report unless it is too old, or from the future."""
    report = seen.report
    return report if report is not None and abs(now - report.time) <= FRESH else None


class BotGauges(Collector):
    """Gauges of each bot that is polled, and how the polling goes. Made for a custom registry:
    `registry.register(BotGauges(...))`."""

    def __init__(self, poller: RiskPoller, *, clock: Callable[[], datetime]) -> None:
        self._poller = poller
        self._clock = clock

    def describe(self) -> list[Metric]:
        """The families without samples: it needs no look at the bots to know their names."""
        return [*_Families().all(), *_polling(self._poller)]

    def collect(self) -> Iterator[Metric]:
        """All samples, as of now."""
        families, now = _Families(), self._clock()
        for key, watch, seen in self._poller.seen_all():
            report = fresh_report(seen, now)
            labels = dict(zip(BOT, key, strict=True))
            if seen.report is not None or seen.problem:
                _add(families.up, labels, report is not None and not seen.problem)
            if report is not None:
                _add(families.day_pnl, labels, report.day_pnl)
                _add(families.open_positions, labels, report.open_positions)
                _add(families.exposure, labels, report.exposure)
                _add(families.distance, labels, watch.limit + report.day_pnl)
        yield from families.all()
        yield from _polling(self._poller)


class _Families:
    """The gauges of a bot."""

    def __init__(self) -> None:
        self.up = _gauge("up", "1 if the last poll of the bot brought a report that is fresh.")
        self.day_pnl = _gauge(
            "day_pnl", "Profit of the trading day so far, a loss is negative; quote currency."
        )
        self.open_positions = _gauge("open_positions", "Positions that the bot holds.")
        self.exposure = _gauge(
            "exposure", "Notional value of all positions that the bot holds; quote currency."
        )
        self.distance = _gauge(
            "daily_loss_distance",
            "What the bot may still lose before its daily loss limit halts it; quote currency.",
        )

    def all(self) -> list[Metric]:
        return [self.up, self.day_pnl, self.open_positions, self.exposure, self.distance]


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"tradingbot_bot_{name}", text, labels=BOT)


def _add(family: Metric, labels: dict[str, str], value: Decimal | float) -> None:
    """A sample. With 25,000 of them, a dictionary of labels for each would cost more than all."""
    family.samples.append(Sample(family.name, labels, float(value)))


def _polling(poller: RiskPoller) -> list[Metric]:
    counts = poller.counts()
    polls = CounterMetricFamily(
        "tradingbot_operator_risk_polls", "Polls of bots by result.", labels=("result",)
    )
    for result, count in counts.results.items():
        polls.add_metric((result,), count)
    return [
        polls,
        GaugeMetricFamily(
            "tradingbot_operator_risk_last_poll_age_seconds",
            "Time since the last poll of the bot for which that is longest.",
            value=counts.oldest,
        ),
        GaugeMetricFamily(
            "tradingbot_operator_risk_bots_polled", "Bots that are polled.", value=counts.bots
        ),
        GaugeMetricFamily(
            "tradingbot_operator_risk_bots_backed_off",
            "Bots that are polled less often, since they don't answer.",
            value=counts.backed_off,
        ),
    ]
