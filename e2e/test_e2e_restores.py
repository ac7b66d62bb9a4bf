"""Bots restored from a backup, in Velero's order: pods first, no owners, no status."""

import json
from datetime import UTC, datetime

import pytest
from backups import (
    backed_up,
    lose_and_restore_as_paused,
    lose_everything,
    restore,
    restore_children,
    restore_status,
)
from person import Object, Person, condition, eventually, sample, sample_bot
from simulated_bots import SimulatedBots

BOT = "arb-bot-binance"
RESTORE_STATUS = "velero.io/restore-status"


def owned_children(person: Person) -> bool:
    """Whether each child belongs to the bot, and to the one that exists now."""
    uid = (person.get("tbot", BOT) or {})["metadata"]["uid"]
    children = person.items("configmap,deployment,service", bot=BOT)
    owners = {
        child["kind"]: [one["uid"] for one in child["metadata"].get("ownerReferences", [])]
        for child in children
    }
    assert owners == {key: [uid] for key in ("ConfigMap", "Deployment", "Service")}
    return True


def halted(person: Person, bots: SimulatedBots) -> Object:
    bots.set(person.namespace, BOT, day_pnl="-5000")
    bot = person.await_phase(BOT, "Halted")
    eventually(lambda: person.listed("pods") == [])
    return bot


# ---- a bot that ran


@pytest.mark.parametrize("with_status", [False, True], ids=["status dropped", "status kept"])
def test_a_bot_whose_pod_is_restored_first_runs_on_with_one_pod(
    person: Person, bots: SimulatedBots, *, with_status: bool
) -> None:
    bots.set(person.namespace, BOT)
    bot = person.running_bot()
    eventually(lambda: annotation(person) == "true")
    backup = backed_up(person)
    lose_everything(person)
    restore_children(person, backup)
    restore(person, backup, "TradingBot")
    if with_status:
        restore_status(person, backup)
    found = person.await_phase(BOT, "Running")
    assert found["metadata"]["uid"] != bot["metadata"]["uid"]
    eventually(lambda: owned_children(person))
    eventually(lambda: len(person.items("pod", bot=BOT)) == 1)
    assert "NameConflict" not in person.events(BOT)
    eventually(lambda: "Adopted" in person.events(BOT))
    person.patched("tbot", BOT, {"spec": {"riskManagement": {"dailyLossLimit": "150"}}})
    eventually(lambda: stored_config(person)["risk"]["dailyLossLimit"] == "150")
    person.patched("tbot", BOT, {"spec": {"paused": True}})
    person.await_phase(BOT, "Paused")
    eventually(lambda: person.listed("pods") == [])


def annotation(person: Person) -> str | None:
    annotations = (person.get("tbot", BOT) or {})["metadata"].get("annotations", {})
    found: str | None = annotations.get(RESTORE_STATUS)
    return found


def test_a_bot_that_is_restored_as_paused_is_stopped(person: Person) -> None:
    person.running_bot()
    lose_and_restore_as_paused(person)
    person.await_phase(BOT, "Paused")
    eventually(lambda: person.listed("pods") == [])
    assert owned_children(person)


def stored_config(person: Person) -> Object:
    found = person.get("configmap", f"{BOT}-config") or {}
    return dict(json.loads(found["data"]["bot.json"]))


# ---- a bot that was halted


@pytest.mark.parametrize("with_status", [False, True], ids=["status dropped", "status kept"])
def test_a_halted_bot_is_still_halted_after_a_restore(
    person: Person, bots: SimulatedBots, *, with_status: bool
) -> None:
    bots.set(person.namespace, BOT)
    person.running_bot()
    before = halted(person, bots)["status"]["risk"]
    until = eventually(lambda: stored_config(person).get("haltedUntil"))
    assert instant(str(until)) == instant(before["resumesAt"])
    backup = backed_up(person)
    lose_everything(person)
    bots.set(person.namespace, BOT, day_pnl="500")
    restore_children(person, backup)
    restore(person, backup, "TradingBot")
    if with_status:
        restore_status(person, backup)
    after = person.await_phase(BOT, "Halted")
    assert instant(after["status"]["risk"]["resumesAt"]) == instant(before["resumesAt"])
    assert condition(after, "RiskHalted")["status"] == "True"
    assert pods_created(person) == 1, "the one before the halt"
    assert person.items("deployment", bot=BOT)[0]["spec"]["replicas"] == 0


def test_a_pod_backed_up_just_before_the_halt_is_stopped_after_the_restore(
    person: Person, bots: SimulatedBots
) -> None:
    # A backup is not made at one instant: the pod may be of before the halt, bot.json of after it.
    bots.set(person.namespace, BOT)
    person.running_bot()
    early = backed_up(person)
    halted(person, bots)
    eventually(lambda: stored_config(person).get("haltedUntil"))
    late = backed_up(person)
    lose_everything(person)
    bots.set(person.namespace, BOT, day_pnl="500")
    backup = {**late, **{kind: early[kind] for kind in ("Pod", "ReplicaSet", "Deployment")}}
    restore_children(person, backup)
    restore(person, backup, "TradingBot")
    person.await_phase(BOT, "Halted")
    eventually(lambda: person.listed("pods") == [])
    assert not {"Resumed", "ScheduleOpened"} & set(person.events(BOT))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def pods_created(person: Person) -> int:
    """Return how many pods were ever created in the namespace."""
    return sum(
        event["verb"] == "create"
        and event["objectRef"]["resource"] == "pods"
        and "subresource" not in event["objectRef"]
        and event["objectRef"].get("namespace") == person.namespace
        and event["responseStatus"]["code"] == 201
        for event in person.requests()
    )


def test_every_bot_asks_for_its_status_to_be_restored(person: Person) -> None:
    person.applied(sample("secret.yaml"), sample_bot(paused=True))
    person.await_phase(BOT, "Paused")
    eventually(lambda: annotation(person) == "true")
