"""What an operator records of a Secret, and what the operator after it makes of the record."""

import asyncio
import json
from dataclasses import replace

import pytest
from operator_harness import SECRET, in_fake_time
from reconcile_harness import CREDENTIALS, DIGEST_KEYS
from tradingbot_operator import CREDENTIALS as ANNOTATION
from tradingbot_operator.bots.credentials import Observation
from tradingbot_operator.bots.credentials_record import Record
from tradingbot_operator.bots.digest_keys import DigestKey, DigestKeys
from vault import BOT, INTERVAL, KEYS, OTHER, Vault, annotated, rotated

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
