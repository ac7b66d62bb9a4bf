"""The children that a bot has only if its spec asks for them: a volume and a NetworkPolicy."""

from contextlib import suppress

import pytest
from operator_harness import bot_body, merged
from reconcile_harness import (
    BOT,
    DEPLOYMENT,
    KEY,
    Harness,
    condition,
    play,
)
from tradingbot_api.model import JsonObject
from tradingbot_operator import BOT_UID
from tradingbot_operator.bots.context import ReconcileError

CLAIM = ("PersistentVolumeClaim", "desk", "arb-data")
POLICY = ("NetworkPolicy", "desk", "arb")
STORED = {"pod": {"storage": {"size": "10Gi"}}}
RETAINED = {"pod": {"storage": {"size": "10Gi", "retain": True}}}
RESTRICTED = {"pod": {"networkPolicy": "Restricted"}}
OTHERS: dict[tuple[str, str, str], JsonObject] = {
    CLAIM: {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
    POLICY: {"spec": {"podSelector": {}}},
}


def others(key: tuple[str, str, str]) -> JsonObject:
    """An object of somebody else with the name of a child."""
    kind, namespace, name = key
    meta = {"name": name, "namespace": namespace, "uid": "uid-others"}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **OTHERS[key]}


def owners(harness: Harness) -> list[str]:
    """The uids of the owners of the claim."""
    found = harness.cluster.objects[CLAIM]["metadata"].get("ownerReferences") or []
    return [owner["uid"] for owner in found]


async def running(spec: JsonObject) -> Harness:
    harness = Harness(spec)
    await harness.run()
    assert harness.replicas == 1
    return harness


def test_the_optional_children_are_made_before_the_pod_and_then_left_alone() -> None:
    async def scenario() -> None:
        harness = Harness(merged(STORED, RESTRICTED))
        await harness.reconcile()
        kinds = [kind for verb, kind, _ in harness.cluster.writes if verb == "apply"]
        assert kinds == [
            *("ConfigMap", "Service", "PersistentVolumeClaim", "NetworkPolicy", "Deployment"),
        ]
        await harness.run()
        status = harness.cluster.objects[BOT]["status"]
        assert [child["kind"] for child in status["deployedResources"]] == [
            *("ConfigMap", "Deployment", "Service", "PersistentVolumeClaim", "NetworkPolicy"),
        ]

    play(scenario)


def test_a_bot_without_optional_children_reads_none() -> None:
    async def scenario() -> None:
        harness = await running({})
        kinds = {kind for _, kind, _ in harness.cluster.reads}
        assert not {"PersistentVolumeClaim", "NetworkPolicy"} & kinds

    play(scenario)


# ---- whose they are


@pytest.mark.parametrize(("key", "spec"), [(CLAIM, STORED), (POLICY, RESTRICTED)], ids=str)
def test_an_object_of_somebody_else_is_never_touched(
    key: tuple[str, str, str], spec: JsonObject
) -> None:
    async def scenario() -> None:
        harness = Harness(spec)
        harness.cluster.put(others(key))
        before = harness.cluster.objects[key]
        await harness.settle()
        assert harness.cluster.objects[key] == before
        assert condition(harness, "Ready") == ("False", "NameConflict")

    play(scenario)


@pytest.mark.parametrize("key", [CLAIM, POLICY], ids=str)
def test_an_object_of_somebody_else_does_not_matter_to_a_bot_that_needs_none(
    key: tuple[str, str, str],
) -> None:
    async def scenario() -> None:
        harness = Harness()
        harness.cluster.put(others(key))
        await harness.run()
        assert harness.replicas == 1
        assert harness.cluster.objects[key]["metadata"]["uid"] == "uid-others"

    play(scenario)


def test_a_retained_claim_has_no_owner_and_is_adopted_once_by_a_bot_made_again() -> None:
    async def scenario() -> None:
        harness = await running(RETAINED)
        assert owners(harness) == []
        assert not [reason for _, reason in harness.cluster.events() if reason == "Adopted"]

        # As after its deletion: all that the bot owned is gone.
        kept = harness.cluster.objects[CLAIM]
        again = Harness(RETAINED)
        again.cluster.put(merged(bot_body(RETAINED), {"metadata": {"uid": "uid-second"}}))
        again.cluster.put(kept)
        await again.run()
        claim = again.cluster.objects[CLAIM]["metadata"]
        assert (claim["uid"], claim["annotations"][BOT_UID]) == (
            kept["metadata"]["uid"],
            "uid-second",
        )
        reasons = [reason for _, reason in again.cluster.events()]
        assert reasons.count("Adopted") == 1

    play(scenario)


def test_a_claim_gains_and_loses_its_owner_with_retain() -> None:
    async def scenario() -> None:
        harness = await running(STORED)
        assert owners(harness) == ["uid-arb"]
        harness.edit(spec={"pod": {"storage": {"retain": True}}})
        await harness.settle()
        assert owners(harness) == []
        harness.edit(spec={"pod": {"storage": {"retain": False}}})
        await harness.settle()
        assert owners(harness) == ["uid-arb"]

    play(scenario)


# ---- what changes


def test_a_larger_size_is_a_patch_of_the_claim_and_no_restart() -> None:
    async def scenario() -> None:
        harness = await running(STORED)
        template = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]
        harness.edit(spec={"pod": {"storage": {"size": "20Gi"}}})
        await harness.settle()
        requests = harness.cluster.objects[CLAIM]["spec"]["resources"]["requests"]
        assert requests == {"storage": "20Gi"}
        assert harness.cluster.objects[DEPLOYMENT]["spec"]["template"] == template

    play(scenario)


def test_a_volume_that_is_no_longer_wanted_is_unmounted_and_kept() -> None:
    async def scenario() -> None:
        harness = await running(STORED)
        harness.edit(spec={"pod": None})
        await harness.run()
        assert CLAIM in harness.cluster.objects
        assert owners(harness) == ["uid-arb"]
        assert not [verb for verb, kind, _ in harness.cluster.writes if kind == CLAIM[0]]

    play(scenario)


def test_a_policy_that_is_no_longer_wanted_is_deleted() -> None:
    async def scenario() -> None:
        harness = await running(RESTRICTED)
        assert POLICY in harness.cluster.objects
        harness.edit(spec={"pod": None})
        await harness.settle()
        assert POLICY not in harness.cluster.objects

    play(scenario)


def test_a_policy_lets_a_bot_that_waits_for_its_restart_reach_its_old_exchange() -> None:
    def ports(harness: Harness) -> list[int]:
        egress = harness.cluster.objects[POLICY]["spec"]["egress"]
        return [port["port"] for port in egress[1]["ports"]]

    async def scenario() -> None:
        old = {"baseURL": "https://old.example:8443", "proxyURL": "http://old.example:3128"}
        harness = await running({**RESTRICTED, "exchange": old})
        harness.reported(openPositions=1)
        await harness.settle()
        new = {"baseURL": "https://new.example:9443", "proxyURL": None}
        harness.edit(spec={"exchange": new})
        await harness.settle()
        assert condition(harness, "RolloutPending")[0] == "True"
        assert ports(harness) == [3128, 8443, 9443]
        harness.reported(openPositions=0)
        await harness.run()
        assert ports(harness) == [9443]

    play(scenario)


def test_a_policy_that_somebody_opens_is_restored() -> None:
    async def scenario() -> None:
        harness = await running(RESTRICTED)
        before = harness.cluster.objects[POLICY]["spec"]
        harness.cluster.edit(*POLICY, spec={"egress": [{}], "ingress": [{}]})
        await harness.settle()
        assert harness.cluster.objects[POLICY]["spec"] == before

    play(scenario)


# ---- refusals


@pytest.mark.parametrize(("key", "spec"), [(CLAIM, STORED), (POLICY, RESTRICTED)], ids=str)
def test_no_pod_starts_without_a_child_that_it_needs(
    key: tuple[str, str, str], spec: JsonObject
) -> None:
    async def scenario() -> None:
        harness = Harness(spec)
        harness.refuse("apply", key[0], "exceeded quota")
        with pytest.raises(ReconcileError):
            await harness.settle()
        assert DEPLOYMENT not in harness.cluster.objects
        assert condition(harness, "ChildrenApplied") == ("False", "Refused")

    play(scenario)


def test_a_volume_that_can_not_grow_does_not_keep_the_bot_from_its_new_limits() -> None:
    async def scenario() -> None:
        harness = await running({**STORED, "updatePolicy": "Immediate"})
        harness.refuse("apply", CLAIM[0], "only dynamically provisioned pvc can be resized")
        harness.edit(spec={"pod": {"storage": {"size": "20Gi"}, "args": ["-v"]}})
        with pytest.raises(ReconcileError):
            await harness.reconcile()
        (container,) = harness.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["-v"]

    play(scenario)


@pytest.mark.parametrize("kind", [CLAIM[0], POLICY[0]])
@pytest.mark.parametrize("verb", ["apply", "get", "delete"])
def test_a_stop_depends_on_neither(kind: str, verb: str) -> None:
    async def scenario() -> None:
        harness = await running(merged(STORED, RESTRICTED))
        harness.refuse(verb, kind)
        harness.cluster.drop(*(CLAIM if kind == CLAIM[0] else POLICY))
        harness.edit(spec={"paused": True, "pod": {"networkPolicy": None}})
        with suppress(ReconcileError):
            await harness.reconcile()
        assert harness.replicas == 0

    play(scenario)


def test_a_deleted_bot_stops_whatever_becomes_of_its_volume() -> None:
    async def scenario() -> None:
        harness = await running(RETAINED)
        for verb in ("apply", "merge", "get", "delete"):
            harness.refuse(verb, CLAIM[0])
        harness.delete()
        await harness.reconcile()
        assert harness.replicas == 0
        harness.controllers()
        await harness.reconcile()
        assert BOT not in harness.cluster.objects
        assert CLAIM in harness.cluster.objects
        assert KEY == ("desk", "arb")

    play(scenario)
