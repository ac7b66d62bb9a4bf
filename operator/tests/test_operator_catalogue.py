"""Catalogues, synced with the real registry; the Kubernetes side is a stand-in."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fake_cluster import FakeCluster
from operator_harness import NOW, serving
from registry_server import RunningRegistry, running_registry
from tradingbot_api import API_VERSION
from tradingbot_api.admission import KINDS, defaulted
from tradingbot_api.model import JsonObject
from tradingbot_operator.catalogue import CatalogueContext, bodies, keep_catalogue
from tradingbot_operator.recorder import Recorder
from tradingbot_operator.registry_client import RegistryClient
from tradingbot_operator.settings import OperatorSettings
from tradingbot_operator.store import Store

FINALIZER = "trading.io/cleanup"
KEY = ("desk", "cat")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path) as running:
        yield running


def asset(name: str, *depends_on: str, **fields: Any) -> JsonObject:
    return {"name": name, "type": "Other", "dependsOn": list(depends_on), **fields}


def catalogue(*assets: JsonObject, name: str = "cat", **spec: Any) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": "AssetRegistry",
        "metadata": {"name": name, "namespace": "desk", "uid": f"uid-{name}", "generation": 1},
        "spec": {"assets": list(assets), **spec},
    }


class Desk:
    """A cluster with catalogues, an operator's context, and a registry client."""

    def __init__(self, client: RegistryClient | None) -> None:
        self.cluster = FakeCluster()
        self.now = NOW
        self.context = CatalogueContext(
            api=self.cluster,
            store=Store(),
            recorder=Recorder(self.cluster),
            client=client,
            settings=OperatorSettings(cleanup_timeout=60),
            clock=lambda: self.now,
        )

    async def keep(self, name: str = "cat") -> float | None:
        """One pass over the catalogue, after the watches have told of all."""
        self.cluster.tell(self.context.store)
        return await keep_catalogue(self.context, ("desk", name))

    def status(self, name: str = "cat") -> JsonObject:
        """The catalogue's status, with its conditions by type."""
        status = self.cluster.objects["AssetRegistry", "desk", name]["status"]
        return {**status, "conditions": {one["type"]: one for one in status["conditions"]}}

    def synced(self, name: str = "cat") -> tuple[str, str]:
        found = self.status(name)["conditions"]["Synced"]
        return found["status"], found["reason"]

    def delete(self, name: str = "cat") -> None:
        """What `kubectl delete` does to an object with a finalizer."""
        self.cluster.edit("AssetRegistry", "desk", name, metadata={"deletionTimestamp": iso(NOW)})

    def exists(self, name: str = "cat") -> bool:
        return ("AssetRegistry", "desk", name) in self.cluster.objects


def iso(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


def against(url: str, scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        client = RegistryClient(url)
        try:
            await scenario(Desk(client))
        finally:
            await client.close()

    asyncio.run(main())


def spec_of(body: JsonObject) -> Any:
    return KINDS["AssetRegistry"].spec_parser.validate_python(
        defaulted("AssetRegistry", body)["spec"]
    )


def test_each_asset_comes_after_those_that_it_depends_on() -> None:
    spec = spec_of(catalogue(asset("c", "b"), asset("b", "a"), asset("a"), asset("d", "a", "c")))
    order = list(bodies(KEY, spec))
    assert [ref.rsplit(".", 1)[1] for ref in order] == ["a", "b", "c", "d"]


def test_names_become_references_and_ids_of_other_assets_stay() -> None:
    other = "0198c0de-0000-7000-8000-000000000001"
    spec = spec_of(catalogue(asset("a"), asset("b", "a", other)))
    body = bodies(KEY, spec)["crd/desk/cat.b"]
    assert body["dependsOn"] == ["crd/desk/cat.a", other]
    assert body["managedBy"] == "crd"


def test_a_catalogue_is_synced_and_shown_in_its_status(registry: RunningRegistry) -> None:
    async def scenario(desk: Desk) -> None:
        desk.cluster.put(
            catalogue(asset("api", "db", status="Active"), asset("db", status="Active"))
        )
        assert await desk.keep() == 300
        assert desk.synced() == ("True", "Synced")
        status = desk.status()
        assert [(one["name"], one["status"]) for one in status["assets"]] == [
            ("api", "Active"),
            ("db", "Active"),
        ]
        assert status["counts"] == {
            "total": 2,
            "draft": 0,
            "active": 2,
            "inactive": 0,
            "failed": 0,
        }
        assert status["conditions"]["Ready"]["status"] == "True"
        assert desk.cluster.objects["AssetRegistry", *KEY]["metadata"]["finalizers"] == [FINALIZER]

    against(registry.url, scenario)
    held = registry.held()
    assert held["crd/desk/cat.api"]["dependsOn"] == [held["crd/desk/cat.db"]["id"]]


def test_a_second_pass_writes_nothing(registry: RunningRegistry) -> None:
    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(asset("a")))
        await desk.keep()
        desk.cluster.writes.clear()
        await desk.keep()
        assert desk.cluster.writes == []

    against(registry.url, scenario)
    assert registry.held()["crd/desk/cat.a"]["version"] == 1


def test_a_failed_dependency_makes_the_catalogue_unready_but_synced(
    registry: RunningRegistry,
) -> None:
    async def scenario(desk: Desk) -> None:
        parts = [asset("api", "db", status="Active"), asset("db", status="Active")]
        desk.cluster.put(catalogue(*parts))
        await desk.keep()
        desk.cluster.edit(
            "AssetRegistry", *KEY, spec={"assets": [parts[0], asset("db", status="Failed")]}
        )
        await desk.keep()
        ready = desk.status()["conditions"]["Ready"]
        assert (ready["status"], ready["reason"]) == ("False", "AssetsDegraded")
        assert "api, db" in ready["message"]
        assert desk.synced()[0] == "True"

    against(registry.url, scenario)


def test_assets_that_are_no_longer_declared_go_dependents_first(registry: RunningRegistry) -> None:
    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(asset("a"), asset("b", "a"), asset("c", "b"), asset("keep")))
        await desk.keep()
        desk.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("keep")]})
        await desk.keep()
        assert desk.synced() == ("True", "Synced")
        assert [one["name"] for one in desk.status()["assets"]] == ["keep"]

    against(registry.url, scenario)
    assert registry.held().keys() == {"crd/desk/cat.keep"}


def test_each_asset_of_a_long_chain_is_deleted_once(
    registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = [asset(f"a{n}", *([f"a{n - 1}"] if n else [])) for n in range(30)]
    asked: list[str] = []
    delete = RegistryClient.delete

    async def noted(client: RegistryClient, ref: str) -> None:
        asked.append(ref)
        await delete(client, ref)

    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(asset("keep"), *chain))
        await desk.keep()
        desk.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("keep")]})
        monkeypatch.setattr(RegistryClient, "delete", noted)
        await desk.keep()
        assert asked == [f"crd/desk/cat.a{n}" for n in reversed(range(30))]

    against(registry.url, scenario)


def test_what_others_depend_on_is_told_and_goes_once_they_do(registry: RunningRegistry) -> None:
    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(asset("a"), asset("b")))
        await desk.keep()
        other = registry.add("theirs", dependsOn=[registry.held()["crd/desk/cat.a"]["id"]])
        desk.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("b")]})
        assert await desk.keep() == 10
        assert desk.synced() == ("False", "RegistryRefused")
        assert "a can't be removed" in desk.status()["conditions"]["Synced"]["message"]
        registry.remove(other["id"])
        await desk.keep()
        assert desk.synced() == ("True", "Synced")

    against(registry.url, scenario)
    assert registry.held().keys() == {"crd/desk/cat.b"}


def test_one_refused_asset_does_not_hold_up_the_others(registry: RunningRegistry) -> None:
    async def scenario(desk: Desk) -> None:
        unknown = "0198c0de-0000-7000-8000-000000000001"
        desk.cluster.put(catalogue(asset("bad", unknown), asset("good")))
        await desk.keep()
        assert desk.synced() == ("False", "RegistryRefused")
        assert desk.status()["conditions"]["Synced"]["message"].startswith("bad: ")

    against(registry.url, scenario)
    assert registry.held().keys() == {"crd/desk/cat.good"}


def test_two_assets_go_inactive_in_as_many_passes_as_it_takes(registry: RunningRegistry) -> None:
    def both(status: str) -> list[JsonObject]:
        return [asset("a", status=status), asset("b", "a", status=status)]

    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(*both("Active")))
        await desk.keep()
        desk.cluster.edit("AssetRegistry", *KEY, spec={"assets": both("Inactive")})
        await desk.keep()
        await desk.keep()
        assert desk.synced() == ("True", "Synced")
        assert desk.status()["counts"]["inactive"] == 2

    against(registry.url, scenario)


async def _down(_: Any) -> Any:
    return web.json_response({"detail": "down"}, status=503)


async def with_the_registry_down(desk: Desk, scenario: Callable[[], Awaitable[None]]) -> None:
    client = desk.context.client
    assert client is not None
    url = client._base_url
    async with serving(_down) as down:
        client._base_url = down
        await scenario()
    client._base_url = url


def test_while_the_registry_is_down_the_last_known_assets_stay_in_the_status(
    registry: RunningRegistry,
) -> None:
    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(asset("a", status="Active")))
        await desk.keep()
        before = desk.status()

        async def pass_over() -> None:
            assert await desk.keep() == 5
            assert desk.synced() == ("False", "RegistryUnavailable")
            after = desk.status()
            assert (after["assets"], after["counts"]) == (before["assets"], before["counts"])

        await with_the_registry_down(desk, pass_over)
        await desk.keep()
        assert desk.synced() == ("True", "Synced")

    against(registry.url, scenario)


def test_an_invalid_catalogue_is_told_by_fields_and_its_assets_stay(
    registry: RunningRegistry,
) -> None:
    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(asset("a")))
        await desk.keep()
        desk.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("a", "a")]})
        assert await desk.keep() is None
        assert desk.synced() == ("False", "InvalidSpec")
        assert "spec.assets[0].dependsOn" in desk.status()["conditions"]["Synced"]["message"]
        assert [one["name"] for one in desk.status()["assets"]] == ["a"]

    against(registry.url, scenario)
    assert registry.held().keys() == {"crd/desk/cat.a"}


def test_something_that_is_no_registry_is_told_as_unavailable() -> None:
    async def not_found(_: Any) -> Any:
        return web.json_response({"title": "no such page"}, status=404)

    async def main() -> None:
        async with serving(not_found) as url:
            client = RegistryClient(url)
            try:
                desk = Desk(client)
                desk.cluster.put(catalogue(asset("a")))
                assert await desk.keep() == 5
                assert desk.synced() == ("False", "RegistryUnavailable")
            finally:
                await client.close()

    asyncio.run(main())


def test_without_a_registry_a_catalogue_says_so() -> None:
    async def main() -> None:
        desk = Desk(None)
        desk.cluster.put(catalogue(asset("a")))
        assert await desk.keep() is None
        assert desk.synced() == ("False", "RegistryOff")
        desk.delete()
        await desk.keep()
        assert not desk.exists()

    asyncio.run(main())


def test_deleting_a_catalogue_takes_its_assets_with_it(registry: RunningRegistry) -> None:
    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(asset("a"), asset("b", "a"), asset("c", "b")))
        await desk.keep()
        desk.delete()
        assert await desk.keep() is None
        assert not desk.exists()
        assert await desk.keep() is None

    against(registry.url, scenario)
    assert registry.held() == {}


def test_retained_assets_belong_to_people_afterwards(registry: RunningRegistry) -> None:
    async def scenario(desk: Desk) -> None:
        parts = (asset("a", status="Active", tags=["x"]), asset("b", "a", status="Active"))
        desk.cluster.put(catalogue(*parts, deletionPolicy="Retain"))
        await desk.keep()
        desk.delete()
        await desk.keep()
        assert not desk.exists()

    against(registry.url, scenario)
    held = registry.held()
    assert {one["managedBy"] for one in held.values()} == {"user"}
    assert held["crd/desk/cat.a"]["tags"] == ["x"]
    assert held["crd/desk/cat.b"]["dependsOn"] == [held["crd/desk/cat.a"]["id"]]


def test_a_deletion_waits_for_the_registry_and_then_goes_on_with_a_warning(
    registry: RunningRegistry,
) -> None:
    async def scenario(desk: Desk) -> None:
        desk.cluster.put(catalogue(asset("a")))
        await desk.keep()
        desk.delete()

        async def wait() -> None:
            for seconds, pause in ((0, 0.5), (4, 2.0), (59, 5.0)):
                desk.now = NOW + timedelta(seconds=seconds)
                assert await desk.keep() == pause
                assert desk.exists()
            desk.now = NOW + timedelta(seconds=60)
            assert await desk.keep() is None

        await with_the_registry_down(desk, wait)
        assert not desk.exists()
        assert desk.cluster.events() == [("Warning", "AssetsLeftBehind")]

    against(registry.url, scenario)
