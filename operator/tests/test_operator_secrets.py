"""Secrets are read once, then polled by their metadata, and only other values are a change."""

import asyncio
import pickle
from collections.abc import Callable

import pytest
from fake_cluster import Fault
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_harness import SECRET, in_fake_time
from reconcile_harness import CREDENTIALS, SERVER_ERROR
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator.bots import credentials
from vault import BOT, INTERVAL, KEYS, OTHER, Vault, annotated, rotated


def test_many_bots_read_a_secret_once() -> None:
    vault = Vault()

    async def main() -> None:
        for _ in range(3):
            for bot in (BOT, OTHER):
                found = await vault.observe(bot)
                assert found.facts.has(KEYS)
                assert found.facts.version == "101"

    asyncio.run(main())
    assert vault.reads("get") == 1


def test_no_value_is_kept() -> None:
    vault = Vault()
    found = asyncio.run(vault.observe())
    assert b"VkFMVUU" not in pickle.dumps((found, vault.secrets._facts, vault.secrets._uses))


def test_a_secret_that_does_not_change_is_polled_once_an_interval_by_metadata_alone() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.observe(BOT)
        await vault.observe(OTHER)
        await vault.after(INTERVAL * 3 + 1)

    in_fake_time(main())
    assert (vault.reads("get"), vault.reads("version")) == (1, 3)
    assert vault.changed == []


def test_every_bot_of_a_secret_that_has_changed_is_requeued_and_gets_the_new_version() -> None:
    vault = Vault()

    async def main() -> None:
        before = await vault.observe(BOT)
        await vault.observe(OTHER)
        vault.cluster.put(rotated())
        await vault.after(INTERVAL + 1)
        assert sorted(vault.changed) == [BOT, OTHER]
        revisions = {(await vault.observe(bot)).record.revision for bot in (BOT, OTHER)}
        assert len(revisions) == 1
        assert revisions != {before.record.revision}

    in_fake_time(main())


def test_a_secret_that_is_gone_is_a_change() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.observe()
        vault.cluster.drop("Secret", "desk", SECRET)
        await vault.after(INTERVAL + 1)
        assert vault.changed == [BOT]
        assert await vault.observe() is None

    in_fake_time(main())


def test_one_that_is_missing_or_lacks_a_key_is_read_each_time() -> None:
    vault = Vault()

    async def main() -> None:
        assert not (await vault.observe(needs=("other",))).facts.has(["other"])
        vault.cluster.put(rotated(other="VkFMVUU="))
        assert (await vault.observe(needs=("other",))).facts.has(["other"])
        vault.cluster.drop("Secret", "desk", SECRET)
        vault.secrets._facts.clear()
        assert await vault.observe() is None
        vault.cluster.put(CREDENTIALS)
        assert await vault.observe() is not None

    asyncio.run(main())


def test_a_secret_that_can_not_be_polled_counts_as_unchanged() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.observe()
        vault.cluster.faults = [Fault("get", "Secret", SERVER_ERROR)]
        await vault.after(INTERVAL * 2 + 1)
        assert vault.changed == []
        vault.cluster.put(rotated())
        await vault.after(INTERVAL + 1)
        assert vault.changed == [BOT]

    in_fake_time(main())


def test_a_secret_that_no_bot_uses_any_more_is_forgotten() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.observe(BOT)
        await vault.observe(OTHER)
        vault.secrets.drop(BOT)
        vault.secrets.drop(BOT)
        assert vault.secrets._facts
        await vault.secrets.observe(OTHER, "another", KEYS)
        vault.secrets.drop(OTHER)
        assert not any((vault.secrets._facts, vault.secrets._users, vault.secrets._uses))

    asyncio.run(main())


def test_the_number_of_polls_in_a_second_is_bounded() -> None:
    vault = Vault()

    async def main() -> None:
        for number in range(2000):
            meta = {"name": f"s{number}", "namespace": "desk"}
            vault.cluster.put({**CREDENTIALS, "metadata": meta})
            await vault.secrets.observe(NamespacedName("desk", f"b{number}"), f"s{number}", KEYS)
        await vault.after(60)

    in_fake_time(main())
    assert 0 < vault.reads("version") <= 60 * credentials.POLLS_PER_SECOND


@pytest.mark.parametrize("gone", [True, False])
def test_a_change_that_one_bot_reads_is_a_change_for_the_others(gone: bool) -> None:
    vault = Vault()

    async def main() -> None:
        await vault.observe(BOT)
        if gone:
            vault.cluster.drop("Secret", "desk", SECRET)
        else:
            vault.cluster.put(rotated())
        await vault.observe(OTHER, needs=("other",))
        assert BOT in vault.changed

    asyncio.run(main())


def with_another_key() -> JsonObject:
    return {**CREDENTIALS, "data": {**CREDENTIALS["data"], "unused": "TkVX"}}


def created_again() -> JsonObject:
    return {**CREDENTIALS, "metadata": {**CREDENTIALS["metadata"], "uid": "another"}}


@pytest.mark.parametrize("change", [annotated, with_another_key, created_again])
@pytest.mark.parametrize("away", [False, True])
def test_a_secret_with_the_same_values_is_no_change(
    change: Callable[[], JsonObject], away: bool
) -> None:
    vault = Vault()

    async def main() -> None:
        before = await vault.observe()
        if away:  # `kubectl replace --force` deletes it first
            vault.cluster.drop("Secret", "desk", SECRET)
            assert await vault.observe(OTHER, needs=("other",)) is None
            vault.changed.clear()
        vault.cluster.put(change())
        await vault.after(INTERVAL * 2 + 1)
        after = await vault.observe(recorded=before.record)
        assert vault.changed == []
        # Not even the record is written again.
        assert after.record.text() == before.record.text()

    in_fake_time(main())


def test_a_secret_that_comes_back_with_another_value_is_a_change() -> None:
    vault = Vault()

    async def main() -> None:
        before = await vault.observe()
        vault.cluster.drop("Secret", "desk", SECRET)
        await vault.after(INTERVAL + 1)
        assert await vault.observe() is None
        vault.cluster.put(rotated())
        after = await vault.observe()
        assert after.record.revision != before.record.revision

    in_fake_time(main())


FLAWED = {"", "QQo="}
"""Values that can't be credentials: none, and one with a newline."""
values = st.sampled_from([*sorted(FLAWED), "QQ==", "Qg==", "QUE="])
contents = st.dictionaries(st.sampled_from([*KEYS, "other"]), values)


@settings(deadline=None)
@given(contents, contents, st.booleans())
def test_the_revision_changes_with_the_values_in_use_and_only_with_them(
    before: dict[str, str], after: dict[str, str], through_a_restart: bool
) -> None:
    vault = Vault()

    async def main() -> None:
        vault.cluster.put(rotated(**before, filler="QQ=="))
        first = await vault.observe()
        if through_a_restart:
            vault.secrets.drop(BOT)
        vault.cluster.put(rotated(**after, filler="Qg=="))
        kept = first.record if first.facts.has(KEYS) else None
        await vault.observe(recorded=kept)
        await vault.after(INTERVAL + 1)
        second = await vault.observe(recorded=kept)
        assert second.facts.has(KEYS) is all(after.get(key, "") not in FLAWED for key in KEYS)
        if first.facts.has(KEYS) and second.facts.has(KEYS):
            same = all(before[key] == after[key] for key in KEYS)
            assert (first.record.revision == second.record.revision) is same

    in_fake_time(main())
