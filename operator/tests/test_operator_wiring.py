"""How events and listings reach the store and the queues."""

import asyncio
from typing import Any

import pytest
from fake_cluster import FakeCluster, Fault
from operator_harness import bot, bot_body, children_of, in_fake_time
from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject
from tradingbot_operator.kube import KubernetesError
from tradingbot_operator.main import Operator
from tradingbot_operator.settings import OperatorSettings

KEY = ("desk", "arb")


def operator(cluster: FakeCluster | None = None, **settings: Any) -> Operator:
    subject = Operator(OperatorSettings(registry_url="", **settings))
    subject.api = cluster or FakeCluster()
    return subject


def deployment(**meta: Any) -> JsonObject:
    found = children_of(bot()).deployment
    assert found is not None
    return {**found, "metadata": {**found["metadata"], **meta}}


def due(subject: Operator) -> list[Any]:
    return [*subject.bots._due, *subject.catalogues._due]


@pytest.mark.parametrize(
    "seen",
    [
        bot_body(),
        deployment(),
        deployment(ownerReferences=None),
        deployment(labels=None),
        {**bot_body(), "kind": "AssetRegistry"},
    ],
    ids=["bot", "child", "child by label", "child by owner", "catalogue"],
)
@pytest.mark.parametrize("type_", ["ADDED", "MODIFIED", "DELETED", None])
def test_every_event_makes_the_object_it_concerns_due_once(
    seen: JsonObject, type_: str | None
) -> None:
    subject = operator()
    subject._seen(type_, seen)
    subject._seen(type_, seen)
    assert due(subject) == [KEY]


def test_a_child_of_nobody_makes_nothing_due() -> None:
    subject = operator()
    foreign = [{"apiVersion": API_VERSION, "kind": "AssetRegistry", "name": "x", "uid": "y"}]
    subject._seen("ADDED", deployment(labels={"a": "b"}, ownerReferences=foreign))
    assert due(subject) == []


def test_what_a_listing_no_longer_shows_is_gone() -> None:
    cluster = FakeCluster()
    subject = operator(cluster)

    async def main() -> None:
        cluster.put(bot_body())
        cluster.put(deployment())
        await subject._prime()
        assert subject.store.get("Deployment", *KEY) is not None
        subject.bots._due.clear()
        subject.bots._waiting.clear()
        cluster.delete("Deployment", *KEY)
        await subject._list("Deployment")
        assert subject.store.get("Deployment", *KEY) is None
        assert due(subject) == [KEY]

    asyncio.run(main())


def test_only_the_namespaces_of_the_settings_are_listed() -> None:
    cluster = FakeCluster()
    for namespace in ("desk", "other", "third"):
        cluster.put(bot_body(metadata={"namespace": namespace, "uid": namespace}))
    subject = operator(cluster, namespaces="desk, third")
    asyncio.run(subject._prime())
    assert sorted(due(subject)) == [("desk", "arb"), ("third", "arb")]


def test_a_listing_that_fails_is_tried_again_until_it_succeeds() -> None:
    cluster = FakeCluster()
    cluster.put(bot_body())
    cluster.faults = [Fault("list", "Service", KubernetesError(500, "", "away"))]
    subject = operator(cluster)
    in_fake_time(subject._prime())
    assert due(subject) == [KEY]
    assert subject._primed


def test_a_bot_that_is_gone_leaves_nothing_behind() -> None:
    subject = operator()

    async def main() -> None:
        subject.bots.add_after(KEY, 100)
        subject.bots._failures[KEY] = 3
        subject.context.declared["Service", *KEY] = "digest"
        assert await subject._reconcile(KEY) is None
        assert not any((subject.bots._timers, subject.bots._failures, subject.context.declared))

    asyncio.run(main())
