"""How events and listings reach the cache and the queues."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from fake_cluster import FakeCluster, Fault
from operator_harness import bot, bot_body, children_of, in_fake_time
from reconcile_harness import SecretsReadEachTime
from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots.replica_sets import ReplicaSets
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.events import Recorder
from tradingbot_operator.cluster.reading.object_reader import checked
from tradingbot_operator.cluster.reading.trimming import trimmed
from tradingbot_operator.leadership.election import NotLeaderError
from tradingbot_operator.main import Operator
from tradingbot_operator.settings import OperatorSettings

KEY = NamespacedName("desk", "arb")


def operator(cluster: FakeCluster | None = None, **settings: Any) -> Operator:
    subject = Operator(OperatorSettings(registry_url="", **settings))
    subject.api = subject.informer.listings.api = cluster or FakeCluster()
    sets = ReplicaSets(subject.api)
    subject.context = replace(subject.context, replica_sets=sets)
    subject.orphans._api = subject.api
    return subject


def watch_reports(subject: Operator, type_: str | None, obj: JsonObject) -> None:
    """Pass an event on as a watch does: checked and trimmed; nothing of one that can't be read."""
    found = checked(obj, obj["kind"], obj["apiVersion"])
    if found is not None:
        subject.informer._on_event(type_, trimmed(found))


def deployment(**meta: Any) -> JsonObject:
    found = children_of(bot()).deployment
    assert found is not None
    return {**found, "metadata": {**found["metadata"], **meta}}


def due(subject: Operator) -> list[Any]:
    return [*subject.bots._due, *subject.asset_registries._due]


@pytest.mark.parametrize(
    "seen",
    [
        bot_body(),
        deployment(),
        deployment(ownerReferences=None),
        deployment(labels=None),
        {**bot_body(), "kind": "AssetRegistry"},
    ],
    ids=["bot", "child", "child by label", "child by owner", "asset registry"],
)
@pytest.mark.parametrize("type_", ["ADDED", "MODIFIED", "DELETED", None])
def test_every_event_makes_the_object_it_concerns_due_once(
    seen: JsonObject, type_: str | None
) -> None:
    subject = operator()
    watch_reports(subject, type_, seen)
    watch_reports(subject, type_, seen)
    assert due(subject) == [KEY]


def test_a_child_of_nobody_makes_nothing_due() -> None:
    subject = operator()
    foreign = [{"apiVersion": API_VERSION, "kind": "AssetRegistry", "name": "x", "uid": "y"}]
    watch_reports(subject, "ADDED", deployment(labels={"a": "b"}, ownerReferences=foreign))
    assert due(subject) == []


def test_what_a_listing_no_longer_shows_is_gone() -> None:
    cluster = FakeCluster()
    subject = operator(cluster)

    async def main() -> None:
        cluster.put(bot_body())
        cluster.put(deployment())
        await subject.informer.listings.relist()
        assert subject.store.get("Deployment", *KEY) is not None
        subject.bots._due.clear()
        subject.bots._waiting.clear()
        cluster.drop("Deployment", *KEY)
        await subject.informer.listings.list_kind("Deployment")
        assert subject.store.get("Deployment", *KEY) is None
        assert due(subject) == [KEY]

    asyncio.run(main())


def test_only_the_namespaces_of_the_settings_are_listed() -> None:
    cluster = FakeCluster()
    for namespace in ("desk", "other", "third"):
        cluster.put(bot_body(metadata={"namespace": namespace, "uid": namespace}))
    subject = operator(cluster, namespaces="desk, third")
    asyncio.run(subject.informer.listings.relist())
    assert sorted(due(subject)) == [("desk", "arb"), ("third", "arb")]


def test_a_listing_that_fails_is_tried_again_until_it_succeeds() -> None:
    cluster = FakeCluster()
    cluster.put(bot_body())
    cluster.faults = [Fault("list", "Service", KubernetesError(500, "", "away"))]
    subject = operator(cluster)
    in_fake_time(subject.informer.listings.relist())
    assert due(subject) == [KEY]


def test_a_bot_that_is_gone_leaves_nothing_behind() -> None:
    subject = operator()

    async def main() -> None:
        subject.bots.add_after(KEY, 100)
        subject.bots._failures[KEY] = 3
        subject.context.declared["Service", *KEY] = "digest"
        assert await subject._reconcile(KEY) is None
        assert not any((subject.bots._timers, subject.bots._failures, subject.context.declared))

    asyncio.run(main())


def test_nothing_is_written_without_leave_from_the_election() -> None:
    subject = Operator(OperatorSettings(leader_election=True))
    for client in (subject.api, subject.client):
        assert client is not None
        with pytest.raises(NotLeaderError):
            client.before_write()
        assert client.write_seconds == 3
    alone = Operator(OperatorSettings())
    alone.api.before_write()
    assert alone.api.write_seconds is None


def test_a_standby_has_no_backlog_and_one_that_comes_to_lead_looks_at_everything_once() -> None:
    cluster = FakeCluster()
    cluster.put(bot_body())
    cluster.put(bot_body(metadata={"name": "unseen", "uid": "unseen"}))
    subject = operator(cluster, leader_election=True)
    worked: list[Any] = []

    async def note(key: NamespacedName) -> None:
        worked.append(key)

    async def main() -> None:
        subject.bots._work = note
        # Its thread ends in real time, which a loop of fake time does not wait for.
        subject.poller.run = asyncio.Event().wait  # type: ignore[method-assign,assignment]
        watch_reports(subject, "ADDED", bot_body())
        subject._note_leading(leading=False)
        assert gauges(subject) == {"depth": 0, "leader": 0}
        subject._note_leading(leading=True)
        assert gauges(subject) == {"depth": 1, "leader": 1}
        working = asyncio.create_task(subject._work())
        await asyncio.sleep(1)
        working.cancel()
        assert sorted(worked) == [("desk", "arb"), ("desk", "unseen")]
        requested = subject.informer.listings.requested
        assert requested.is_set(), "the children are compared too, while work goes on"

    in_fake_time(main())


def gauges(subject: Operator) -> dict[str, float | None]:
    subject._refresh_gauges()
    value = subject.metrics.registry.get_sample_value
    return {
        "depth": value("tradingbot_operator_queue_depth", {"queue": "bot"}),
        "leader": value("tradingbot_operator_leader"),
    }


OF_ANOTHER = {"apiVersion": "trading.io/v1", "kind": "TradingBot", "name": "other", "uid": "2"}


@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_an_event_wakes_the_bot_of_the_object_whoever_else_is_said_to_own_it(kind: str) -> None:
    subject = operator()
    found = deployment()
    owners = [OF_ANOTHER, *found["metadata"]["ownerReferences"]]
    if kind == "Pod":
        owners = [{**OF_ANOTHER, "controller": True}]
    meta = {**found["metadata"], "ownerReferences": owners}
    watch_reports(subject, "MODIFIED", {**found, "kind": kind, "metadata": meta})
    assert due(subject) == [KEY]


def test_the_echo_of_a_write_of_ours_makes_nothing_due() -> None:
    subject = operator()
    answer = deployment(resourceVersion="7")
    subject.store.put(answer)
    watch_reports(subject, "MODIFIED", answer)
    assert due(subject) == []
    watch_reports(subject, "MODIFIED", deployment(resourceVersion="8"))
    assert due(subject) == [KEY]


def test_an_edit_that_the_answer_to_a_write_has_brought_is_not_lost() -> None:
    cluster = FakeCluster()
    subject = operator(cluster)

    async def main() -> None:
        cluster.put(bot_body())
        subject.context = replace(
            subject.context,
            api=cluster,
            recorder=Recorder(cluster),
            secrets=SecretsReadEachTime(cluster),
        )
        await subject.informer.listings.relist()
        subject.bots._due.clear()
        subject.bots._waiting.clear()
        edited = bot_body(metadata={"generation": 4}, spec={"paused": True})

        def edit() -> None:
            cluster.put(edited)

        cluster.faults = [Fault("merge", "TradingBot", meanwhile=edit)]
        await subject._reconcile(KEY)
        assert due(subject) == [KEY]

    asyncio.run(main())


def test_a_kind_that_is_briefly_gone_is_not_taken_for_deletions() -> None:
    cluster = FakeCluster()
    subject = operator(cluster)

    async def main() -> None:
        cluster.put(bot_body())
        await subject.informer.listings.relist()
        gone = KubernetesError(404, "NotFound", "the server could not find the resource")
        cluster.faults = [Fault("list", "TradingBot", gone)]
        with pytest.raises(KubernetesError):
            await subject.informer.listings.list_kind("TradingBot")
        assert subject.store.get("TradingBot", *KEY) is not None

    asyncio.run(main())


def test_a_listing_of_what_is_known_reads_and_looks_at_nothing() -> None:
    cluster = FakeCluster()
    subject = operator(cluster)

    async def main() -> None:
        cluster.put(bot_body())
        cluster.put(deployment())
        await subject.informer.listings.relist()
        subject.bots._due.clear()
        subject.bots._waiting.clear()
        cluster.reads.clear()
        await subject.informer.listings.relist()
        assert (due(subject), cluster.reads) == ([], [])
        cluster.edit("Deployment", *KEY, spec={"replicas": 5})
        await subject.informer.listings.relist()
        assert (due(subject), cluster.reads) == ([KEY], [("get", "Deployment", "arb")])

    asyncio.run(main())


@pytest.mark.parametrize("type_", ["ADDED", "DELETED", None])
@pytest.mark.parametrize(
    "meta",
    [
        None,
        [],
        "x",
        {"name": ["arb"], "namespace": "desk"},
        {"name": "arb", "namespace": 5},
        {"name": "arb", "namespace": "desk", "labels": [1], "ownerReferences": "x"},
        {"name": "arb", "namespace": "desk", "resourceVersion": "x" * 9, "annotations": [1]},
    ],
)
@pytest.mark.parametrize("kind", ["TradingBot", "AssetRegistry", "Deployment", "Pod"])
def test_an_object_of_wrong_types_raises_nothing(kind: str, meta: Any, type_: str | None) -> None:
    subject = operator()
    hostile = {"apiVersion": "v1", "kind": kind, "metadata": meta, "status": [1]}
    watch_reports(subject, type_, hostile)
    gauges(subject)


def test_an_object_that_can_not_be_read_is_named_once_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject = operator()
    hostile = deployment(labels=["x"], ownerReferences=None)
    for version in ("5", "6"):
        meta = {**hostile["metadata"], "resourceVersion": version}
        watch_reports(subject, "MODIFIED", {**hostile, "metadata": meta})
    assert caplog.text.count("Could not read Deployment desk/arb: metadata.labels") == 1
    assert due(subject) == [KEY], "the bot of its name reconciles it"
    assert unreadable(subject) == 1
    watch_reports(subject, "MODIFIED", deployment(resourceVersion="7"))
    assert unreadable(subject) == 0


def unreadable(subject: Operator) -> float | None:
    subject._refresh_gauges()
    name, labels = "tradingbot_operator_unreadable_objects", {"kind": "Deployment"}
    return subject.metrics.registry.get_sample_value(name, labels)
