"""What an operator that has just started takes over from the one before."""

import json
from dataclasses import replace

from operator_desk import CREDENTIALS, DEPLOYMENT, Desk, condition, play
from operator_harness import NOW, SECRET, bot, observed
from tradingbot_operator import CREDENTIALS as ANNOTATION
from tradingbot_operator.plan import Children, Credentials, plan, running_hash
from tradingbot_operator.reasons import Reason
from tradingbot_operator.reconcile import Context
from tradingbot_operator.secrets import Secrets


def restarted(desk: Desk) -> Context:
    """An operator that looks after Secrets, as the real one does."""
    secrets = Secrets(desk.cluster, interval=60, changed=lambda _: None)
    return replace(desk.started(), secrets=secrets)


def test_a_settled_bot_is_not_written_and_its_secret_not_read() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        desk.context = restarted(desk)
        desk.cluster.writes.clear()
        desk.cluster.reads.clear()
        await desk.reconcile()
        assert (desk.cluster.writes, desk.cluster.reads) == ([], [])

    play(scenario)


def test_the_deployment_says_which_secret_and_keys_and_never_a_value() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        annotations = desk.cluster.objects[DEPLOYMENT]["metadata"]["annotations"]
        assert json.loads(annotations[ANNOTATION]) == {
            "secret": SECRET,
            "version": desk.secret_version,
            "keys": sorted(CREDENTIALS["data"]),
        }

    play(scenario)


def test_a_rotation_is_recorded_while_the_restart_for_it_waits() -> None:
    async def scenario() -> None:
        desk = Desk()
        await desk.run()
        before = running_hash(Children(deployment=desk.cluster.objects[DEPLOYMENT]))
        desk.reported(openPositions=1)
        desk.cluster.put(CREDENTIALS)
        await desk.settle()
        live = desk.cluster.objects[DEPLOYMENT]
        assert running_hash(Children(deployment=live)) == before
        recorded = json.loads(live["metadata"]["annotations"][ANNOTATION])
        assert recorded["version"] == desk.secret_version
        # The next operator knows by it that the restart still waits.
        desk.context = restarted(desk)
        desk.cluster.reads.clear()
        await desk.settle()
        assert desk.cluster.objects[DEPLOYMENT] == live
        assert desk.cluster.reads == []
        assert condition(desk, "RolloutPending") == ("True", "PositionsOpen")

    play(scenario)


def test_nothing_is_recorded_of_a_secret_that_lacks_a_key() -> None:
    lacking = observed(credentials=Credentials(version="7", problem=Reason.KEY_NOT_FOUND))
    (deployment,) = [
        one for one in plan(bot(), lacking, NOW).manifests if one["kind"] == "Deployment"
    ]
    assert "annotations" not in deployment["metadata"]
