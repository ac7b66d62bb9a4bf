"""How the Kubernetes client reads lists: in pages, within limits, object by object."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from client_server import CONFIG_MAP, Server, against
from tradingbot_operator import UNREADABLE
from tradingbot_operator.cluster import answers, client
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError


def page(*names: str, more: str = "") -> dict[str, Any]:
    return {
        "kind": "DeploymentList",
        "apiVersion": "apps/v1",
        "metadata": {"continue": more},
        "items": [{"metadata": {"name": name, "namespace": "n"}} for name in names],
    }


async def listed(api: KubernetesApi) -> list[Any]:
    return [obj async for obj in api.items("Deployment", labels={"a": "b", "c": "d"})]


def test_all_pages_of_a_list_are_read_and_items_know_their_type() -> None:
    server = Server([page("a", "b", more="token+/="), page("c")])
    found = against(server, listed)
    assert [obj["metadata"]["name"] for obj in found] == ["a", "b", "c"]
    assert {(obj["apiVersion"], obj["kind"]) for obj in found} == {("apps/v1", "Deployment")}
    assert [request.path for request in server.seen] == ["/apis/apps/v1/deployments"] * 2
    assert server.seen[0].query["labelSelector"] == "a=b,c=d"
    assert server.seen[1].query["continue"] == "token+/="


EXPIRED = (410, {"kind": "Status", "reason": "Expired"})


def test_a_list_that_has_expired_between_pages_is_begun_again() -> None:
    server = Server([page("a", more="x"), EXPIRED, page("a", "b")])
    found = against(server, listed)
    assert [obj["metadata"]["name"] for obj in found] == ["a", "a", "b"]
    assert [request.query.get("continue") for request in server.seen] == [None, "x", None]


def test_a_list_that_always_expires_is_an_error_and_not_a_short_list() -> None:
    server = Server([page("a", more="x"), EXPIRED] * client.LISTINGS)
    with pytest.raises(KubernetesError) as caught:
        against(server, listed)
    assert caught.value.status == 410
    assert len(server.seen) == 2 * client.LISTINGS


def test_versions_are_asked_for_without_the_objects() -> None:
    item = {"metadata": {"namespace": "n", "name": "a", "resourceVersion": "7"}}
    whole = {"kind": "PartialObjectMetadataList", "metadata": {}, "items": [item]}
    metadata_only = {"kind": "PartialObjectMetadata", **item}
    server = Server([whole, metadata_only, (404, {"kind": "Status"})])

    async def call(api: KubernetesApi) -> Any:
        listed = [found async for found in api.versions("Deployment", namespace="n")]
        return [
            *listed,
            await api.version_of("Secret", "n", "a"),
            await api.version_of("Secret", "n", "b"),
        ]

    assert against(server, call) == [(("n", "a"), 7), "7", None]
    assert all("as=PartialObjectMetadata" in seen.headers["Accept"] for seen in server.seen)


def test_a_list_of_nothing_may_say_null() -> None:
    async def main(api: KubernetesApi) -> list[Any]:
        whole = [found async for found in api.items("Deployment")]
        return [*whole, *[found async for found in api.versions("Deployment")]]

    empty = {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": None}
    assert against(Server([empty]), main) == []


def test_a_list_may_be_of_metadata_alone() -> None:
    item = {"metadata": {"name": "r", "namespace": "n"}}
    whole = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}}
    server = Server([{**whole, "items": [item]}])

    async def call(api: KubernetesApi) -> Any:
        return [obj async for obj in api.items("ReplicaSet", metadata_only=True)]

    assert against(server, call) == [{"apiVersion": "apps/v1", "kind": "ReplicaSet", **item}]
    assert "as=PartialObjectMetadataList" in server.seen[0].headers["Accept"]


def large_config_map(number: int, size: int) -> dict[str, Any]:
    meta = {"name": f"c{number}", "namespace": "n", "resourceVersion": str(number + 1)}
    return {"metadata": meta, "data": {"bot.json": "x" * size}}


def paging(items: list[dict[str, Any]]) -> Callable[[web.Request], Awaitable[Any]]:
    """Return a handler that answers with as many items as the limit allows."""

    async def answer(request: web.Request) -> Any:
        start, limit = int(request.query.get("continue", 0)), int(request.query["limit"])
        end = min(start + limit, len(items))
        meta = {"continue": str(end) if end < len(items) else ""}
        return {"kind": "List", "metadata": meta, "items": items[start:end]}

    return answer


def test_a_page_that_is_too_long_is_asked_for_in_smaller_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "LONGEST_ANSWER", 40_000)
    items = [large_config_map(number, 30_000 if number % 7 == 0 else 500) for number in range(60)]
    server = Server([paging(items)])

    async def call(api: KubernetesApi) -> list[str]:
        return [obj["metadata"]["name"] async for obj in api.items("ConfigMap")]

    assert against(server, call) == [f"c{number}" for number in range(60)]
    limits = [int(request.query["limit"]) for request in server.seen]
    assert (limits[0], min(limits)) == (client.PAGE, 1)
    assert max(limits[2:]) > 1, "the limit grows again"


def test_an_object_that_is_too_long_by_itself_is_named_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "LONGEST_ANSWER", 20_000)
    items = [large_config_map(number, 90_000 if number == 1 else 100) for number in range(3)]
    found = against(Server([paging(items)]), lambda api: everything(api, "ConfigMap"))
    assert [obj["metadata"]["name"] for obj in found] == ["c0", "c1", "c2"]
    assert [UNREADABLE in obj for obj in found] == [False, True, False]


async def everything(api: KubernetesApi, kind: str) -> list[Any]:
    return [obj async for obj in api.items(kind)]


@pytest.mark.parametrize("depth", [300, 1200])
def test_one_object_of_a_list_and_the_answer_to_a_write_may_be_nested_deeply(depth: int) -> None:
    nested = '{"f:a":' * depth + "{}" + "}" * depth
    meta = {"name": "c", "namespace": "n", "resourceVersion": "7", "managedFields": "@"}
    in_fields = json.dumps({"kind": "ConfigMap", "metadata": meta}).replace('"@"', nested)
    in_data = json.dumps({**CONFIG_MAP, "data": {"a": "@"}}).replace('"@"', nested)
    listed_ = f'{{"kind": "L", "metadata": {{}}, "items": [{in_fields}, {in_data}]}}'
    server = Server([text.encode() for text in (listed_, in_fields, in_data)])

    async def call(api: KubernetesApi) -> list[Any]:
        return [await api.merge("ConfigMap", "n", "c", {}), await api.apply(CONFIG_MAP)]

    async def all_of_it(api: KubernetesApi) -> list[Any]:
        return [*await everything(api, "ConfigMap"), *await call(api)]

    found = against(server, all_of_it)
    assert [UNREADABLE in obj for obj in found] == [False, True, False, True]
    assert {obj["metadata"]["name"] for obj in found} == {"c"}


def test_objects_of_a_list_that_can_not_be_identified_are_counted_and_passed_over() -> None:
    whole = page("a", "b")
    whole["items"].insert(1, {"metadata": ["x"]})
    told: list[tuple[str, int]] = []

    async def call(api: KubernetesApi) -> list[Any]:
        api.on_unidentified = lambda kind, count: told.append((kind, count))
        return await everything(api, "Deployment")

    assert [obj["metadata"]["name"] for obj in against(Server([whole]), call)] == ["a", "b"]
    assert told == [("Deployment", 1)]
