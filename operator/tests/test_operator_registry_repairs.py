"""The sync after renames, edits by hand, a restored backup, and an hour without the registry."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from asset_registry_harness import KEY as CATALOGUE
from asset_registry_harness import Harness, asset, catalogue
from asset_registry_harness import against as against_catalogues
from bot_assets import BINANCE, BOT, KEY, Assets, against
from operator_harness import bot, serving
from registry_server import RunningRegistry
from tradingbot_operator.registry_client import RegistryClient, RegistryUnavailableError

OWN = "crd/desk/cat."
LATER = [asset("a", status="Active", config={"later": True}), asset("c", "a", status="Active")]


@pytest.fixture
def by_hand(tmp_path: Path) -> Callable[..., None]:
    """Changes the registry's file as a person with sqlite3 does."""

    def execute(statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(tmp_path / "registry.db")) as database, database:
            database.execute("PRAGMA foreign_keys = ON")
            assert database.execute(statement, values).rowcount > 0

    return execute


def test_a_renamed_object_has_its_assets_under_the_new_name_and_dependents_say_what_they_lost(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        user = catalogue(asset("user", "crd/desk/old.db", status="Active"))
        harness.cluster.put(catalogue(asset("db", status="Active"), name="old"))
        harness.cluster.put(user)
        await harness.keep("old")
        await harness.keep()
        assert harness.synced() == ("True", "Synced")

        # A rename is a new object and the deletion of the old one, in any order.
        harness.cluster.put(catalogue(asset("db", status="Active"), name="new"))
        await harness.keep("new")
        await harness.keep("old")
        assert {"crd/desk/old.db", "crd/desk/new.db"} <= registry.held().keys()
        harness.delete("old")
        await harness.keep("old")
        assert not harness.exists("old")
        assert harness.synced("new") == ("True", "Synced")

        await harness.keep()
        ready = harness.status()["conditions"]["Ready"]
        assert (ready["status"], ready["reason"]) == ("False", "DependenciesUnresolved")
        assert "crd/desk/old.db" in ready["message"]
        renamed = [asset("user", "crd/desk/new.db", status="Active")]
        harness.cluster.edit("AssetRegistry", *CATALOGUE, spec={"assets": renamed})
        await harness.keep()
        assert harness.status()["conditions"]["Ready"]["status"] == "True"

    against_catalogues(registry.url, scenario)
    assert registry.held().keys() == {"crd/desk/new.db", "crd/desk/cat.user"}


def test_objects_with_assets_of_the_same_name_do_not_claim_each_others(
    registry: RunningRegistry,
) -> None:
    async def scenario(harness: Harness) -> None:
        names = ("cat", "cat-two", "ca")
        for name in names:
            harness.cluster.put(catalogue(asset("db", config={"of": name}), name=name))
        for _ in range(2):
            for name in names:
                await harness.keep(name)
                assert harness.synced(name) == ("True", "Synced")
        # Its assets would begin like those of `cat`.
        harness.cluster.put(catalogue(asset("db"), name="cat.two"))
        await harness.keep("cat.two")
        assert harness.synced("cat.two") == ("False", "InvalidSpec")
        harness.delete("cat-two")
        await harness.keep("cat-two")

    against_catalogues(registry.url, scenario)
    held = registry.held()
    assert {ref: found["config"]["of"] for ref, found in held.items()} == {
        "crd/desk/cat.db": "cat",
        "crd/desk/ca.db": "ca",
    }
    assert {found["version"] for found in held.values()} == {1}


def test_an_asset_that_somebody_else_has_taken_is_taken_back(registry: RunningRegistry) -> None:
    async def scenario(harness: Harness) -> None:
        registry.put(f"{OWN}a", managedBy="user", config={"by": "a person"})
        harness.cluster.put(catalogue(asset("a", config={"by": "cat"})))
        await harness.keep()
        assert harness.synced() == ("True", "Synced")

    against_catalogues(registry.url, scenario)
    held = registry.held()[f"{OWN}a"]
    assert (held["managedBy"], held["config"]) == ("crd", {"by": "cat"})


def test_edits_by_hand_of_a_catalogue_are_undone_or_shown(
    registry: RunningRegistry, by_hand: Callable[..., None]
) -> None:
    async def scenario(harness: Harness) -> None:
        declared = [asset(name, status="Active", config={"n": 1}) for name in "abc"]
        harness.cluster.put(catalogue(*declared, asset("draft")))
        await harness.keep()
        registry.put(f"{OWN}stray", managedBy="crd")
        by_hand("UPDATE asset SET config = '{}', name = 'x' WHERE external_ref = ?", f"{OWN}a")
        by_hand("UPDATE asset SET managed_by = 'user' WHERE external_ref = ?", f"{OWN}b")
        by_hand("DELETE FROM asset WHERE external_ref = ?", f"{OWN}c")
        assert await harness.keep() is not None
        held = registry.held()
        assert held.keys() == {f"{OWN}{name}" for name in ("a", "b", "c", "draft")}
        for name in "abc":
            found = held[f"{OWN}{name}"]
            assert (found["name"], found["managedBy"], found["config"]) == (name, "crd", {"n": 1})
        shown = {found["name"]: found["id"] for found in harness.status()["assets"]}
        assert shown == {found["name"]: found["id"] for found in held.values()}
        assert harness.synced() == ("True", "Synced")

        # Nothing returns to Draft.
        by_hand("UPDATE asset SET status = 'Failed' WHERE external_ref = ?", f"{OWN}draft")
        await harness.keep()
        assert harness.synced() == ("False", "RegistryRefused")
        assert "draft: " in harness.status()["conditions"]["Synced"]["message"]

    against_catalogues(registry.url, scenario)


def test_the_asset_of_a_bot_that_is_edited_or_lost_comes_back_within_the_interval(
    registry: RunningRegistry, by_hand: Callable[..., None]
) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        assert await assets.sync(KEY) == 300
        by_hand("UPDATE asset SET status = 'Failed' WHERE external_ref = ?", BOT)
        assets.seconds += 299
        assert await assets.sync(KEY) == 1
        assert registry.held()[BOT]["status"] == "Failed"
        assets.seconds += 1
        assert await assets.sync(KEY) == 300
        assert registry.held()[BOT]["status"] == "Active"
        by_hand("DELETE FROM dependency")
        by_hand("DELETE FROM asset")
        assets.seconds += 300
        assert await assets.sync(KEY) == 300
        held = registry.held()
        assert held.keys() == {BOT, BINANCE}
        assert held[BOT]["dependsOn"] == [held[BINANCE]["id"]]
        assert assets.changes == [KEY]
        # What is as it should be stays as it is.
        assets.seconds += 300
        await assets.sync(KEY)
        assert registry.held() == held

    against(registry, scenario)


async def _down(_: Any) -> Any:
    return web.json_response({"detail": "down"}, status=503)


def test_after_an_hour_without_the_registry_everything_is_as_declared(
    registry: RunningRegistry,
) -> None:
    async def hour(harness: Harness, assets: Assets, down: str) -> None:
        """Reconcile as often as the reconciler asks for it, while objects come, change and go."""
        assert harness.context.client is not None
        harness.context.client._base_url = down
        ends, passes = harness.now + timedelta(hours=1), 0
        harness.cluster.edit("AssetRegistry", *CATALOGUE, spec={"assets": LATER})
        harness.cluster.put(catalogue(asset("n", status="Active"), name="new"))
        harness.delete("retired")
        while harness.now < ends:
            waits = [await harness.keep(name) for name in ("cat", "new")]
            for name in ("cat", "new"):
                assert harness.synced(name) == ("False", "RegistryUnavailable")
            with pytest.raises(RegistryUnavailableError):
                await assets.keep(bot({"paused": True}), phase="Paused")
            assert assets.state(KEY).reason == "RegistryUnavailable"
            assert waits == [5, 5]
            harness.now += timedelta(seconds=waits[0] or 0)
            passes += 1
        assert passes == 720
        # A deletion waits for as long as the setting says, and then says what it leaves.
        await harness.keep("retired")
        assert not harness.exists("retired")
        assert harness.cluster.events() == [("Warning", "AssetsLeftBehind")]
        harness.context.client._base_url = registry.url

    async def scenario(harness: Harness) -> None:
        client = harness.context.client
        assert client is not None
        assets = Assets(client)
        harness.cluster.put(catalogue(asset("a", status="Active"), asset("b", status="Active")))
        harness.cluster.put(catalogue(asset("r"), name="retired"))
        await harness.keep()
        await harness.keep("retired")
        await assets.keep(bot())
        async with serving(_down) as down:
            await hour(harness, assets, down)
        for name in ("cat", "new"):
            await harness.keep(name)
            assert harness.synced(name) == ("True", "Synced")
        await assets.keep(bot({"paused": True}), phase="Paused")
        assert assets.state(KEY).status == "True"

    against_catalogues(registry.url, scenario)
    held = registry.held()
    assert held.keys() == {f"{OWN}a", f"{OWN}c", "crd/desk/new.n", "crd/desk/retired.r"} | {
        BOT,
        BINANCE,
    }
    assert held[f"{OWN}a"]["config"] == {"later": True}
    assert held[BOT]["status"] == "Inactive"
