"""Whom a pod belongs to, and what is read of it; ReplicaSets are read once."""

import asyncio
from typing import Any

import pytest
from fake_cluster import MANAGED, FakeCluster
from reconcile_harness import SERVER_ERROR, Fault, Harness, condition, play
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator import UNREADABLE
from tradingbot_operator.bots.pods import Pods, read_pod, sort_pods
from tradingbot_operator.bots.replica_sets import MOST_OF_A_BOT, MOST_READS, ReplicaSets
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.resource_paths import path_of

KEY = NamespacedName("desk", "arb")
OWNERS = {"uid-rs": "uid-deployment", "uid-old-rs": "uid-old-deployment"}


def owner(kind: str, name: str, uid: str, *, controller: bool = True) -> list[JsonObject]:
    return [{"kind": kind, "name": name, "uid": uid, "controller": controller}]


def pod(
    name: str = "arb-1",
    *,
    owners: list[JsonObject] | None = None,
    labels: JsonObject | None = None,
    status: JsonObject | None = None,
    **meta: Any,
) -> JsonObject:
    known = {**MANAGED, "trading.io/bot": "arb", "pod-template-hash": "5d4f"}
    references = owners if owners is not None else owner("ReplicaSet", "arb-5d4f", "uid-rs")
    metadata = {"name": name, "namespace": "desk", "uid": f"uid-{name}", "labels": known}
    metadata |= {"ownerReferences": references, **meta}
    if labels is not None:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status or {}}


def whose(found: JsonObject, *, deployment: str | None = "uid-deployment", **fields: Any) -> str:
    pods = sort_pods([found], bot="arb", deployment=deployment, owners=OWNERS, **fields)
    return next((name for name in ("own", "left", "foreign") if getattr(pods, name)), "none")


def test_a_pod_is_the_bot_s_own_if_its_deployment_made_the_replica_set() -> None:
    assert whose(pod()) == "own"
    other = pod(owners=owner("ReplicaSet", "any-name", "uid-rs"))
    assert whose(other) == "own"


def test_a_pod_of_a_deployment_before_is_left_over_and_has_to_go_too() -> None:
    assert whose(pod(owners=owner("ReplicaSet", "arb-5d4f", "uid-old-rs"))) == "left"
    assert whose(pod(), deployment=None) == "left"
    assert whose(pod(owners=[])) == "left"


@pytest.mark.parametrize(
    "found",
    [
        pod(owners=owner("ReplicaSet", "mine-5d4f", "uid-mine")),
        pod(owners=owner("StatefulSet", "arb-5d4f", "uid-rs")),
        pod(owners=[], labels={**MANAGED, "trading.io/bot": "arb"}),
        pod(owners=[], labels={"trading.io/bot": "arb", "pod-template-hash": "5d4f"}),
        pod(owners=owner("ReplicaSet", "arb-5d4f", "uid-rs", controller=False), labels={}),
    ],
    ids=["other set", "other controller", "no hash", "not managed", "no controller"],
)
def test_a_pod_of_somebody_else_is_foreign_whatever_its_labels_say(found: JsonObject) -> None:
    assert whose(found) == "foreign"


def test_no_pod_is_the_bot_s_own_if_the_deployment_is_not() -> None:
    assert whose(pod(), ours=False) == "foreign"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_finished_does_not_count(phase: str) -> None:
    assert whose(pod(status={"phase": phase})) == "none"


def test_the_current_pod_is_the_newest_that_is_not_being_deleted() -> None:
    going = {"deletionTimestamp": "2026-03-04T12:00:30Z"}
    pods = [
        read_pod(pod("old", creationTimestamp="2026-03-04T10:00:00Z")),
        read_pod(pod("new", creationTimestamp="2026-03-04T11:00:00Z")),
        read_pod(pod("newest", creationTimestamp="2026-03-04T12:00:00Z", **going)),
    ]
    current = Pods(own=tuple(pods)).current
    assert current is not None
    assert current.name == "new"
    assert Pods().current is None


def test_why_a_pod_does_not_run_is_in_kubernetes_own_words() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    container = {"name": "bot", "state": {"waiting": waiting}}
    assert read_pod(pod(status={"containerStatuses": [container]})).problem == (
        "ImagePullBackOff: not found"
    )
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    assert read_pod(pod(status={"conditions": [unscheduled]})).problem == "Unschedulable"


def replica_set(number: int, *, deployment: str | None = "uid-deployment") -> JsonObject:
    references = owner("Deployment", "arb", deployment) if deployment else []
    labels = {**MANAGED, "trading.io/bot": "arb"}
    meta = {"name": f"arb-{number}", "namespace": "desk", "uid": f"uid-{number}"}
    meta |= {"labels": labels, "ownerReferences": references}  # type: ignore[dict-item]
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta}


def pod_of(number: int) -> JsonObject:
    return pod(owners=owner("ReplicaSet", f"arb-{number}", f"uid-{number}"))


def test_each_replica_set_is_read_once_while_its_deployment_lives() -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        cluster.put(replica_set(1))
        known = ReplicaSets(cluster)
        for _ in range(3):
            owners = await known.owners(KEY, [pod_of(1), pod_of(1)], "uid-deployment")
            assert owners == {"uid-1": "uid-deployment"}
        assert cluster.reads == [("get", "ReplicaSet", "arb-1")]

    play(scenario)


def test_an_orphan_is_read_again_since_a_deployment_may_have_adopted_it() -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        cluster.put(replica_set(1, deployment=None))
        known = ReplicaSets(cluster)
        assert await known.owners(KEY, [pod_of(1)], "uid-deployment") == {"uid-1": ""}
        cluster.put(replica_set(1))
        owners = await known.owners(KEY, [pod_of(1)], "uid-deployment")
        assert owners == {"uid-1": "uid-deployment"}

    play(scenario)


def test_a_replica_set_of_another_uid_says_nothing_of_the_pod() -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        cluster.put({**replica_set(1), "metadata": {**replica_set(1)["metadata"], "uid": "other"}})
        assert await ReplicaSets(cluster).owners(KEY, [pod_of(1)], "uid-deployment") == {}

    play(scenario)


def test_all_replica_sets_are_learned_by_one_list_and_those_of_others_passed_over() -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        for number in (1, 2):
            cluster.put(replica_set(number))
        unlabelled = replica_set(3)
        unlabelled["metadata"]["labels"] = MANAGED
        cluster.put(unlabelled)
        known = ReplicaSets(cluster)
        await known.learn(["desk", "other"])
        owners = await known.owners(KEY, [pod_of(1), pod_of(2)], "uid-deployment")
        assert (set(owners), cluster.reads) == ({"uid-1", "uid-2"}, [])

    play(scenario)


def test_a_replica_set_without_a_uid_is_passed_over() -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        unread = replica_set(1)
        del unread["metadata"]["uid"]
        cluster.put({**unread, UNREADABLE: "metadata.uid is not valid"})
        cluster.put(replica_set(2))
        known = ReplicaSets(cluster)
        await known.learn([""])
        assert await known.owners(KEY, [], None) == {"uid-2": "uid-deployment"}

    play(scenario)


def test_only_so_many_replica_sets_of_a_bot_are_remembered_and_none_once_it_is_gone() -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        for number in range(MOST_OF_A_BOT + 5):
            cluster.put(replica_set(number))
        known = ReplicaSets(cluster)
        await known.learn([""])
        assert len(await known.owners(KEY, [], "uid-deployment")) == MOST_OF_A_BOT
        known.forget(KEY)
        assert await known.owners(KEY, [], "uid-deployment") == {}

    play(scenario)


def test_an_owner_that_can_not_be_read_is_an_error_only_for_those_who_must_know() -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        cluster.faults = [Fault("get", "ReplicaSet", SERVER_ERROR, times=2)]
        known = ReplicaSets(cluster)
        with pytest.raises(KubernetesError):
            await known.owners(KEY, [pod_of(1)], "uid-deployment")
        assert await known.owners(KEY, [pod_of(1)], "uid-deployment", must_know=False) == {}

    play(scenario)


def test_a_foreign_pod_is_told_of_and_neither_believed_nor_touched() -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        stranger = pod("stranger", owners=[], labels={**MANAGED, "trading.io/bot": "arb"})
        harness.cluster.put(stranger)
        await harness.settle()
        assert condition(harness, "ForeignPods") == ("True", "NotOurs")
        assert ("Warning", "ForeignPods") in harness.cluster.events()
        assert harness.reports.watched["desk", "arb"].address == "10.244.0.7"
        harness.edit(spec={"paused": True})
        await harness.run()
        assert harness.phase == "Paused"
        assert ("Pod", "desk", "stranger") in harness.cluster.objects

    play(scenario)


@pytest.mark.parametrize(
    "name", ["../../../api/v1/pods?watch=1#", "arb-/../x", "other-5d4f", "arb-" + "x" * 300, ".."]
)
def test_a_pod_can_not_have_the_operator_read_anything_else(name: str) -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        found = {**pod_of(1)}
        found["metadata"]["ownerReferences"][0]["name"] = name
        owners = await ReplicaSets(cluster).owners(
            NamespacedName("desk", "arb"), [found], "uid-deployment"
        )
        assert (owners, cluster.reads) == ({}, [])

    asyncio.run(scenario())


def test_a_name_is_one_part_of_a_path_whatever_it_is() -> None:
    path = path_of("ReplicaSet", "desk", "../x?watch=1#")
    assert path == "apis/apps/v1/namespaces/desk/replicasets/..%2Fx%3Fwatch%3D1%23"
    with pytest.raises(ValueError, match="name of an object"):
        path_of("ReplicaSet", "desk", "..")


def test_so_many_pods_of_others_push_the_bots_own_out_of_no_answer() -> None:
    async def scenario() -> None:
        cluster = FakeCluster()
        cluster.put(replica_set(0))
        pods = [pod_of(number) for number in range(40)]
        sets = ReplicaSets(cluster)
        owners = await sets.owners(KEY, [pod_of(0)], "uid-deployment")
        many = await sets.owners(KEY, pods, "uid-deployment")
        assert owners.items() <= many.items()
        assert len(cluster.reads) <= 1 + MOST_READS

    asyncio.run(scenario())
