"""What an operator that has just started uses of its predecessor's records."""

import hashlib
import json
from dataclasses import replace

import pytest
from operator_harness import NOW, SECRET, bot, observed
from reconcile_harness import (
    CONFIG_MAP,
    CREDENTIALS,
    DEPLOYMENT,
    DIGEST_KEYS,
    SERVICE,
    Harness,
    condition,
    play,
)
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator import ADDED_METADATA
from tradingbot_operator import CREDENTIALS as ANNOTATION
from tradingbot_operator.bots.credentials import Secrets
from tradingbot_operator.bots.observed import Children, Credentials, running_hash
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.bots.reconcile import Context
from tradingbot_operator.reasons import Reason


def restarted(harness: Harness) -> Context:
    """An operator that polls Secrets, as the real one does."""
    secrets = Secrets(harness.cluster, interval=60, changed=lambda _: None, keys=DIGEST_KEYS)
    return replace(harness.started(), secrets=secrets)


def test_a_settled_bot_is_not_written_and_its_secret_not_read() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.context = restarted(harness)
        harness.cluster.writes.clear()
        harness.cluster.reads.clear()
        await harness.reconcile()
        assert (harness.cluster.writes, harness.cluster.reads) == ([], [])

    play(scenario)


def test_the_deployment_says_which_secret_and_keys_and_never_a_value() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        annotations = harness.cluster.objects[DEPLOYMENT]["metadata"]["annotations"]
        record = json.loads(annotations[ANNOTATION])
        assert record == {
            "secret": SECRET,
            "version": harness.secret_version,
            "keys": DIGEST_KEYS.current.digests(
                NamespacedName("desk", SECRET), CREDENTIALS["data"], CREDENTIALS["data"]
            ),
            "key": DIGEST_KEYS.current.id,
            "revision": harness.revision,
        }
        for value in CREDENTIALS["data"].values():
            assert value not in annotations[ANNOTATION]
            assert hashlib.sha256(value.encode()).hexdigest()[:16] not in annotations[ANNOTATION]

    play(scenario)


def test_a_rotation_is_recorded_while_the_restart_for_it_waits() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        before = running_hash(Children(deployment=harness.cluster.objects[DEPLOYMENT]))
        harness.reported(openPositions=1)
        harness.cluster.put({**CREDENTIALS, "data": {**CREDENTIALS["data"], "api-key": "TkVX"}})
        await harness.settle()
        live = harness.cluster.objects[DEPLOYMENT]
        assert running_hash(Children(deployment=live)) == before
        recorded = json.loads(live["metadata"]["annotations"][ANNOTATION])
        assert recorded["version"] == harness.secret_version
        assert recorded["running"] != recorded["revision"]
        # The next operator knows by it that the restart still waits.
        harness.context = restarted(harness)
        harness.cluster.reads.clear()
        await harness.settle()
        assert harness.cluster.objects[DEPLOYMENT] == live
        assert harness.cluster.reads == []
        assert condition(harness, "RolloutPending") == ("True", "PositionsOpen")

    play(scenario)


@pytest.mark.parametrize("data", [{"api-key": "Cg=="}, {"api-key": None}])
def test_a_stopped_bot_records_no_values_that_its_secret_has_lost(data: JsonObject) -> None:
    async def scenario() -> None:
        harness = Harness({"paused": True})
        await harness.run()
        assert ANNOTATION in harness.cluster.objects[DEPLOYMENT]["metadata"]["annotations"]
        harness.cluster.edit("Secret", "desk", SECRET, data=data)
        await harness.settle()
        # The next operator would start the bot with what the record says.
        harness.context = restarted(harness)
        harness.edit(spec={"paused": False})
        await harness.settle()
        assert (harness.phase, harness.replicas) == ("AwaitingCredentials", 0)

    play(scenario)


@pytest.mark.parametrize("key", [CONFIG_MAP, DEPLOYMENT, SERVICE], ids=lambda key: key[0])
@pytest.mark.parametrize("name", [ADDED_METADATA, ANNOTATION])
def test_a_record_that_somebody_else_has_added_is_removed_once(
    key: tuple[str, str, str], name: str
) -> None:
    """Such as a backup that was made when the bot had more labels."""

    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.cluster.edit(*key, metadata={"annotations": {name: "team"}})
        await harness.settle()
        annotations = harness.cluster.objects[key]["metadata"].get("annotations", {})
        assert annotations.get(name) != "team"

    play(scenario)


def test_nothing_is_recorded_of_a_secret_that_lacks_a_key() -> None:
    lacking = observed(credentials=Credentials(version="7", problem=Reason.KEY_NOT_FOUND))
    (deployment,) = [
        manifest
        for manifest in plan(bot(), lacking, NOW).manifests
        if manifest["kind"] == "Deployment"
    ]
    assert "annotations" not in deployment["metadata"]
