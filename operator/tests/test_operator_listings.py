"""Listings: the requests, the reported events, and readiness when they fail."""

import asyncio
from typing import Any

from fake_cluster import FakeCluster, Fault
from operator_harness import bot_body, in_fake_time
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster.cache import Store
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.listings import Listings
from tradingbot_operator.cluster.watching.kopf_wiring import watch_settings

DOWN = KubernetesError(503, "", "the API server is away")
KEY = ("TradingBot", "desk", "arb")


class Subject:
    """Listings of a cluster, and the events that they report."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.store = Store()
        self.told: list[tuple[Any, str]] = []
        self.now = 0.0
        self.listings = Listings(
            cluster, self.store, self._seen, namespaces=(), interval=300, clock=lambda: self.now
        )

    def _seen(self, type_: str | None, obj: JsonObject) -> None:
        self.told.append((type_, obj["metadata"]["name"]))
        if type_ == "DELETED":
            self.store.remove(obj)
        else:
            self.store.put(obj)


def with_a_bot() -> Subject:
    cluster = FakeCluster()
    cluster.put(bot_body())
    return Subject(cluster)


def test_a_kind_that_can_not_be_listed_does_not_hold_up_the_others() -> None:
    subject = with_a_bot()
    subject.cluster.faults = [Fault("list", "AssetRegistry", DOWN, times=3)]

    async def main() -> None:
        listing = asyncio.create_task(subject.listings.relist())
        await asyncio.sleep(0.1)
        assert not listing.done()
        assert subject.told == [("ADDED", "arb")]
        assert "away" in subject.listings.unready()
        await listing

    in_fake_time(main())


def test_what_is_lost_while_another_kind_fails_is_listed_all_the_same() -> None:
    subject = with_a_bot()

    async def main() -> None:
        following = asyncio.create_task(subject.listings.resync_loop())
        await subject.listings.synced.wait()
        subject.cluster.faults = [Fault("list", "AssetRegistry", DOWN, times=100)]
        subject.listings.requested.set()
        await asyncio.sleep(10)
        subject.cluster.edit(*KEY, spec={"paused": True})
        subject.listings.requested.set()
        await asyncio.sleep(40)
        assert subject.told == [("ADDED", "arb"), ("ADDED", "arb")]
        following.cancel()

    in_fake_time(main())


def test_readiness_says_when_nothing_could_be_listed_for_long() -> None:
    subject = with_a_bot()

    async def main() -> None:
        assert subject.listings.unready() == "the API server has not been listed yet"
        following = asyncio.create_task(subject.listings.resync_loop())
        await subject.listings.synced.wait()
        await asyncio.sleep(1)
        assert subject.listings.unready() == ""
        subject.cluster.faults = [Fault("list", "Service", DOWN, times=100)]
        subject.listings.requested.set()
        await asyncio.sleep(1)
        subject.now = 901.0
        assert "not been listed for 901 s: the API server is away" in subject.listings.unready()
        subject.cluster.faults = []
        await asyncio.sleep(40)
        assert subject.listings.unready() == ""
        following.cancel()

    in_fake_time(main())


def test_nothing_counts_as_gone_while_something_could_not_be_identified() -> None:
    subject = with_a_bot()

    async def main() -> None:
        await subject.listings.relist()
        subject.cluster.put(bot_body(metadata={"name": "other", "uid": "other"}))
        subject.cluster.drop(*KEY)

        def unidentified() -> None:
            subject.cluster.on_unidentified("TradingBot", 1)

        subject.cluster.faults = [Fault("list", "TradingBot", meanwhile=unidentified)]
        await subject.listings.list_kind("TradingBot")
        assert subject.told == [("ADDED", "arb"), ("ADDED", "other")]
        await subject.listings.list_kind("TradingBot")
        assert subject.told[-1] == ("DELETED", "arb")

    in_fake_time(main())


def test_an_object_of_which_nothing_can_be_made_holds_up_no_listing() -> None:
    subject = with_a_bot()

    async def main() -> None:
        await subject.listings.relist()
        subject.cluster.put(bot_body(metadata={"name": "other", "uid": "other"}))
        error = KubernetesError(200, "NoObject", "200 without an object")
        subject.cluster.faults = [Fault("get", "TradingBot", error)]
        await subject.listings.list_kind("TradingBot")
        assert subject.told == [("ADDED", "arb")]
        await subject.listings.list_kind("TradingBot")
        assert subject.told == [("ADDED", "arb"), ("ADDED", "other")]

    in_fake_time(main())


def test_a_child_of_which_only_the_version_was_kept_is_forgotten_when_it_is_gone() -> None:
    subject = with_a_bot()
    labels = {"app.kubernetes.io/managed-by": "tradingbot-operator"}
    meta = {"name": "x", "namespace": "desk", "uid": "x", "labels": labels}

    async def main() -> None:
        subject.cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
        await subject.listings.relist()
        assert subject.store.version("ConfigMap", "desk", "x") is not None
        subject.cluster.drop("ConfigMap", "desk", "x")
        await subject.listings.relist()
        assert subject.store.version("ConfigMap", "desk", "x") is None

    in_fake_time(main())


def test_a_pod_is_listed_by_the_label_that_its_replica_set_selects_it_by() -> None:
    subject = with_a_bot()
    labels = {"trading.io/bot": "arb"}  # somebody has taken off app.kubernetes.io/managed-by
    for name, its in (("arb-1", labels), ("theirs", {})):
        meta = {"name": name, "namespace": "desk", "uid": name, "labels": its}
        subject.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": meta})
    asyncio.run(subject.listings.list_kind("Pod"))
    assert subject.told == [("ADDED", "arb-1")]


def test_pods_are_watched_as_they_are_listed() -> None:
    selectors = watch_settings().watching.label_selectors
    assert selectors["", "v1", "pods"] == "trading.io/bot"
    assert selectors["apps", "v1", "deployments"].startswith("app.kubernetes.io/managed-by=")
