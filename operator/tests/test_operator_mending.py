"""Drift, as reconciling mends it."""

import pytest
from operator_desk import CONFIG_MAP, DEPLOYMENT, SERVICE, Desk, drifted, play
from operator_harness import NOW, SECRET, bot, observed
from tradingbot_operator.drift import covers
from tradingbot_operator.plan import Credentials, plan


@pytest.mark.parametrize("change", ["deleted", "unlabelled", "edited"])
@pytest.mark.parametrize("key", [CONFIG_MAP, DEPLOYMENT, SERVICE], ids=lambda key: key[0])
def test_drift_is_mended_in_one_pass_with_one_event(key: tuple[str, str, str], change: str) -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.cluster.posted.clear()
        drifted(desk, key, change)
        await desk.reconcile()
        seen = observed(credentials=Credentials(version=desk.secret_version))
        (manifest,) = [one for one in plan(bot(), seen, NOW).manifests if one["kind"] == key[0]]
        assert covers(desk.cluster.objects[key], manifest)
        assert desk.cluster.events() == [("Normal", "DriftCorrected")]
        await desk.settle()
        assert desk.cluster.events() == [("Normal", "DriftCorrected")]

    play(scenario)


def test_a_child_that_had_lost_its_label_is_known_again_afterwards() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        drifted(desk, DEPLOYMENT, "unlabelled")
        await desk.settle()
        desk.cluster.reads.clear()
        await desk.reconcile()
        assert desk.cluster.reads == [("get", "Secret", SECRET)]

    play(scenario)


def test_a_change_that_is_declared_is_no_drift() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.cluster.posted.clear()
        desk.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await desk.settle()
        assert desk.cluster.events() == [("Normal", "Updated")]

    play(scenario)


def test_a_strategy_of_somebody_s_is_taken_off_before_ours_is_applied() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
        desk.cluster.edit(*DEPLOYMENT, spec={"strategy": rolling})
        await desk.settle()
        assert desk.cluster.objects[DEPLOYMENT]["spec"]["strategy"] == {"type": "Recreate"}

    play(scenario)
