"""Bots as assets, synced with the real registry."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from operator_harness import bot, serving
from registry_server import RunningRegistry, running_registry
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.registry_sync import BotAssets, bot_asset, exchange_asset
from tradingbot_operator.registry_client import (
    RegistryClient,
    RegistryRefusedError,
    RegistryUnavailableError,
)

KEY = NamespacedName("desk", "arb")
BOT, BINANCE = "tradingbot/desk/arb", "exchange/global/binance"
SECOND = {"metadata": {"name": "second", "uid": "uid-second"}}
TESTNET = {"exchange": {"baseURL": "https://testnet.example"}}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path) as running:
        yield running


class Assets(BotAssets):
    """The assets, with the bots whose state has changed."""

    def __init__(self, client: RegistryClient | None) -> None:
        self.changes: list[NamespacedName] = []
        super().__init__(client, self.changes.append)

    async def keep(self, subject: Bot, phase: str = "Running") -> None:
        """Sync a bot."""
        assert subject.spec is not None
        if self.declare(subject, subject.spec, phase=phase):
            await self.sync(subject.key)


def against(
    registry: RunningRegistry, scenario: Callable[[Assets, RegistryClient], Awaitable[None]]
) -> None:
    async def main() -> None:
        client = RegistryClient(registry.url)
        try:
            await scenario(Assets(client), client)
        finally:
            await client.close()

    asyncio.run(main())


def test_a_bot_is_an_asset_that_depends_on_its_exchange(registry: RunningRegistry) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        assert assets.state(KEY).status == "True"

    against(registry, scenario)
    held = registry.held()
    assert held.keys() == {BOT, BINANCE}
    assert (held[BOT]["type"], held[BOT]["status"]) == ("KubernetesDeployment", "Active")
    assert held[BOT]["dependsOn"] == [held[BINANCE]["id"]]
    assert {asset["managedBy"] for asset in held.values()} == {"operator"}
    assert held[BINANCE]["config"] == {"url": "https://api.binance.com"}


@pytest.mark.parametrize(
    ("phase", "status"),
    [("Running", "Active"), ("Failed", "Failed"), ("Paused", "Inactive"), ("Pending", "Inactive")],
)
def test_the_status_of_the_asset_follows_the_phase(phase: str, status: str) -> None:
    subject = bot()
    assert subject.spec is not None
    assert bot_asset(subject, subject.spec, phase=phase).body["status"] == status


def test_nothing_of_the_secret_is_in_the_registry() -> None:
    subject = bot({"exchange": {"apiKeyPath": "key-path", "apiSecretPath": "secret-path"}})
    assert subject.spec is not None
    told = str((bot_asset(subject, subject.spec, phase="Running"), exchange_asset(subject.spec)))
    for word in ("binance-creds", "key-path", "secret-path"):
        assert word not in told


def test_bots_at_one_endpoint_share_it_and_those_at_another_do_not() -> None:
    plain, test = bot().spec, bot(TESTNET).spec
    custom = bot({"exchange": {"name": "Custom", "baseURL": "https://testnet.example"}}).spec
    assert plain is not None
    assert test is not None
    assert custom is not None
    refs = {exchange_asset(spec).ref for spec in (plain, test, custom)}
    assert len(refs) == 3
    assert exchange_asset(plain) == exchange_asset(plain)


def test_every_phase_can_follow_every_other(registry: RunningRegistry) -> None:
    phases = ("Pending", "Running", "Failed", "Running", "Paused", "Failed", "Paused", "Running")

    async def scenario(assets: Assets, _: RegistryClient) -> None:
        for phase in phases:
            await assets.keep(bot(), phase)
            assert assets.state(KEY).status == "True"

    against(registry, scenario)


def test_what_was_told_is_not_told_again(registry: RunningRegistry) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        subject = bot()
        assert subject.spec is not None
        await assets.keep(subject)
        assert not assets.declare(subject, subject.spec, phase="Running")
        assert assets.declare(subject, subject.spec, phase="Paused")
        assert assets.changes == [KEY]

    against(registry, scenario)
    assert registry.held()[BOT]["version"] == 1


def test_a_bot_that_is_gone_takes_its_exchange_with_it(registry: RunningRegistry) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        await assets.remove(bot())
        assert assets.state(KEY).status == "Unknown"

    against(registry, scenario)
    assert registry.held() == {}


def test_an_exchange_stays_with_its_last_bot(registry: RunningRegistry) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        await assets.keep(bot(**SECOND))
        await assets.remove(bot())
        assert registry.held().keys() == {"tradingbot/desk/second", BINANCE}
        await assets.remove(bot(**SECOND))

    against(registry, scenario)
    assert registry.held() == {}


def test_an_operator_that_has_just_started_removes_the_exchange_too(
    registry: RunningRegistry,
) -> None:
    async def scenario(assets: Assets, client: RegistryClient) -> None:
        await assets.keep(bot())
        await Assets(client).remove(bot())

    against(registry, scenario)
    assert registry.held() == {}


def test_an_operator_that_has_just_started_leaves_the_exchange_of_bots_it_does_not_know_yet(
    registry: RunningRegistry,
) -> None:
    async def scenario(assets: Assets, client: RegistryClient) -> None:
        await assets.keep(bot())
        await assets.keep(bot(**SECOND))
        await Assets(client).remove(bot())

    against(registry, scenario)
    assert registry.held().keys() == {"tradingbot/desk/second", BINANCE}


def test_a_bot_is_removed_at_once_whatever_others_have_made_depend_on_it(
    registry: RunningRegistry,
) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        first = registry.held()[BOT]["id"]
        watcher = registry.add("watcher", status="Active", dependsOn=[first])
        await assets.remove(bot())
        held = registry.held()
        assert held.keys() == {"watcher"}
        assert held["watcher"]["dependsOn"] == held["watcher"]["unresolved"] == [BOT]
        assert held["watcher"]["version"] == watcher["version"] + 1
        # The same name with another id: the dependency is resolved again.
        await assets.keep(bot())
        held = registry.held()
        assert held["watcher"]["dependsOn"] == [held[BOT]["id"]] != [first]
        assert held["watcher"]["unresolved"] == []

    against(registry, scenario)


def test_an_exchange_that_a_person_s_asset_depends_on_stays(registry: RunningRegistry) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        registry.add("dashboard", dependsOn=[registry.held()[BINANCE]["id"]])
        await assets.remove(bot())

    against(registry, scenario)
    assert registry.held().keys() == {"dashboard", BINANCE}


def test_an_invalid_bot_is_removed_with_the_exchange_that_it_was_told_with(
    registry: RunningRegistry,
) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        await assets.remove(bot({"mode": "Dream"}))

    against(registry, scenario)
    assert registry.held() == {}


def test_an_endpoint_that_the_bot_has_left_goes(registry: RunningRegistry) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        await assets.keep(bot(TESTNET))

    against(registry, scenario)
    spec = bot(TESTNET).spec
    assert spec is not None
    assert registry.held().keys() == {BOT, exchange_asset(spec).ref}


def test_removing_what_is_not_there_is_fine(registry: RunningRegistry) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.remove(bot())
        await assets.remove(bot())

    against(registry, scenario)


class PausingClient(RegistryClient):
    """Waits before the upsert of a bot until the test continues it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.arrived, self.go_on = asyncio.Event(), asyncio.Event()

    async def upsert(self, ref: str, asset: JsonObject, *, force: bool = False) -> JsonObject:
        if ref.startswith("tradingbot/"):
            self.arrived.set()
            await self.go_on.wait()
        return await super().upsert(ref, asset, force=force)


def test_a_bot_that_is_removed_while_it_is_being_told_of_does_not_stay(
    registry: RunningRegistry,
) -> None:
    async def main() -> None:
        client = PausingClient(registry.url)
        try:
            assets = Assets(client)
            telling = asyncio.create_task(assets.keep(bot()))
            async with asyncio.timeout(30):
                await client.arrived.wait()
            removing = asyncio.create_task(assets.remove(bot()))
            await asyncio.sleep(0)
            client.go_on.set()
            await asyncio.gather(telling, removing)
        finally:
            await client.close()

    asyncio.run(main())
    assert registry.held() == {}


class InterruptedClient(RegistryClient):
    """Runs an action just before an exchange is deleted."""

    meanwhile: Callable[[], Awaitable[None]]

    async def delete(self, ref: str, *, unresolve: bool = True) -> None:
        if ref.startswith("exchange/"):
            await self.meanwhile()
        await super().delete(ref, unresolve=unresolve)


def test_a_bot_that_comes_while_its_exchange_is_being_removed_finds_it_again(
    registry: RunningRegistry,
) -> None:
    async def main() -> None:
        client = InterruptedClient(registry.url)
        assets = Assets(client)

        async def another_comes() -> None:
            subject = bot(**SECOND)
            assert subject.spec is not None
            assets.declare(subject, subject.spec, phase="Pending")

        client.meanwhile = another_comes
        try:
            await assets.keep(bot())
            await assets.remove(bot())
            assert registry.held().keys() == {BINANCE}
            await assets.sync(NamespacedName("desk", "second"))
        finally:
            await client.close()

    asyncio.run(main())
    held = registry.held()
    assert held["tradingbot/desk/second"]["dependsOn"] == [held[BINANCE]["id"]]


def answering_503() -> Any:
    async def handler(_: Any) -> Any:
        return web.json_response({"detail": "down"}, status=503)

    return serving(handler)


def test_a_registry_that_is_down_is_told_as_such_and_once() -> None:
    async def main() -> None:
        async with answering_503() as url:
            client = RegistryClient(url)
            try:
                assets = Assets(client)
                for _ in range(3):
                    with pytest.raises(RegistryUnavailableError):
                        await assets.keep(bot())
                state = assets.state(KEY)
                assert (state.status, state.reason) == ("False", "RegistryUnavailable")
                assert assets.changes == [KEY]
            finally:
                await client.close()

    asyncio.run(main())


def test_a_bot_that_went_while_the_registry_was_down_is_not_told_of_afterwards() -> None:
    async def main() -> None:
        async with answering_503() as url:
            client = RegistryClient(url)
            try:
                assets = Assets(client)
                with pytest.raises(RegistryUnavailableError):
                    await assets.keep(bot())
                with pytest.raises(RegistryUnavailableError):
                    await assets.remove(bot())
                assert await assets.sync(KEY) is None
            finally:
                await client.close()

    asyncio.run(main())


def test_a_bot_that_has_stopped_is_inactive_whatever_depends_on_it(
    registry: RunningRegistry,
) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        registry.add("watcher", status="Active", dependsOn=[registry.held()[BOT]["id"]])
        await assets.keep(bot({"paused": True}), phase="Paused")
        assert registry.held()[BOT]["status"] == "Inactive"
        assert assets.state(KEY).status == "True"

    against(registry, scenario)


class RefusingClient(RegistryClient):
    """Refuses every upsert."""

    async def upsert(self, ref: str, asset: JsonObject, *, force: bool = False) -> JsonObject:
        raise RegistryRefusedError(409, "closes a cycle")


def test_a_refusal_is_told_and_tried_again_later() -> None:
    async def main() -> None:
        assets = Assets(RefusingClient("http://127.0.0.1:1"))
        subject = bot()
        assert subject.spec is not None
        assert assets.declare(subject, subject.spec, phase="Running")
        assert await assets.sync(KEY) == 60.0
        state = assets.state(KEY)
        assert (state.status, state.reason) == ("False", "RegistryRefused")
        assert state.message == "closes a cycle"

    asyncio.run(main())


def test_an_operator_that_has_just_started_repeats_what_the_status_says() -> None:
    said = {"type": "RegistrySynced", "status": "True", "reason": "Synced", "message": "held"}
    state = Assets(RegistryClient("http://127.0.0.1:1")).state(KEY, before=[said])
    assert (state.status, state.reason, state.message) == ("True", "Synced", "held")


def test_nothing_is_remembered_of_bots_that_are_gone(registry: RunningRegistry) -> None:
    async def scenario(assets: Assets, _: RegistryClient) -> None:
        await assets.keep(bot())
        await assets.keep(bot(**SECOND))
        await assets.remove(bot())
        assets.forget(NamespacedName("desk", "second"))
        assert not any((assets._declared, assets._synced, assets._states, assets._busy))

    against(registry, scenario)


def test_without_a_registry_nothing_is_told() -> None:
    async def main() -> None:
        assets = Assets(None)
        subject = bot()
        assert subject.spec is not None
        assert not assets.declare(subject, subject.spec, phase="Running")
        assert await assets.sync(KEY) is None
        await assets.remove(subject)
        assert assets.state(KEY).reason == "RegistryOff"

    asyncio.run(main())
