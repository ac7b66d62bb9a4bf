"""The metrics of bots, and when a bot has none."""

import asyncio
from datetime import timedelta

import pytest
from operator_harness import NOW, in_fake_time
from poller_harness import DEAD, A, Answer, B, PollerHarness, clock, fresh, harness_of
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from risk_bots import report
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.metrics import Metrics
from tradingbot_operator.risk.gauges import BotGauges
from tradingbot_operator.risk.poller import RiskPoller
from tradingbot_operator.settings import OperatorSettings

FIGURES = {
    "tradingbot_bot_day_pnl": -12.5,
    "tradingbot_bot_open_positions": 1.0,
    "tradingbot_bot_exposure": 950.0,
    "tradingbot_bot_daily_loss_distance": 187.5,
    "tradingbot_bot_max_open_positions": 2.0,
    "tradingbot_bot_max_exposure": 2000.0,
}
GOOD = {"tradingbot_bot_up": 1.0, **FIGURES}


def shown(registry: CollectorRegistry, *key: str) -> dict[str, float]:
    """Return the samples of a bot, or those without a bot."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if tuple(sample.labels.get(label, "") for label in ("namespace", "name")) == key
    }


def registry_of(harness: PollerHarness) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(BotGauges(harness.poller, clock=clock))
    return registry


def watched(
    answer: Answer, *looks: float, drop_at: float = 1e9
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Return the samples of bots a and b at each of the times `looks`."""
    harness = harness_of(answer, answer)
    registry = registry_of(harness)

    async def main() -> list[tuple[dict[str, float], dict[str, float]]]:
        seen = []
        loop = asyncio.get_running_loop()
        loop.call_at(drop_at, harness.poller.unsubscribe, A)
        for time in looks:
            if time:
                await asyncio.sleep(time - loop.time())
            seen.append((shown(registry, *A), shown(registry, *B)))
        return seen

    async def polling() -> list[tuple[dict[str, float], dict[str, float]]]:
        async with harness.polling():
            return await main()

    return in_fake_time(polling() if looks[0] else main())


def test_each_bot_shows_what_it_has_reported() -> None:
    assert watched(fresh, 1) == [(GOOD, GOOD)]


def test_before_its_first_poll_a_bot_shows_nothing() -> None:
    assert watched(fresh, 0) == [({}, {})]


def test_a_bot_that_never_reported_is_not_up_and_shows_no_figure_rather_than_zero() -> None:
    assert watched(lambda _: DEAD, 1) == [({"tradingbot_bot_up": 0.0},) * 2]


def test_figures_are_shown_until_they_are_old_though_the_bot_is_not_up_any_more() -> None:
    young, old = watched(lambda time: fresh() if time < 1 else DEAD, 29, 31)
    assert young == ({"tradingbot_bot_up": 0.0, **FIGURES},) * 2
    assert old == ({"tradingbot_bot_up": 0.0},) * 2


@pytest.mark.parametrize("seconds", [-32, 32])
def test_a_report_of_long_ago_or_of_the_future_shows_no_figure(seconds: float) -> None:
    answer = lambda _: report(clock() + timedelta(seconds=seconds))  # noqa: E731
    assert watched(answer, 1) == [({"tradingbot_bot_up": 0.0},) * 2]


def test_the_series_of_a_bot_that_is_dropped_are_gone() -> None:
    assert watched(fresh, 1, 3, drop_at=2) == [(GOOD, GOOD), ({}, GOOD)]


def test_the_distance_is_below_zero_once_the_limit_is_passed() -> None:
    ((a, _),) = watched(lambda _: report(clock(), dayPnL="-250.25"), 1)
    assert a["tradingbot_bot_daily_loss_distance"] == -50.25


def test_polls_are_counted_by_result_and_their_age_is_told() -> None:
    harness = harness_of(lambda time: fresh() if time < 1 else DEAD)

    async def main() -> dict[NamespacedName, float]:
        async with harness.polling():
            await asyncio.sleep(13)
            return {
                (sample.name, sample.labels.get("result", "")): sample.value
                for family in registry_of(harness).collect()
                for sample in family.samples
                if sample.name.startswith("tradingbot_operator_")
            }

    assert in_fake_time(main()) == {
        ("tradingbot_operator_risk_polls_total", "ok"): 1.0,
        ("tradingbot_operator_risk_polls_total", "unreachable"): 2.0,
        ("tradingbot_operator_risk_last_poll_age_seconds", ""): pytest.approx(3, abs=0.1),
        ("tradingbot_operator_risk_bots_polled", ""): 1.0,
        ("tradingbot_operator_risk_bots_backed_off", ""): 1.0,
    }


def test_they_stand_beside_the_operators_other_metrics() -> None:
    metrics = Metrics()
    poller = RiskPoller(OperatorSettings(), clock=clock, changed=lambda _: None)
    gauges = BotGauges(poller, clock=lambda: NOW)
    metrics.registry.register(gauges)
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.registry.register(BotGauges(poller, clock=lambda: NOW))
    text = generate_latest(metrics.registry).decode()
    assert "# TYPE tradingbot_bot_up gauge" in text
    assert "tradingbot_operator_reconciles" in text
