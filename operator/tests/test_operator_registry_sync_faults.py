"""The sync of bots into the registry: races, refusals, and a registry that is down."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from bot_assets import BINANCE, BOT, KEY, SECOND, Assets, against
from operator_harness import bot, serving
from registry_server import RunningRegistry
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.registry_client import (
    RegistryClient,
    RegistryRefusedError,
    RegistryUnavailableError,
)


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
