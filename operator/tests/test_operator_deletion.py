"""The deletion of a bot: it is stopped first, its asset is deleted, and it is forgotten."""

from datetime import timedelta

import pytest
from operator_harness import NOW, bot_body
from reconcile_harness import (
    BOT,
    CONFIG_MAP,
    DEPLOYMENT,
    SERVICE,
    Harness,
    RemovalFails,
    condition,
    drifted,
    play,
)
from tradingbot_operator.bots.stops.cleanup import BLOCKED_POLL, POD_PATIENCE, POD_POLL
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.registry_client import RegistryUnavailableError


def test_a_deletion_stops_the_bot_first_and_lets_go_when_its_pod_is_gone() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.delete()
        harness.cluster.writes.clear()
        assert await harness.reconcile() == POD_POLL
        assert harness.cluster.writes == [
            ("merge", "Deployment", "arb"),
            ("merge/status", "TradingBot", "arb"),
        ]
        assert (harness.phase, harness.replicas) == ("Terminating", 0)
        assert condition(harness, "StopBlocked") == ("Unknown", "Stopping")
        harness.controllers()
        assert await harness.reconcile() is None
        assert BOT not in harness.cluster.objects

    play(scenario)


def test_a_deletion_stops_a_deployment_that_no_watch_shows() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        drifted(harness, DEPLOYMENT, "unlabelled")
        harness.delete()
        await harness.reconcile()
        assert harness.replicas == 0

    play(scenario)


def test_what_held_before_the_deletion_is_no_longer_said() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.edit(spec={"riskManagement": {"dailyLossLimit": "-5"}})
        await harness.reconcile()
        harness.controllers()
        await harness.settle()
        assert condition(harness, "Stalled") == ("True", "InvalidSpec")
        harness.edit(metadata=HELD)
        harness.delete()
        await harness.reconcile()
        types = {one["type"] for one in harness.cluster.objects[BOT]["status"]["conditions"]}
        assert {"Reconciling", "Trading"} <= types
        assert "Stalled" not in types
        assert condition(harness, "Reconciling") == ("True", "Terminating")

    play(scenario)


HELD = {"finalizers": ["trading.io/cleanup", "example.com/hold"]}


def test_a_bot_that_others_hold_after_its_end_is_stopped_whenever_it_is_scaled_up() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.edit(metadata=HELD)
        harness.delete()
        await harness.reconcile()
        harness.controllers()
        assert await harness.reconcile() is None
        assert harness.cluster.objects[BOT]["metadata"]["finalizers"] == ["example.com/hold"]
        harness.cluster.writes.clear()
        assert await harness.reconcile() is None
        assert harness.cluster.writes == []
        harness.cluster.edit(*DEPLOYMENT, spec={"replicas": 1})
        harness.controllers()
        assert await harness.reconcile() == BLOCKED_POLL
        assert (harness.phase, harness.replicas) == ("Terminating", 0)
        harness.controllers()
        harness.cluster.writes.clear()
        assert await harness.reconcile() is None
        assert harness.cluster.writes == []

    play(scenario)


def test_a_bot_that_is_deleted_without_the_operators_finalizer_is_stopped() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.edit(metadata={"finalizers": ["example.com/hold"]})
        harness.delete()
        assert await harness.reconcile() == BLOCKED_POLL
        assert (harness.phase, harness.replicas) == ("Terminating", 0)
        harness.controllers()
        assert await harness.reconcile() is None

    play(scenario)


def test_a_bot_that_others_let_go_while_it_is_stopped_is_no_error() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.edit(metadata={"finalizers": ["example.com/hold"]})
        harness.delete()
        harness.fail("merge/status", "TradingBot", KubernetesError(404, "NotFound", "gone"))
        assert await harness.reconcile() == BLOCKED_POLL
        assert harness.replicas == 0

    play(scenario)


def test_a_status_that_can_not_be_written_does_not_keep_a_deleted_bot_running() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.delete()
        harness.fail("merge", "TradingBot")
        with pytest.raises(KubernetesError):
            await harness.reconcile()
        assert harness.replicas == 0

    play(scenario)


def test_a_pod_that_never_goes_delays_a_deletion_only_so_long_and_is_told_of_once() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.delete()
        await harness.reconcile()
        harness.pod_terminating()
        harness.now = NOW + timedelta(seconds=POD_PATIENCE - 1)
        assert await harness.reconcile() == POD_POLL
        harness.cluster.posted.clear()
        harness.now = NOW + timedelta(seconds=POD_PATIENCE)
        harness.fail("merge/status", "TradingBot")
        with pytest.raises(KubernetesError):
            await harness.reconcile()
        await harness.reconcile()
        assert BOT not in harness.cluster.objects
        assert [reason for _, reason in harness.cluster.events()] == [
            "ReconcileFailed",
            "StopBlocked",
            "PodStuck",
        ]

    play(scenario)


def test_a_pod_with_a_long_grace_period_is_waited_for_with_few_requests() -> None:
    async def scenario() -> None:
        harness = Harness({"pod": {"terminationGracePeriodSeconds": 300}})
        await harness.run()
        harness.delete()
        await harness.reconcile()
        harness.pod_terminating(until=NOW + timedelta(seconds=300))
        harness.now = NOW + timedelta(seconds=299)
        assert await harness.reconcile() == BLOCKED_POLL
        assert condition(harness, "StopBlocked") == ("Unknown", "Stopping")
        harness.now = NOW + timedelta(seconds=315)
        assert await harness.reconcile() is None
        assert BOT not in harness.cluster.objects

    play(scenario)


def test_a_bot_whose_stop_is_refused_is_not_let_go_while_it_trades() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.delete()
        harness.refuse("merge", "Deployment")
        harness.refuse("merge/scale", "Deployment")
        harness.refuse("delete", "Deployment")
        harness.refuse("delete", "Pod")
        await harness.reconcile()
        harness.now = NOW + timedelta(hours=1)
        assert await harness.reconcile() == BLOCKED_POLL
        assert condition(harness, "StopBlocked") == ("True", "Refused")
        assert condition(harness, "Stalled") == ("True", "Refused")
        assert condition(harness, "Trading") == ("True", "Available")
        assert ("Warning", "StopBlocked") in harness.cluster.events()
        harness.cluster.faults = []
        await harness.reconcile()
        harness.controllers()
        assert await harness.reconcile() is None
        assert BOT not in harness.cluster.objects

    play(scenario)


@pytest.mark.parametrize("collected", [False, True], ids=["before", "after"])
def test_an_orphaning_deletion_stops_the_bot_and_leaves_its_children(collected: bool) -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        finalizers = ["trading.io/cleanup"] if collected else ["orphan", "trading.io/cleanup"]
        harness.edit(metadata={"finalizers": finalizers})
        harness.delete()
        for child in (CONFIG_MAP, DEPLOYMENT, SERVICE):
            harness.cluster.edit(*child, metadata={"ownerReferences": None})
        await harness.reconcile()
        harness.controllers()
        await harness.reconcile()
        assert (harness.replicas, ("Warning", "Orphaned") in harness.cluster.events()) == (0, True)
        for child in (CONFIG_MAP, DEPLOYMENT, SERVICE):
            assert "ownerReferences" not in harness.cluster.objects[child]["metadata"]

    play(scenario)


def test_a_registry_that_is_down_delays_the_end_of_a_deletion_and_never_the_stop() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.context = harness.started(RemovalFails(None, lambda _: None))
        await harness.run()
        harness.delete()
        await harness.reconcile()
        harness.controllers()
        for seconds in (0, 59):
            harness.now = NOW + timedelta(seconds=seconds)
            with pytest.raises(RegistryUnavailableError):
                await harness.reconcile()
            assert harness.replicas == 0
        harness.cluster.posted.clear()
        harness.now = NOW + timedelta(seconds=60)
        assert await harness.reconcile() is None
        assert BOT not in harness.cluster.objects
        assert harness.cluster.events() == [("Warning", "AssetLeftBehind")]

    play(scenario)


def test_finalizers_of_others_are_left_to_them() -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.edit(metadata={"finalizers": ["theirs", "trading.io/cleanup"]})
        await harness.run()
        harness.delete()
        await harness.reconcile()
        harness.controllers()
        await harness.reconcile()
        assert harness.cluster.objects[BOT]["metadata"]["finalizers"] == ["theirs"]
        harness.cluster.writes.clear()
        assert await harness.reconcile() is None
        assert harness.cluster.writes == []

    play(scenario)


def test_a_deployment_of_somebody_else_survives_the_deletion_of_the_bot() -> None:
    async def scenario() -> None:
        harness = Harness()
        theirs = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "arb", "namespace": "desk"},
            "spec": {"replicas": 2, "template": {}},
        }
        harness.cluster.put(theirs)
        await harness.reconcile()
        harness.delete()
        await harness.reconcile()
        assert (BOT in harness.cluster.objects, harness.replicas) == (False, 2)

    play(scenario)


def test_nothing_is_remembered_of_a_bot_that_is_gone() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        assert harness.context.declared
        harness.delete()
        await harness.reconcile()
        harness.controllers()
        await harness.reconcile()
        assert await harness.reconcile() is None
        assert not harness.context.declared
        assert not harness.context.assets._declared
        assert not harness.context.memories

    play(scenario)


def test_a_successor_of_the_same_name_gets_children_of_its_own() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.delete()
        await harness.reconcile()
        harness.controllers()
        await harness.reconcile()
        harness.cluster.put(bot_body(metadata={"uid": "uid-second"}))
        await harness.reconcile()
        # The old children are not its own: it waits until they have been collected.
        assert harness.phase == "Failed"
        for key in (CONFIG_MAP, DEPLOYMENT, SERVICE):
            harness.cluster.drop(*key)
        await harness.run()
        owner = harness.cluster.objects[DEPLOYMENT]["metadata"]["ownerReferences"][0]
        assert (harness.phase, owner["uid"]) == ("Running", "uid-second")

    play(scenario)


def test_a_pod_that_may_be_on_its_way_is_waited_for() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.settle()
        harness.cluster.edit(*DEPLOYMENT, metadata={"generation": 1})
        harness.delete()
        # The controllers have not seen the Deployment yet: it has neither pod nor status.
        assert await harness.reconcile() == POD_POLL
        assert (BOT in harness.cluster.objects, harness.replicas) == (True, 0)
        harness.cluster.edit(*DEPLOYMENT, status={"observedGeneration": 1, "replicas": 1})
        assert await harness.reconcile() == POD_POLL
        harness.cluster.edit(*DEPLOYMENT, status={"replicas": None})
        assert await harness.reconcile() is None
        assert BOT not in harness.cluster.objects

    play(scenario)


def test_controllers_that_never_come_hold_up_a_deletion_only_so_long() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.settle()
        harness.cluster.edit(*DEPLOYMENT, metadata={"generation": 1})
        harness.delete()
        harness.now = NOW + timedelta(seconds=POD_PATIENCE)
        assert await harness.reconcile() is None
        assert BOT not in harness.cluster.objects

    play(scenario)


def test_a_bot_is_not_let_go_while_its_deployment_asks_for_the_next_pod() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.delete()
        for verb in ("merge", "merge/scale", "delete"):
            harness.refuse(verb, "Deployment")
        harness.pod_terminating()
        harness.now = NOW + timedelta(seconds=2 * POD_PATIENCE)
        assert await harness.reconcile() == BLOCKED_POLL
        assert BOT in harness.cluster.objects

    play(scenario)
