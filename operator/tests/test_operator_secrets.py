"""Secrets are read once, looked at by their metadata, and their values are kept nowhere."""

import asyncio
import pickle
from contextlib import suppress
from typing import Any

import pytest
from fake_cluster import FakeCluster, Fault
from operator_desk import CREDENTIALS, SERVER_ERROR
from operator_harness import SECRET, in_fake_time
from tradingbot_api.model import JsonObject
from tradingbot_operator import CREDENTIALS as ANNOTATION
from tradingbot_operator import secrets
from tradingbot_operator.secrets import SecretFacts, Secrets, read

BOT, OTHER = ("desk", "arb"), ("desk", "mm")
KEYS = ("api-key", "api-secret")
INTERVAL = 60.0


class Vault:
    """A cluster with a Secret, and who looks after it."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cluster.put(CREDENTIALS)
        self.changed: list[tuple[str, str]] = []
        self.secrets = Secrets(self.cluster, interval=INTERVAL, changed=self.changed.append)

    async def look(
        self,
        bot: tuple[str, str] = BOT,
        needs: tuple[str, ...] = KEYS,
        recorded: SecretFacts | None = None,
    ) -> Any:
        return await self.secrets.look(bot, SECRET, needs, recorded)

    async def after(self, seconds: float) -> None:
        """Look after the Secrets for that long."""
        task = asyncio.create_task(self.secrets.run())
        await asyncio.sleep(seconds)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def reads(self, verb: str) -> int:
        return sum(one[0] == verb for one in self.cluster.reads)


def renewed(**data: str) -> JsonObject:
    return {**CREDENTIALS, "data": data or CREDENTIALS["data"]}


def test_many_looks_of_many_bots_read_a_secret_once() -> None:
    vault = Vault()

    async def main() -> None:
        for _ in range(3):
            for bot in (BOT, OTHER):
                found = await vault.look(bot)
                assert found.keys == set(KEYS)
                assert found.version == "101"

    asyncio.run(main())
    assert vault.reads("get") == 1


def test_no_value_is_kept() -> None:
    vault = Vault()
    found = asyncio.run(vault.look())
    assert b"VkFMVUU" not in pickle.dumps((found, vault.secrets._facts))


def test_a_secret_that_does_not_change_is_looked_at_once_an_interval_by_metadata_alone() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.look(BOT)
        await vault.look(OTHER)
        await vault.after(INTERVAL * 3 + 1)

    in_fake_time(main())
    assert (vault.reads("get"), vault.reads("version")) == (1, 3)
    assert vault.changed == []


def test_every_bot_of_a_secret_that_has_changed_looks_again_and_sees_it() -> None:
    vault = Vault()

    async def main() -> None:
        before = await vault.look(BOT)
        await vault.look(OTHER)
        vault.cluster.put(renewed())
        await vault.after(INTERVAL + 1)
        assert sorted(vault.changed) == [BOT, OTHER]
        assert (await vault.look(BOT)).version != before.version

    in_fake_time(main())


def test_a_secret_that_is_gone_is_a_change() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.look()
        vault.cluster.delete("Secret", "desk", SECRET)
        await vault.after(INTERVAL + 1)
        assert vault.changed == [BOT]
        assert await vault.look() is None

    in_fake_time(main())


def test_one_that_is_missing_or_lacks_a_key_is_read_each_time() -> None:
    vault = Vault()

    async def main() -> None:
        assert (await vault.look(needs=("other",))).keys == set(KEYS)
        vault.cluster.put(renewed(other="VkFMVUU="))
        assert (await vault.look(needs=("other",))).keys == {"other"}
        vault.cluster.delete("Secret", "desk", SECRET)
        vault.secrets._facts.clear()
        assert await vault.look() is None
        vault.cluster.put(CREDENTIALS)
        assert await vault.look() is not None

    asyncio.run(main())


def test_what_can_not_be_looked_at_is_taken_to_be_as_it_was() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.look()
        vault.cluster.faults = [Fault("get", "Secret", SERVER_ERROR)]
        await vault.after(INTERVAL * 2 + 1)
        assert vault.changed == []
        vault.cluster.put(renewed())
        await vault.after(INTERVAL + 1)
        assert vault.changed == [BOT]

    in_fake_time(main())


def test_a_secret_that_no_bot_uses_any_more_is_forgotten() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.look(BOT)
        await vault.look(OTHER)
        vault.secrets.drop(BOT)
        vault.secrets.drop(BOT)
        assert vault.secrets._facts
        await vault.secrets.look(OTHER, "another", KEYS)
        vault.secrets.drop(OTHER)
        assert not any((vault.secrets._facts, vault.secrets._users, vault.secrets._used))

    asyncio.run(main())


def test_however_many_there_are_only_so_many_are_looked_at_in_a_second() -> None:
    vault = Vault()

    async def main() -> None:
        for number in range(2000):
            meta = {"name": f"s{number}", "namespace": "desk"}
            vault.cluster.put({**CREDENTIALS, "metadata": meta})
            await vault.secrets.look(("desk", f"b{number}"), f"s{number}", KEYS)
        await vault.after(60)

    in_fake_time(main())
    assert 0 < vault.reads("version") <= 60 * secrets.LOOKS_PER_SECOND


@pytest.mark.parametrize("gone", [True, False])
def test_what_one_bot_s_read_brings_up_is_a_change_for_the_others(gone: bool) -> None:
    vault = Vault()

    async def main() -> None:
        await vault.look(BOT)
        if gone:
            vault.cluster.delete("Secret", "desk", SECRET)
        else:
            vault.cluster.put(renewed())
        await vault.look(OTHER, needs=("other",))
        assert BOT in vault.changed

    asyncio.run(main())


def recorded(found: SecretFacts, name: str = SECRET) -> SecretFacts | None:
    """What an operator reads that comes after one which has found that."""
    annotations = {ANNOTATION: found.record(SECRET, KEYS)}
    return SecretFacts.recorded({"metadata": {"annotations": annotations}}, name)


def test_a_record_holds_the_version_and_the_keys_in_use_and_only_of_the_secret_it_names() -> None:
    found = SecretFacts("7", frozenset((*KEYS, "of-somebody-else")))
    assert recorded(found) == SecretFacts("7", frozenset(KEYS))
    assert recorded(found, "another") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"secret": "binance-creds", "version": 1, "keys": 2}']
)
def test_a_record_that_somebody_has_spoilt_is_none(text: str) -> None:
    deployment = {"metadata": {"annotations": {ANNOTATION: text}}}
    assert SecretFacts.recorded(deployment, SECRET) is None
    assert SecretFacts.recorded(None, SECRET) is None


def test_what_the_operator_before_has_recorded_is_taken_over_and_looked_at_in_its_turn() -> None:
    vault = Vault()

    async def main() -> None:
        record = recorded(await read(vault.cluster, "desk", SECRET))
        vault.cluster.reads.clear()
        assert await vault.look(BOT, recorded=record) == record
        assert await vault.look(OTHER, recorded=record) == record
        assert vault.cluster.reads == []
        vault.cluster.put(renewed())
        await vault.after(INTERVAL + 1)
        assert sorted(vault.changed) == [BOT, OTHER]
        # Its Deployment has the old record still.
        assert (await vault.look(BOT, recorded=record)).version == "102"

    in_fake_time(main())


@pytest.mark.parametrize("newest_first", [True, False])
def test_records_that_differ_are_settled_by_reading_and_both_bots_come_to_know(
    newest_first: bool,
) -> None:
    vault = Vault()

    async def main() -> None:
        old = recorded(await read(vault.cluster, "desk", SECRET))
        vault.cluster.put(renewed())
        new = recorded(await read(vault.cluster, "desk", SECRET))
        records = [(BOT, new), (OTHER, old)] if newest_first else [(OTHER, old), (BOT, new)]
        for bot, record in records:
            told = await vault.look(bot, recorded=record)
        assert told.version == new.version
        assert (OTHER in vault.changed) is not newest_first
        assert {(await vault.look(bot)).version for bot in (BOT, OTHER)} == {new.version}

    asyncio.run(main())


@pytest.mark.parametrize("gone", [True, False])
def test_a_record_is_doubted_by_a_bot_that_has_none_or_needs_another_key(gone: bool) -> None:
    vault = Vault()

    async def main() -> None:
        record = recorded(await read(vault.cluster, "desk", SECRET))
        if gone:
            vault.cluster.delete("Secret", "desk", SECRET)
        else:
            vault.cluster.put(renewed(other="VkFMVUU="))
        await vault.look(BOT, recorded=record)
        assert vault.changed == []
        found = await vault.look(OTHER, needs=("other",))
        assert found is None if gone else found.version == "102"
        assert BOT in vault.changed
        again = await vault.look(BOT, recorded=record)
        assert again is None if gone else again.version == "102"

    asyncio.run(main())
