"""AssetRegistry objects that can't be synced, and their deletion."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from aiohttp import web
from asset_registry_harness import KEY, Harness, against, asset, catalogue
from operator_harness import NOW, serving
from registry_server import RunningRegistry
from tradingbot_operator import UNREADABLE
from tradingbot_operator.asset_registries.reconcile import (
    reconcile_asset_registry,
)
from tradingbot_operator.registry_client import RegistryClient


async def _down(_: Any) -> Any:
    return web.json_response({"detail": "down"}, status=503)


async def with_the_registry_down(harness: Harness, scenario: Callable[[], Awaitable[None]]) -> None:
    client = harness.context.client
    assert client is not None
    url = client._base_url
    async with serving(_down) as down:
        client._base_url = down
        await scenario()
    client._base_url = url


def test_while_the_registry_is_down_the_last_known_assets_stay_in_the_status(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a", status="Active")))
        await harness.keep()
        before = harness.status()

        async def pass_over() -> None:
            assert await harness.keep() == 5
            assert harness.synced() == ("False", "RegistryUnavailable")
            after = harness.status()
            assert (after["assets"], after["counts"]) == (before["assets"], before["counts"])

        await with_the_registry_down(harness, pass_over)
        await harness.keep()
        assert harness.synced() == ("True", "Synced")

    against(registry.url, scenario)


def test_an_invalid_catalogue_is_told_by_fields_and_its_assets_stay(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a")))
        await harness.keep()
        harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("a", "a")]})
        assert await harness.keep() is None
        assert harness.synced() == ("False", "InvalidSpec")
        for type_ in ("Synced", "Ready", "Stalled"):
            message = harness.status()["conditions"][type_]["message"]
            assert "spec.assets[0].dependsOn" in message
        assert [asset["name"] for asset in harness.status()["assets"]] == ["a"]

    against(registry.url, scenario)
    assert registry.held().keys() == {"crd/desk/cat.a"}


def test_a_catalogue_that_can_not_be_read_is_told_as_such_and_its_assets_stay(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a")))
        await harness.keep()
        before = harness.status()
        stub = {**catalogue(), UNREADABLE: "nested too deeply"}
        del stub["spec"]
        stub["metadata"] = harness.cluster.objects["AssetRegistry", *KEY]["metadata"]
        harness.context.store.put(stub)
        assert await reconcile_asset_registry(harness.context, KEY) is None
        assert harness.synced() == ("False", "Unreadable")
        after = harness.status()
        stalled = after["conditions"]["Stalled"]
        assert (stalled["reason"], "nested too deeply" in stalled["message"]) == (
            "Unreadable",
            True,
        )
        assert (after["assets"], after["counts"]) == (before["assets"], before["counts"])

    against(registry.url, scenario)
    assert registry.held().keys() == {"crd/desk/cat.a"}


def test_something_that_is_no_registry_is_told_as_unavailable() -> None:
    async def not_found(_: Any) -> Any:
        return web.json_response({"title": "no such page"}, status=404)

    async def main() -> None:
        async with serving(not_found) as url:
            client = RegistryClient(url)
            try:
                harness = Harness(client)
                harness.cluster.put(catalogue(asset("a")))
                assert await harness.keep() == 5
                assert harness.synced() == ("False", "RegistryUnavailable")
            finally:
                await client.close()

    asyncio.run(main())


def test_without_a_registry_a_catalogue_says_so() -> None:
    async def main() -> None:
        harness = Harness(None)
        harness.cluster.put(catalogue(asset("a")))
        assert await harness.keep() is None
        assert harness.synced() == ("False", "RegistryOff")
        harness.delete()
        await harness.keep()
        assert not harness.exists()

    asyncio.run(main())


def test_deleting_a_catalogue_takes_its_assets_with_it(registry: RunningRegistry) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a"), asset("b", "a"), asset("c", "b")))
        await harness.keep()
        harness.delete()
        assert await harness.keep() is None
        assert not harness.exists()
        assert await harness.keep() is None

    against(registry.url, scenario)
    assert registry.held() == {}


def test_retained_assets_belong_to_people_afterwards(registry: RunningRegistry) -> None:
    async def scenario(harness: Harness) -> None:
        parts = (asset("a", status="Active", tags=["x"]), asset("b", "a", status="Active"))
        harness.cluster.put(catalogue(*parts, deletionPolicy="Retain"))
        await harness.keep()
        harness.delete()
        await harness.keep()
        assert not harness.exists()

    against(registry.url, scenario)
    held = registry.held()
    assert {asset["managedBy"] for asset in held.values()} == {"user"}
    assert held["crd/desk/cat.a"]["tags"] == ["x"]
    assert held["crd/desk/cat.b"]["dependsOn"] == [held["crd/desk/cat.a"]["id"]]


def test_a_deletion_waits_for_the_registry_and_then_goes_on_with_a_warning(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a")))
        await harness.keep()
        harness.delete()

        async def wait() -> None:
            for seconds, pause in ((0, 0.5), (4, 2.0), (59, 5.0)):
                harness.now = NOW + timedelta(seconds=seconds)
                assert await harness.keep() == pause
                assert harness.exists()
            harness.now = NOW + timedelta(seconds=60)
            assert await harness.keep() is None

        await with_the_registry_down(harness, wait)
        assert not harness.exists()
        assert harness.cluster.events() == [("Warning", "AssetsLeftBehind")]

    against(registry.url, scenario)
