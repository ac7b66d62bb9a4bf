"""The key of the digests: created once, found by every operator, and never needed to go on."""

import asyncio
from base64 import b64encode

import pytest
from fake_cluster import FakeCluster, Fault
from reconcile_harness import FORBIDDEN, SERVER_ERROR
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots import digest_keys
from tradingbot_operator.bots.digest_keys import DigestKey, DigestKeys, load_digest_keys
from tradingbot_operator.cluster.client import KubernetesError

NAMESPACE = "tradingbot-system"
SECRET = ("Secret", NAMESPACE, digest_keys.NAME)
PLACE = NamespacedName("desk", "binance-creds")
KEY = DigestKey(b"k" * 32)


def cluster_with(data: JsonObject | None) -> FakeCluster:
    cluster = FakeCluster()
    meta = {"namespace": NAMESPACE, "name": digest_keys.NAME}
    cluster.put({"kind": "Secret", "metadata": meta} | ({} if data is None else {"data": data}))
    return cluster


def loaded(cluster: FakeCluster) -> DigestKeys:
    return asyncio.run(load_digest_keys(cluster, NAMESPACE))


def encoded(value: bytes) -> str:
    return b64encode(value).decode()


@pytest.mark.parametrize("data", [None, {}, {"of-somebody-else": "QQ=="}])
def test_the_first_operator_creates_the_key_and_every_later_one_finds_it(
    data: JsonObject | None,
) -> None:
    cluster = cluster_with(data)
    first = loaded(cluster)
    assert first.saved
    assert loaded(cluster) == first
    assert len(cluster.writes) == 1
    assert (data or {}).items() <= cluster.objects[SECRET]["data"].items()


def test_two_keys_are_not_the_same() -> None:
    assert loaded(cluster_with(None)).current != loaded(cluster_with(None)).current


def test_a_key_that_is_being_rotated_out_is_read_too() -> None:
    new, old = b"n" * 32, b"o" * 40
    keys = loaded(cluster_with({"key": encoded(new), "previous-key": encoded(old)}))
    assert keys == DigestKeys(DigestKey(new), DigestKey(old))


@pytest.mark.parametrize(
    "data", [{"key": ""}, {"key": "no base64!"}, {"key": encoded(b"short")}, {"key": 7}]
)
def test_a_key_of_no_use_is_neither_used_nor_replaced(data: JsonObject) -> None:
    cluster = cluster_with(data)
    assert not loaded(cluster).saved
    assert cluster.writes == []


@pytest.mark.parametrize("verb", ["get", "merge"])
@pytest.mark.parametrize(
    "error", [FORBIDDEN, SERVER_ERROR, KubernetesError(409, "Conflict", "was changed")]
)
def test_an_operator_that_can_not_have_the_key_makes_do_with_one_of_its_own(
    verb: str, error: KubernetesError
) -> None:
    cluster = cluster_with(None)
    cluster.faults = [Fault(verb, "Secret", error)]
    assert not loaded(cluster).saved


def test_without_the_secret_the_operator_works_and_creates_none() -> None:
    cluster = FakeCluster()
    assert not loaded(cluster).saved
    assert cluster.writes == []


def test_a_digest_depends_on_the_key_on_each_name_and_on_the_value() -> None:
    digests = {
        key.digests(NamespacedName(namespace, secret), {name: value}, [name])[name]
        for key in (KEY, DigestKey(b"j" * 32))
        for namespace in ("desk", "desk2")
        for secret in ("a", "ab")
        for name in ("key", "bkey")
        for value in ("", "QQ==", "QQ")
    }
    assert len(digests) == 2 * 2 * 2 * 2 * 3


def test_equal_values_of_two_keys_have_different_digests() -> None:
    found = KEY.digests(PLACE, {"api-key": "QQ==", "api-secret": "QQ=="}, ["api-key", "api-secret"])
    assert len(set(found.values())) == 2


def test_only_keys_in_use_have_a_digest() -> None:
    assert list(KEY.digests(PLACE, {"a": "QQ==", "b": "QQ=="}, ["b", "c"])) == ["b"]
