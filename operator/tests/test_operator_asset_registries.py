"""AssetRegistry objects on a fake cluster, synced with the real registry."""

from typing import Any

import pytest
from asset_registry_harness import KEY, Harness, against, asset, catalogue
from registry_server import RunningRegistry
from tradingbot_api.admission.review import KINDS, defaulted
from tradingbot_api.model import JsonObject
from tradingbot_operator.asset_registries.declared import bodies
from tradingbot_operator.asset_registries.reconcile import (
    reconcile_asset_registry,
)
from tradingbot_operator.registry_client import RegistryClient

FINALIZER = "trading.io/cleanup"


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
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(
            catalogue(asset("api", "db", status="Active"), asset("db", status="Active"))
        )
        assert await harness.keep() == 300
        assert harness.synced() == ("True", "Synced")
        status = harness.status()
        assert [(asset["name"], asset["status"]) for asset in status["assets"]] == [
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
        assert harness.cluster.objects["AssetRegistry", *KEY]["metadata"]["finalizers"] == [
            FINALIZER
        ]

    against(registry.url, scenario)
    held = registry.held()
    assert held["crd/desk/cat.api"]["dependsOn"] == [held["crd/desk/cat.db"]["id"]]


def test_a_catalogue_that_is_too_large_to_be_kept_is_read_for_each_pass(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        large = [{**asset(f"a{number}"), "config": {"x": "y" * 15_000}} for number in range(10)]
        harness.cluster.put(catalogue(*large))
        await harness.keep()
        assert harness.context.store.get("AssetRegistry", *KEY) is None
        assert harness.synced() == ("True", "Synced")
        harness.cluster.writes.clear()
        await harness.keep()
        assert harness.cluster.writes == []
        harness.delete()
        await harness.keep()
        assert not harness.exists()
        gone = catalogue()
        gone["metadata"]["resourceVersion"] = "999999"
        harness.context.store.remove(gone)
        harness.cluster.reads.clear()
        assert await reconcile_asset_registry(harness.context, KEY) is None
        assert harness.cluster.reads == []

    against(registry.url, scenario)
    assert registry.held() == {}


def test_a_second_pass_writes_nothing(registry: RunningRegistry) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a")))
        await harness.keep()
        harness.cluster.writes.clear()
        await harness.keep()
        assert harness.cluster.writes == []

    against(registry.url, scenario)
    assert registry.held()["crd/desk/cat.a"]["version"] == 1


def test_a_failed_dependency_makes_the_catalogue_unready_but_synced(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        parts = [asset("api", "db", status="Active"), asset("db", status="Active")]
        harness.cluster.put(catalogue(*parts))
        await harness.keep()
        harness.cluster.edit(
            "AssetRegistry", *KEY, spec={"assets": [parts[0], asset("db", status="Failed")]}
        )
        await harness.keep()
        ready = harness.status()["conditions"]["Ready"]
        assert (ready["status"], ready["reason"]) == ("False", "AssetsDegraded")
        assert "api, db" in ready["message"]
        assert harness.synced()[0] == "True"

    against(registry.url, scenario)


def test_assets_that_are_no_longer_declared_go_dependents_first(registry: RunningRegistry) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a"), asset("b", "a"), asset("c", "b"), asset("keep")))
        await harness.keep()
        harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("keep")]})
        await harness.keep()
        assert harness.synced() == ("True", "Synced")
        assert [asset["name"] for asset in harness.status()["assets"]] == ["keep"]

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
        await delete(client, ref, unresolve=False)  # so that nothing blocks the next asset

    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("keep"), *chain))
        await harness.keep()
        harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("keep")]})
        monkeypatch.setattr(RegistryClient, "delete", noted)
        await harness.keep()
        assert asked == [f"crd/desk/cat.a{n}" for n in reversed(range(30))]

    against(registry.url, scenario)


def test_what_others_depend_on_goes_all_the_same_and_they_see_it(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a", status="Active"), asset("b")))
        await harness.keep()
        gone = registry.held()["crd/desk/cat.a"]["id"]
        harness.cluster.put(catalogue(asset("i", gone, status="Active"), name="theirs"))
        await harness.keep("theirs")
        assert harness.status("theirs")["conditions"]["Ready"]["status"] == "True"
        harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("b")]})
        assert await harness.keep() == 300
        assert harness.synced() == ("True", "Synced")
        assert registry.held().keys() == {"crd/desk/cat.b", "crd/desk/theirs.i"}
        # They stay synced: a dependency that was deleted is not their error.
        assert await harness.keep("theirs") == 30
        assert harness.synced("theirs") == ("True", "Synced")
        ready = harness.status("theirs")["conditions"]["Ready"]
        assert (ready["status"], ready["reason"]) == ("False", "DependenciesUnresolved")
        assert "crd/desk/cat.a, required by i" in ready["message"]
        # And their owner can still change them.
        changed = asset("i", gone, status="Active", description="new")
        harness.cluster.edit("AssetRegistry", "desk", "theirs", spec={"assets": [changed]})
        await harness.keep("theirs")
        assert registry.held()["crd/desk/theirs.i"]["description"] == "new"
        # It is created again, with another id.
        harness.cluster.edit(
            "AssetRegistry", *KEY, spec={"assets": [asset("a", status="Active"), asset("b")]}
        )
        await harness.keep()
        held = registry.held()
        assert held["crd/desk/theirs.i"]["dependsOn"] == [held["crd/desk/cat.a"]["id"]] != [gone]

    against(registry.url, scenario)


def test_an_asset_goes_inactive_whatever_others_have_made_depend_on_it(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a", status="Active")))
        await harness.keep()
        registry.add("theirs", status="Active", dependsOn=["crd/desk/cat.a"])
        harness.cluster.edit(
            "AssetRegistry", *KEY, spec={"assets": [asset("a", status="Inactive")]}
        )
        await harness.keep()
        assert harness.synced() == ("True", "Synced")

    against(registry.url, scenario)
    held = registry.held()
    assert held["crd/desk/cat.a"]["status"] == "Inactive"
    assert held["theirs"]["effectiveStatus"] == "Degraded"


def test_an_asset_does_not_go_inactive_under_active_ones_of_its_own_catalogue(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(
            catalogue(asset("a", status="Active"), asset("b", "a", status="Active"))
        )
        await harness.keep()
        registry.add("theirs", status="Active", dependsOn=["crd/desk/cat.a"])
        parts = [asset("a", status="Inactive"), asset("b", "a", status="Active")]
        harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": parts})
        await harness.keep()
        assert harness.synced() == ("False", "RegistryRefused")

    against(registry.url, scenario)
    assert registry.held()["crd/desk/cat.a"]["status"] == "Active"


def test_a_dependent_of_its_own_counts_however_many_others_depend_on_the_asset(
    registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer lists some blockers, the oldest, and these may all be of others."""
    monkeypatch.setattr("tradingbot_registry.inventory.graph.MAX_NEIGHBOURS", 2)

    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a", status="Active")))
        await harness.keep()
        for number in range(3):
            registry.add(f"theirs-{number}", status="Active", dependsOn=["crd/desk/cat.a"])
        for status in ("Active", "Inactive"):
            parts = [asset("a", status=status), asset("b", "a", status="Active")]
            harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": parts})
            await harness.keep()
        assert harness.synced() == ("False", "RegistryRefused")

    against(registry.url, scenario)
    assert registry.held()["crd/desk/cat.a"]["status"] == "Active"


def test_two_catalogues_that_depend_on_each_other_are_deleted_at_once(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(asset("a")))
        await harness.keep()
        on_a = asset("c", registry.held()["crd/desk/cat.a"]["id"])
        harness.cluster.put(catalogue(asset("b"), on_a, name="other"))
        await harness.keep("other")
        on_b = asset("d", registry.held()["crd/desk/other.b"]["id"])
        harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": [asset("a"), on_b]})
        await harness.keep()
        assert len(registry.held()) == 4
        for name in ("cat", "other"):
            harness.delete(name)
        for name in ("cat", "other"):
            assert await harness.keep(name) is None
            assert not harness.exists(name)
        assert harness.cluster.events() == []

    against(registry.url, scenario)
    assert registry.held() == {}


def test_one_refused_asset_does_not_hold_up_the_others(registry: RunningRegistry) -> None:
    async def scenario(harness: Harness) -> None:
        unknown = "0198c0de-0000-7000-8000-000000000001"
        harness.cluster.put(catalogue(asset("bad", unknown), asset("good")))
        await harness.keep()
        assert harness.synced() == ("False", "RegistryRefused")
        assert harness.status()["conditions"]["Synced"]["message"].startswith("bad: ")

    against(registry.url, scenario)
    assert registry.held().keys() == {"crd/desk/cat.good"}


def test_two_assets_go_inactive_in_as_many_passes_as_it_takes(registry: RunningRegistry) -> None:
    def both(status: str) -> list[JsonObject]:
        return [asset("a", status=status), asset("b", "a", status=status)]

    async def scenario(harness: Harness) -> None:
        harness.cluster.put(catalogue(*both("Active")))
        await harness.keep()
        harness.cluster.edit("AssetRegistry", *KEY, spec={"assets": both("Inactive")})
        await harness.keep()
        await harness.keep()
        assert harness.synced() == ("True", "Synced")
        assert harness.status()["counts"]["inactive"] == 2

    against(registry.url, scenario)
