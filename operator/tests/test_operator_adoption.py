"""Children without a controller: adopted if they are the bot's, stopped first if they differ."""

import copy
import json
from typing import Any

import pytest
from operator_harness import NOW, bot_body
from reconcile_harness import (
    BOT,
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    SERVICE,
    Harness,
    condition,
    play,
    risk,
    trading,
)
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.apply_children import BotGoneError
from tradingbot_operator.bots.reconcile import ChildRefusedError
from tradingbot_operator.cluster.client import KubernetesError

CHILDREN = (CONFIG_MAP, DEPLOYMENT, SERVICE)


async def restored(**patch: Any) -> Harness:
    """Return a bot restored from a backup: children without an owner, and no status."""
    harness = await trading()
    for key in CHILDREN:
        harness.cluster.edit(*key, metadata={"ownerReferences": None})
    harness.cluster.put(bot_body(metadata={"uid": "uid-restored"}, **patch))
    harness.context = harness.started()
    harness.cluster.writes.clear()
    harness.cluster.posted.clear()
    return harness


def owners(harness: Harness) -> set[str]:
    return {
        owner["uid"]
        for key in CHILDREN
        for owner in harness.cluster.objects[key]["metadata"].get("ownerReferences") or ()
    }


def test_children_that_are_as_declared_are_adopted_by_one_write_each_and_without_a_restart() -> (
    None
):
    async def scenario() -> None:
        harness = await restored()
        pod = copy.deepcopy(harness.cluster.objects[POD])
        await harness.reconcile()
        applied = [kind for verb, kind, _ in harness.cluster.writes if verb == "apply"]
        assert sorted(applied) == ["ConfigMap", "Deployment", "Service"]
        assert owners(harness) == {"uid-restored"}
        assert harness.cluster.events().count(("Normal", "Adopted")) == 3
        harness.controllers()
        assert harness.cluster.objects[POD]["metadata"]["uid"] == pod["metadata"]["uid"]
        harness.reported()
        await harness.settle()
        assert (harness.phase, harness.replicas) == ("Running", 1)

    play(scenario)


def test_a_deployment_that_differs_is_stopped_before_it_is_started_as_declared() -> None:
    async def scenario() -> None:
        image = "ghcr.io/example/arb:2.0"
        harness = await restored(spec={"strategy": {"image": image}})
        await harness.reconcile()
        assert (harness.replicas, harness.phase) == (0, "Stopping")
        harness.controllers()
        assert POD not in harness.cluster.objects
        await harness.run()
        (container,) = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
        assert (harness.phase, container["image"]) == ("Running", image)

    play(scenario)


def test_a_bot_that_is_paused_adopts_and_stops() -> None:
    async def scenario() -> None:
        harness = await restored(spec={"paused": True})
        await harness.run()
        assert (harness.phase, harness.replicas, owners(harness)) == ("Paused", 0, {"uid-restored"})

    play(scenario)


@pytest.mark.parametrize("key", CHILDREN, ids=lambda key: key[0])
def test_an_adoption_is_of_the_very_object_that_was_read(key: tuple[str, str, str]) -> None:
    async def scenario() -> None:
        harness = await restored()
        sent: list[JsonObject] = []
        apply = harness.cluster.apply

        async def noted(manifest: JsonObject, *, new: bool = False) -> JsonObject:
            sent.append(manifest)
            return await apply(manifest, new=new)

        harness.cluster.apply = noted  # type: ignore[method-assign]
        before = copy.deepcopy(harness.cluster.objects[key]["metadata"])
        await harness.reconcile()
        (meta,) = [manifest["metadata"] for manifest in sent if manifest["kind"] == key[0]]
        assert (meta["uid"], meta["resourceVersion"]) == (before["uid"], before["resourceVersion"])

    play(scenario)


@pytest.mark.parametrize(
    "now",
    [None, {"uid": "uid-third"}, {"deletionTimestamp": "2026-03-04T12:00:00Z"}],
    ids=["gone", "made again", "being deleted"],
)
def test_nothing_is_adopted_by_a_bot_that_is_no_more(now: JsonObject | None) -> None:
    async def scenario() -> None:
        harness = await restored()

        def meanwhile() -> None:
            if now is None:
                harness.cluster.drop(*BOT)
            else:
                harness.edit(metadata=now)

        harness.meanwhile("get", "TradingBot", meanwhile)
        with pytest.raises(BotGoneError):
            await harness.reconcile()
        assert (harness.cluster.writes, owners(harness)) == ([], set())

    play(scenario)


def test_nothing_is_adopted_while_the_bot_can_not_be_asked_for() -> None:
    async def scenario() -> None:
        harness = await restored()
        harness.fail("get", "TradingBot")
        with pytest.raises(KubernetesError):
            await harness.reconcile()
        assert owners(harness) == set()

    play(scenario)


OTHER_CONTROLLER = {"ownerReferences": [{"kind": "Thing", "uid": "uid-thing", "controller": True}]}
OTHER_LABELS = [
    {"labels": {"trading.io/bot": "another"}},
    {"labels": {"app.kubernetes.io/managed-by": "helm"}},
]


@pytest.mark.parametrize(
    ("key", "patch"),
    [
        *((key, OTHER_CONTROLLER) for key in CHILDREN),
        *((key, patch) for key in CHILDREN if key != DEPLOYMENT for patch in OTHER_LABELS),
    ],
    ids=str,
)
def test_a_child_of_others_or_without_our_labels_is_a_conflict_and_left_alone(
    key: tuple[str, str, str], patch: JsonObject
) -> None:
    async def scenario() -> None:
        harness = await restored()
        harness.cluster.edit(*key, metadata=patch)
        before = copy.deepcopy(harness.cluster.objects[key])
        await harness.run()
        assert harness.cluster.objects[key] == before
        assert (harness.phase, condition(harness, "Ready")) == ("Failed", ("False", "NameConflict"))

    play(scenario)


@pytest.mark.parametrize("patch", [*OTHER_LABELS, {"labels": None}], ids=str)
def test_a_deployment_can_not_be_taken_out_of_our_hands_by_its_labels(patch: JsonObject) -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        harness.cluster.edit(*DEPLOYMENT, metadata={"ownerReferences": None, **patch})
        harness.edit(spec={"paused": True})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Paused", 0)
        assert owners(harness) == {"uid-arb"}

    play(scenario)


async def restored_halted(until: Any = "2026-03-05T00:00:00Z", **parts: Any) -> Harness:
    harness = await restored(**parts)
    body = json.loads(harness.cluster.objects[CONFIG_MAP]["data"]["bot.json"])
    text = json.dumps({**body, "haltedUntil": until})
    harness.cluster.edit(*CONFIG_MAP, data={"bot.json": text})
    return harness


def test_a_halt_is_read_back_from_bot_json_if_the_status_is_empty() -> None:
    async def scenario() -> None:
        harness = await restored_halted()
        await harness.reconcile()
        assert harness.replicas == 0
        await harness.run()
        assert (harness.phase, risk(harness)["haltedSince"]) == ("Halted", "2026-03-04T12:00:00Z")
        assert harness.bot_json["haltedUntil"] == "2026-03-05T00:00:00Z"
        assert "bot.json records" in risk(harness)["haltReason"]

    play(scenario)


@pytest.mark.parametrize("until", ["2026-03-04T12:00:00Z", "2026-03-03T00:00:00Z", "soon", 7, None])
def test_a_halt_in_bot_json_that_is_past_or_no_time_is_ignored(until: Any) -> None:
    async def scenario() -> None:
        harness = await restored_halted(until)
        await harness.run()
        assert (harness.phase, "haltedSince" in risk(harness)) == ("Running", False)
        assert "haltedUntil" not in harness.bot_json

    play(scenario)


def test_a_halt_in_bot_json_is_ignored_if_the_status_tells_of_the_day() -> None:
    async def scenario() -> None:
        known = {"tradingDay": "2026-03-04", "dayEndsAt": "2026-03-05T00:00:00Z"}
        harness = await restored_halted(status={"risk": known})
        await harness.run()
        assert (harness.phase, "haltedSince" in risk(harness)) == ("Running", False)

    play(scenario)


@pytest.mark.parametrize("since", ["garbage", 7, ["2026-03-04T12:00:00Z"]], ids=str)
def test_a_latch_whose_time_can_not_be_read_holds(since: Any) -> None:
    async def scenario() -> None:
        known = {"tradingDay": "2026-03-04", "dayEndsAt": "2026-03-05T00:00:00Z"}
        harness = await restored(status={"risk": {**known, "haltedSince": since}})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Halted", 0)
        harness.now = NOW.replace(day=5, hour=0)
        await harness.run()
        assert harness.phase == "Running"

    play(scenario)


def test_a_bot_whose_bot_json_can_not_be_read_does_not_start_before_its_halt_is_known() -> None:
    async def scenario() -> None:
        harness = await restored_halted()
        harness.cluster.edit(*DEPLOYMENT, spec={"replicas": 0})
        harness.controllers()
        labels = harness.cluster.objects[CONFIG_MAP]["metadata"]["labels"]
        harness.cluster.edit(*CONFIG_MAP, metadata={"labels": None})
        harness.refuse("get", "ConfigMap")
        with pytest.raises(ChildRefusedError):
            await harness.reconcile()
        assert harness.replicas == 0
        harness.cluster.faults = []
        harness.cluster.edit(*CONFIG_MAP, metadata={"labels": labels})
        await harness.run()
        assert (harness.phase, harness.replicas) == ("Halted", 0)

    play(scenario)
