"""The reports of running bots as Prometheus metrics, collected at the time of the scrape.

A bot that does not run has no series. An unknown figure has none either: a zero would mean that the
bot holds nothing and has lost nothing.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from tradingbot_api.contract import RiskReport

from tradingbot_operator.risk.daily_loss import FRESH, PollState
from tradingbot_operator.risk.poller import RiskPoller

BOT = ("namespace", "name")


def fresh_report(state: PollState, now: datetime) -> RiskReport | None:
    """Return the last report unless it is too old, or from the future."""
    report = state.report
    return report if report is not None and abs(now - report.time) <= FRESH else None


class BotGauges(Collector):
    """Gauges of each polled bot and of the polling as a whole.

    A custom collector: `registry.register(BotGauges(...))`.
    """

    def __init__(self, poller: RiskPoller, *, clock: Callable[[], datetime]) -> None:
        self._poller = poller
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Return the metric families without samples."""
        return [*_Families().all(), *_polling(self._poller)]

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families with their samples."""
        families, now = _Families(), self._clock()
        for key, subscription, state in self._poller.states():
            if not subscription.started:
                continue
            report = fresh_report(state, now)
            labels = dict(zip(BOT, key, strict=True))
            if state.report is not None or state.problem:
                _add(families.up, labels, report is not None and not state.problem)
            if report is not None:
                _add(families.day_pnl, labels, report.day_pnl)
                _add(families.open_positions, labels, report.open_positions)
                _add(families.exposure, labels, report.exposure)
                _add(families.distance, labels, subscription.terms.limit + report.day_pnl)
                _add(families.max_open_positions, labels, subscription.terms.max_open_positions)
                _add(families.max_exposure, labels, subscription.terms.max_exposure)
        yield from families.all()
        yield from _polling(self._poller)


class _Families:
    """The gauges of a bot."""

    def __init__(self) -> None:
        self.up = _gauge("up", "1 if the last poll of the bot returned a fresh report, else 0.")
        self.day_pnl = _gauge(
            "day_pnl",
            "Profit of the trading day so far, in quote currency; a loss is negative.",
        )
        self.open_positions = _gauge("open_positions", "Number of open positions of the bot.")
        self.exposure = _gauge(
            "exposure", "Notional value of all open positions of the bot, in quote currency."
        )
        self.distance = _gauge(
            "daily_loss_distance",
            "Loss that is left before the daily loss limit halts the bot, in quote currency.",
        )
        self.max_open_positions = _gauge(
            "max_open_positions", "Number of open positions that the limits of the bot allow."
        )
        self.max_exposure = _gauge(
            "max_exposure", "Exposure that the limits of the bot allow, in quote currency."
        )

    def all(self) -> list[Metric]:
        reported = [self.up, self.day_pnl, self.open_positions, self.exposure, self.distance]
        return [*reported, self.max_open_positions, self.max_exposure]


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"tradingbot_bot_{name}", text, labels=BOT)


def _add(family: Metric, labels: dict[str, str], value: Decimal | float) -> None:
    """Add a sample. `add_metric` would build a dictionary of labels for each of 25,000 samples."""
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
            "Time since the last poll of the bot that has waited longest.",
            value=counts.oldest,
        ),
        GaugeMetricFamily(
            "tradingbot_operator_risk_bots_polled", "Number of polled bots.", value=counts.bots
        ),
        GaugeMetricFamily(
            "tradingbot_operator_risk_bots_backed_off",
            "Number of bots that are polled less often, since they do not answer.",
            value=counts.backed_off,
        ),
    ]
