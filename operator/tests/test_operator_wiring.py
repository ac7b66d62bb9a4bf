"""How events and listings reach the store and the queues."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from fake_cluster import FakeCluster, Fault
from operator_harness import bot, bot_body, children_of, in_fake_time
from tradingbot_api import API_VERSION
from tradingbot_api.model import JsonObject
from tradingbot_operator.kube import KubernetesError
from tradingbot_operator.leader_election import NotLeaderError
from tradingbot_operator.main import Operator
from tradingbot_operator.recorder import Recorder
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

    async def note(key: tuple[str, str]) -> None:
        worked.append(key)

    async def main() -> None:
        subject.bots._work = note
        subject._seen("ADDED", bot_body())
        subject._note_leading(leading=False)
        assert gauges(subject) == {"depth": 0, "leader": 0}
        subject._note_leading(leading=True)
        assert gauges(subject) == {"depth": 1, "leader": 1}
        working = asyncio.create_task(subject._work())
        await asyncio.sleep(1)
        working.cancel()
        assert sorted(worked) == [("desk", "arb"), ("desk", "unseen")]
        assert subject._list_anew.is_set(), "the children are compared too, while work goes on"

    in_fake_time(main())


def gauges(subject: Operator) -> dict[str, float | None]:
    subject._refresh_gauges()
    value = subject.metrics.registry.get_sample_value
    return {
        "depth": value("tradingbot_operator_queue_depth", {"queue": "bot"}),
        "leader": value("tradingbot_operator_leader"),
    }


def test_the_echo_of_a_write_of_ours_makes_nothing_due() -> None:
    subject = operator()
    answer = deployment(resourceVersion="7")
    subject.store.put(answer)
    subject._seen("MODIFIED", answer)
    assert due(subject) == []
    subject._seen("MODIFIED", deployment(resourceVersion="8"))
    assert due(subject) == [KEY]


def test_an_edit_that_the_answer_to_a_write_has_brought_is_not_lost() -> None:
    cluster = FakeCluster()
    subject = operator(cluster)

    async def main() -> None:
        cluster.put(bot_body())
        subject.context = replace(
            subject.context, api=cluster, recorder=Recorder(cluster), secrets=None
        )
        await subject._prime()
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
        await subject._prime()
        gone = KubernetesError(404, "NotFound", "the server could not find the resource")
        cluster.faults = [Fault("list", "TradingBot", gone)]
        with pytest.raises(KubernetesError):
            await subject._list("TradingBot")
        assert subject.store.get("TradingBot", *KEY) is not None

    asyncio.run(main())


def test_a_listing_of_what_is_known_reads_and_looks_at_nothing() -> None:
    cluster = FakeCluster()
    subject = operator(cluster)

    async def main() -> None:
        cluster.put(bot_body())
        cluster.put(deployment())
        await subject._prime()
        subject.bots._due.clear()
        subject.bots._waiting.clear()
        cluster.reads.clear()
        await subject._prime()
        assert (due(subject), cluster.reads) == ([], [])
        cluster.edit("Deployment", *KEY, spec={"replicas": 5})
        await subject._prime()
        assert (due(subject), cluster.reads) == ([KEY], [("get", "Deployment", "arb")])

    asyncio.run(main())
