"""A reconcile restores children that others have changed."""

from datetime import timedelta

import pytest
from operator_harness import NOW, SECRET, bot, observed
from reconcile_harness import CONFIG_MAP, DEPLOYMENT, SERVICE, Harness, drifted, play
from tradingbot_operator.bots.children.drift import is_subset_of_live
from tradingbot_operator.bots.observed import Credentials
from tradingbot_operator.bots.plan import plan


@pytest.mark.parametrize("change", ["deleted", "unlabelled", "edited"])
@pytest.mark.parametrize("key", [CONFIG_MAP, DEPLOYMENT, SERVICE], ids=lambda key: key[0])
def test_drift_is_mended_in_one_pass_with_one_event_once_that_is_confirmed(
    key: tuple[str, str, str], change: str
) -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.cluster.posted.clear()
        drifted(harness, key, change)
        assert await harness.reconcile() == 1  # to see whether it holds
        seen = observed(credentials=Credentials(version=harness.revision))
        (manifest,) = [item for item in plan(bot(), seen, NOW).manifests if item["kind"] == key[0]]
        assert is_subset_of_live(manifest, harness.cluster.objects[key])
        await harness.settle()
        assert harness.cluster.events() == []
        harness.now += timedelta(seconds=1)
        for _ in range(2):
            await harness.settle()
            assert harness.cluster.events() == [("Normal", "DriftCorrected")]

    play(scenario)


def test_a_child_that_had_lost_its_label_is_known_again_afterwards() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        drifted(harness, DEPLOYMENT, "unlabelled")
        await harness.settle()
        harness.cluster.reads.clear()
        await harness.reconcile()
        assert harness.cluster.reads == [("get", "Secret", SECRET)]

    play(scenario)


def test_a_change_that_is_declared_is_no_drift() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.cluster.posted.clear()
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.settle()
        assert ("Normal", "DriftCorrected") not in harness.cluster.events()

    play(scenario)


def test_a_strategy_of_somebody_s_is_taken_off_before_ours_is_applied() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
        harness.cluster.edit(*DEPLOYMENT, spec={"strategy": rolling})
        await harness.settle()
        assert harness.cluster.objects[DEPLOYMENT]["spec"]["strategy"] == {"type": "Recreate"}

    play(scenario)
