"""Secrets are read once, then polled by their metadata, and only other values are a change."""

import asyncio
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_cluster import FakeCluster, Fault
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_harness import SECRET, cancelled, in_fake_time
from reconcile_harness import CREDENTIALS, DIGEST_KEYS, SERVER_ERROR
from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName
from tradingbot_operator import CREDENTIALS as ANNOTATION
from tradingbot_operator.bots import credentials
from tradingbot_operator.bots.credentials import Observation, Secrets
from tradingbot_operator.bots.credentials_record import Record
from tradingbot_operator.bots.digest_keys import DigestKey, DigestKeys

BOT, OTHER = NamespacedName("desk", "arb"), NamespacedName("desk", "mm")
KEYS = ("api-key", "api-secret")
INTERVAL = 60.0


class Vault:
    """A cluster with a Secret, and the `Secrets` under test."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cluster.put(CREDENTIALS)
        self.changed: list[NamespacedName] = []
        self.secrets = Secrets(
            self.cluster, interval=INTERVAL, changed=self.changed.append, keys=DIGEST_KEYS
        )

    async def observe(
        self,
        bot: NamespacedName = BOT,
        needs: tuple[str, ...] = KEYS,
        recorded: Record | None = None,
    ) -> Any:
        return await self.secrets.observe(bot, SECRET, needs, recorded)

    async def after(self, seconds: float) -> None:
        """Look after the Secrets for that long."""
        task = asyncio.create_task(self.secrets.run())
        await asyncio.sleep(seconds)
        await cancelled(task)

    def reads(self, verb: str) -> int:
        return sum(request[0] == verb for request in self.cluster.reads)


def rotated(**data: str) -> JsonObject:
    """The Secret with another value of `api-key`, or with these data."""
    return {**CREDENTIALS, "data": data or {**CREDENTIALS["data"], "api-key": "TkVX"}}


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


# ---- the same values again


def annotated() -> JsonObject:
    return {**CREDENTIALS, "metadata": {**CREDENTIALS["metadata"], "annotations": {"a": "b"}}}


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


# ---- what an operator finds that comes after another


def stored(found: Observation) -> Record:
    """What an operator reads that comes after one which has found that."""
    deployment = {"metadata": {"annotations": {ANNOTATION: found.record.text()}}}
    record = Record.read(deployment, SECRET)
    assert record is not None
    return record


def test_a_record_is_read_as_it_was_written_and_only_of_the_secret_it_names() -> None:
    found = asyncio.run(Vault().observe())
    assert stored(found) == found.record
    assert (
        Record.read({"metadata": {"annotations": {ANNOTATION: found.record.text()}}}, "x") is None
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "{}", '{"secret": "binance-creds", "version": 1, "keys": 2}'),
        '{"secret": "binance-creds", "version": "1", "keys": {}, "revision": 7}',
        '{"secret": "binance-creds", "version": "1", "keys": {}, "revision": "%s"}' % ("x" * 99),
    ],
)
def test_a_record_that_somebody_has_spoilt_is_none(text: str) -> None:
    deployment = {"metadata": {"annotations": {ANNOTATION: text}}}
    assert Record.read(deployment, SECRET) is None
    assert Record.read(None, SECRET) is None


def test_the_record_of_the_previous_operator_is_used_until_the_first_poll() -> None:
    before, vault = Vault(), Vault()

    async def main() -> None:
        record = stored(await before.observe())
        for bot in (BOT, OTHER):
            assert (await vault.observe(bot, recorded=record)).record == record
        assert vault.cluster.reads == []
        vault.cluster.put(rotated())
        await vault.after(INTERVAL + 1)
        assert sorted(vault.changed) == [BOT, OTHER]
        # Its Deployment has the old record still.
        assert (await vault.observe(BOT, recorded=record)).record.revision != record.revision

    in_fake_time(main())


@pytest.mark.parametrize("newest_first", [True, False])
def test_records_that_differ_make_the_operator_read_the_secret_for_both_bots(
    newest_first: bool,
) -> None:
    vault, before = Vault(), Vault()

    async def main() -> None:
        old = stored(await before.observe())
        for place in (before, vault):
            place.cluster.put(rotated())
        new = stored(await before.observe(OTHER, needs=(*KEYS, "x")))
        new = replace(new, facts=new.facts.only(KEYS), stored=None)
        records = [(BOT, new), (OTHER, old)] if newest_first else [(OTHER, old), (BOT, new)]
        for bot, record in records:
            await vault.observe(bot, recorded=record)
        revisions = {
            bot: (await vault.observe(bot, recorded=record)).record.revision
            for bot, record in records
        }
        assert revisions[BOT] == new.revision
        assert revisions[OTHER] != old.revision

    asyncio.run(main())


@pytest.mark.parametrize("gone", [True, False])
def test_a_record_is_doubted_by_a_bot_that_has_none_or_needs_another_key(gone: bool) -> None:
    vault, before = Vault(), Vault()

    async def main() -> None:
        record = stored(await before.observe())
        if gone:
            vault.cluster.drop("Secret", "desk", SECRET)
        else:
            vault.cluster.put(rotated(other="VkFMVUU="))
        await vault.observe(BOT, recorded=record)
        assert vault.changed == []
        found = await vault.observe(OTHER, needs=("other",))
        assert found is None if gone else found.facts.has(["other"])
        assert BOT in vault.changed
        again = await vault.observe(BOT, recorded=record)
        assert again is None if gone else not again.facts.has(KEYS)

    asyncio.run(main())


# ---- records of an earlier version, and other keys


def old_record(version: str) -> Record:
    """What a version recorded that compared Secrets by their resource version."""
    text = json.dumps({"secret": SECRET, "version": version, "keys": sorted(KEYS)})
    record = Record.read({"metadata": {"annotations": {ANNOTATION: text}}}, SECRET)
    assert record is not None
    return record


def test_an_upgrade_restarts_no_bot_and_reads_each_secret_at_its_first_poll() -> None:
    vault = Vault()

    async def main() -> None:
        record = old_record("101")
        found = await vault.observe(recorded=record)
        # The restart hash stays: the version that it had before is the first revision.
        assert found.record.revision == "101"
        assert found.record.text() == record.text()
        assert vault.cluster.reads == []
        await vault.after(INTERVAL + 1)
        assert vault.changed == [BOT]
        after = await vault.observe(recorded=record)
        assert (after.record.revision, after.record.facts.key) == ("101", DIGEST_KEYS.current.id)
        # From now on, another version with the same values is not a change.
        vault.cluster.put(annotated())
        await vault.after(INTERVAL + 1)
        assert vault.changed == [BOT]

    in_fake_time(main())


def test_a_secret_that_was_written_before_an_upgrade_counts_as_changed() -> None:
    vault = Vault()

    async def main() -> None:
        await vault.observe(recorded=old_record("100"))
        await vault.after(INTERVAL + 1)
        after = await vault.observe(recorded=old_record("100"))
        assert after.record.revision != "100"
        assert after.record.declared == "100"

    in_fake_time(main())


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("written", [True, False])
def test_a_new_key_restarts_a_bot_only_if_the_old_one_is_gone_and_the_secret_was_written(
    kept: bool, written: bool
) -> None:
    before, vault = Vault(), Vault()
    old, new = DIGEST_KEYS.current, DigestKey(b"n" * 32)
    vault.secrets.keys = DigestKeys(new, old if kept else None)

    async def main() -> None:
        record = stored(await before.observe())
        if written:
            vault.cluster.put(annotated())
        await vault.observe(recorded=record)
        await vault.after(INTERVAL + 1)
        after = await vault.observe(recorded=record)
        assert after.record.facts.key == new.id
        assert (after.record.revision == record.revision) is (kept or not written)

    in_fake_time(main())


def test_digests_by_a_key_that_nobody_can_find_again_are_not_recorded() -> None:
    vault, before = Vault(), Vault()
    vault.secrets.keys = DigestKeys.unsaved()

    async def main() -> None:
        record = (await vault.observe()).record
        assert set(record.facts.digests.values()) == {""}
        assert record.facts.key == ""
        vault.cluster.put(annotated())
        await vault.after(INTERVAL + 1)
        assert vault.changed == []
        # Those of another operator are kept: the key may be found again.
        vault.secrets.drop(BOT)
        vault.cluster.put(CREDENTIALS)
        vault.cluster.objects["Secret", "desk", SECRET]["metadata"]["resourceVersion"] = "101"
        known = stored(await before.observe())
        await vault.observe(recorded=known)
        await vault.after(INTERVAL + 1)
        assert (await vault.observe(recorded=known)).record.text() == known.text()

    in_fake_time(main())
