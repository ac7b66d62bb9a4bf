"""The end of a bot: stopped first, out of the registry, and nothing remembered."""

from datetime import timedelta

import pytest
from operator_desk import BOT, CONFIG_MAP, DEPLOYMENT, SERVICE, Desk, RemovalFails, drifted, play
from operator_harness import NOW, bot_body
from tradingbot_operator.kube import KubernetesError
from tradingbot_operator.reconcile import POD_PATIENCE, POD_POLL
from tradingbot_operator.registry_client import RegistryUnavailableError


def test_a_deletion_stops_the_bot_first_and_lets_go_when_its_pod_is_gone() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.pod()
        desk.delete()
        desk.cluster.writes.clear()
        assert await desk.reconcile() == POD_POLL
        assert desk.cluster.writes == [
            ("apply", "Deployment", "arb"),
            ("merge/status", "TradingBot", "arb"),
        ]
        assert (desk.phase, desk.replicas) == ("Terminating", 0)
        desk.cluster.delete("Pod", "desk", "arb-1")
        assert await desk.reconcile() is None
        assert BOT not in desk.cluster.objects

    play(scenario)


def test_a_deletion_stops_a_deployment_that_no_watch_shows() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        drifted(desk, DEPLOYMENT, "unlabelled")
        desk.pod()
        desk.delete()
        await desk.reconcile()
        assert desk.replicas == 0

    play(scenario)


def test_a_status_that_can_not_be_written_does_not_keep_a_deleted_bot_running() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.pod()
        desk.delete()
        desk.fail("merge", "TradingBot")
        with pytest.raises(KubernetesError):
            await desk.reconcile()
        assert desk.replicas == 0

    play(scenario)


def test_a_pod_that_never_goes_delays_a_deletion_only_so_long_and_is_told_of_once() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.pod()
        desk.delete()
        desk.now = NOW + timedelta(seconds=POD_PATIENCE - 1)
        assert await desk.reconcile() == POD_POLL
        desk.cluster.posted.clear()
        desk.now = NOW + timedelta(seconds=POD_PATIENCE)
        desk.fail("merge", "TradingBot")
        with pytest.raises(KubernetesError):
            await desk.reconcile()
        await desk.reconcile()
        assert BOT not in desk.cluster.objects
        assert desk.cluster.events() == [("Warning", "PodStuck")]

    play(scenario)


def test_a_registry_that_is_down_delays_the_end_of_a_deletion_and_never_the_stop() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.context = desk.started(RemovalFails(None, lambda _: None))
        await desk.run()
        desk.delete()
        for seconds in (0, 59):
            desk.now = NOW + timedelta(seconds=seconds)
            with pytest.raises(RegistryUnavailableError):
                await desk.reconcile()
            assert desk.replicas == 0
        desk.cluster.posted.clear()
        desk.now = NOW + timedelta(seconds=60)
        assert await desk.reconcile() is None
        assert BOT not in desk.cluster.objects
        assert desk.cluster.events() == [("Warning", "AssetLeftBehind")]

    play(scenario)


def test_finalizers_of_others_are_left_to_them() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.edit(metadata={"finalizers": ["theirs", "trading.io/cleanup"]})
        await desk.run()
        desk.delete()
        await desk.reconcile()
        assert desk.cluster.objects[BOT]["metadata"]["finalizers"] == ["theirs"]
        desk.cluster.writes.clear()
        assert await desk.reconcile() is None
        assert desk.cluster.writes == []

    play(scenario)


def test_a_deployment_of_somebody_else_survives_the_deletion_of_the_bot() -> None:
    async def scenario() -> None:
        desk = Desk()
        theirs = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "arb", "namespace": "desk"},
            "spec": {"replicas": 2, "template": {}},
        }
        desk.cluster.put(theirs)
        await desk.reconcile()
        desk.delete()
        await desk.reconcile()
        assert (BOT in desk.cluster.objects, desk.replicas) == (False, 2)

    play(scenario)


def test_nothing_is_remembered_of_a_bot_that_is_gone() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        assert desk.context.declared
        desk.delete()
        await desk.reconcile()
        assert await desk.reconcile() is None
        assert not desk.context.declared
        assert not desk.context.assets._wanted

    play(scenario)


def test_a_successor_of_the_same_name_gets_children_of_its_own() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.delete()
        await desk.reconcile()
        desk.cluster.put(bot_body(metadata={"uid": "uid-second"}))
        await desk.reconcile()
        # The old children are not its own: it waits until they have been collected.
        assert desk.phase == "Failed"
        for key in (CONFIG_MAP, DEPLOYMENT, SERVICE):
            desk.cluster.delete(*key)
        await desk.run()
        owner = desk.cluster.objects[DEPLOYMENT]["metadata"]["ownerReferences"][0]
        assert (desk.phase, owner["uid"]) == ("Running", "uid-second")

    play(scenario)
