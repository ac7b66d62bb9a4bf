"""Bots that were stored with wrong parameters of a built-in strategy, without webhooks."""

from dataclasses import replace

import pytest
from reconcile_harness import BOT, DEPLOYMENT, Harness, play
from tradingbot_api.model import JsonObject
from tradingbot_operator.settings import OperatorSettings

OURS, COPY = "tradingbot-strategies:0.1.0", "registry.example/team/strategies:2"
KNOWS_THE_COPY = OperatorSettings(
    cleanup_timeout=60, strategy_images=frozenset({"registry.example/team/strategies"})
)


def misspelt(image: str) -> JsonObject:
    return {"strategy": {"image": image, "parameters": {"minProfitTreshold": "0.005"}}}


def test_a_bot_that_has_never_run_is_not_run_with_wrong_parameters() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.edit(spec=misspelt(OURS))
        for _ in range(2):  # a second reconcile sees the status of the first
            await harness.run()
            assert harness.phase == "Failed"
            assert DEPLOYMENT not in harness.cluster.objects
        status = str(harness.cluster.objects[BOT]["status"])
        assert "spec.strategy.parameters[minProfitTreshold]" in status
        harness.context = harness.started()
        await harness.run()
        assert harness.phase == "Failed"

    play(scenario)


@pytest.mark.parametrize(
    "spec",
    [
        misspelt("ghcr.io/example/bot:1.0"),
        {"strategy": {**misspelt(OURS)["strategy"], "type": "Custom"}},
        {"strategy": {"image": OURS, "parameters": {"minProfitThreshold": "0.01"}}},
    ],
    ids=str,
)
def test_other_bots_run_with_any_parameters_and_ours_with_right_ones(spec: JsonObject) -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.edit(spec=spec)
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)


def test_an_operator_that_knows_more_parameters_stops_no_bot_that_has_run() -> None:
    """The bot began under an operator whose setting did not name its image; the next one's does."""

    async def scenario() -> None:
        harness = Harness()
        harness.edit(spec=misspelt(COPY))
        await harness.run()
        assert harness.phase == "Running"
        harness.context = replace(
            harness.started(),
            settings=KNOWS_THE_COPY,
        )
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)


def test_whose_parameters_the_operator_checks_is_a_setting() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.context = replace(
            harness.context,
            settings=KNOWS_THE_COPY,
        )
        harness.edit(spec=misspelt(COPY))
        await harness.run()
        assert harness.phase == "Failed"

    play(scenario)


def test_a_bot_that_is_corrected_runs() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.edit(spec=misspelt(OURS))
        await harness.run()
        parameters = {"minProfitTreshold": None, "minProfitThreshold": "0.005"}
        harness.edit(spec={"strategy": {"parameters": parameters}})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)
