"""Bots restored from a backup on a real node: their pods run before anybody governs them."""

from datetime import UTC, datetime, timedelta

from backups import (
    backed_up,
    lose_and_restore_as_paused,
    lose_everything,
    restore,
    restore_children,
)
from person import Person, condition, eventually, named_bot, sample
from real_bots import BOT, image_of, running_bot

STOPPED_WITHIN = 45.0
"""Seconds: 30 for the decision and the writes, and what a bot takes to end by itself."""


def test_a_bot_whose_pod_is_restored_first_is_adopted_with_one_pod_and_can_be_paused(
    person: Person,
) -> None:
    running_bot(person)
    backup = backed_up(person)
    lose_everything(person)
    restore_children(person, backup)
    restore(person, backup, "TradingBot")
    person.await_phase(BOT, "Running")
    eventually(lambda: len(person.items("pod", bot=BOT)) == 1)
    eventually(lambda: "Adopted" in person.events(BOT))
    assert "NameConflict" not in person.events(BOT)
    person.patched("tbot", BOT, {"spec": {"paused": True}})
    eventually(lambda: person.listed("pods") == [], seconds=STOPPED_WITHIN)
    person.await_phase(BOT, "Paused")


def test_a_bot_that_is_restored_as_paused_is_stopped(person: Person) -> None:
    running_bot(person)
    lose_and_restore_as_paused(person)
    eventually(lambda: person.listed("pods") == [], seconds=STOPPED_WITHIN)
    person.await_phase(BOT, "Paused")


def test_a_halted_bot_is_still_halted_after_a_restore_without_its_status(person: Person) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    losing = image_of(named_bot(BOT), loss="250", until=until.isoformat())
    person.applied(sample("secret.yaml"), losing)
    before = person.await_phase(BOT, "Halted")["status"]["risk"]
    eventually(lambda: person.listed("pods") == [], seconds=STOPPED_WITHIN)
    backup = backed_up(person)
    lose_everything(person)
    restore_children(person, backup)
    restore(person, backup, "TradingBot")
    after = person.await_phase(BOT, "Halted")
    assert after["status"]["risk"]["resumesAt"] == before["resumesAt"]
    assert condition(after, "RiskHalted")["status"] == "True"
    assert person.listed("pods") == []
