"""Bots as assets, synced with the real registry."""

import pytest
from bot_assets import BINANCE, BOT, KEY, SECOND, Assets, against
from operator_harness import bot
from registry_server import RunningRegistry
from tradingbot_operator.bots.registry_sync import bot_asset, exchange_asset
from tradingbot_operator.registry_client import (
    RegistryClient,
)

TESTNET = {"exchange": {"baseURL": "https://testnet.example"}}


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
    body = bot_asset(subject, subject.spec, phase=phase).body
    assert (body["status"], body["config"]["phase"]) == (status, phase)


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
