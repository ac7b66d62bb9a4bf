"""Stops on a real node: no process of a bot trades on, whatever the cluster refuses."""

from datetime import UTC, datetime, timedelta

from foreign_admission import (
    DEPLOYMENT_DELETES,
    DEPLOYMENT_UPDATES,
    POD_DELETES,
    SUBRESOURCE_UPDATES,
    WANTS_LABEL,
    annotate,
    dead_webhook,
    policy,
)
from person import Object, Person, condition, eventually, named_bot, sample
from real_bots import BOT, image_of, running_bot

REFUSED = "every Deployment wants a label team"
HOLD = "example.com/hold"
STOPPED_WITHIN = 45.0
"""Seconds: 30 for the decision and the writes, and what a bot takes to end by itself."""
BLOCKED_WITHIN = 60.0
HELD_WITHIN = 120.0
"""Seconds until a pod that stays is reported: its grace period of 30 s has to be over first."""


def run(person: Person, *names: str) -> None:
    """Create bots of these names; returns when all run."""
    person.applied(sample("secret.yaml"), *(image_of(named_bot(name)) for name in names))
    person.await_phases(dict.fromkeys(names, "Running"))


def running(person: Person) -> list[str]:
    """Return the bots that have a pod, also one on its way out."""
    return sorted(pod["metadata"]["labels"]["trading.io/bot"] for pod in person.listed("pods"))


def pause(person: Person, name: str) -> None:
    person.patched("tbot", name, {"spec": {"paused": True}})


def test_a_policy_that_wants_a_label_does_not_keep_bots_running(person: Person) -> None:
    run(person, "paused", "deleted")
    with policy(
        person,
        DEPLOYMENT_UPDATES,
        message=REFUSED,
        probe=annotate("paused"),
        expression=WANTS_LABEL,
    ):
        until = datetime.now(UTC) + timedelta(days=1)
        losing = image_of(named_bot("losing"), loss="250", until=until.isoformat())
        person.applied(losing)
        pause(person, "paused")
        person.kubectl("delete", "tbot", "deleted", "--wait=false")
        eventually(
            lambda: {"paused", "deleted"}.isdisjoint(running(person)), seconds=STOPPED_WITHIN
        )
        # It has to start first, and to report what it has lost.
        person.await_phases({"paused": "Paused", "losing": "Halted"})
        eventually(lambda: running(person) == [], seconds=STOPPED_WITHIN)
        eventually(lambda: person.get("tbot", "deleted") is None, seconds=STOPPED_WITHIN)
    person.patched("tbot", "paused", {"spec": {"paused": False}})
    person.await_phases({"paused": "Running", "losing": "Halted"})


def test_a_webhook_whose_server_is_down_does_not_keep_a_bot_running(person: Person) -> None:
    running_bot(person)
    with dead_webhook(person, SUBRESOURCE_UPDATES, probe=annotate(BOT)):
        pause(person, BOT)
        eventually(lambda: running(person) == [], seconds=STOPPED_WITHIN)
        person.await_phase(BOT, "Paused")
    person.patched("tbot", BOT, {"spec": {"paused": False}})
    person.await_phase(BOT, "Running")


def test_a_stop_that_is_refused_altogether_is_reported_and_carried_out_later(
    person: Person,
) -> None:
    running_bot(person)
    rules = (SUBRESOURCE_UPDATES, DEPLOYMENT_DELETES, POD_DELETES)
    with policy(person, *rules, message=REFUSED, probe=annotate(BOT)):
        pause(person, BOT)
        bot = eventually(lambda: blocked(person), seconds=BLOCKED_WITHIN)
        assert REFUSED in condition(bot, "StopBlocked")["message"]
        assert bot["status"]["phase"] == "Stopping"
        assert running(person) == [BOT]
    eventually(lambda: running(person) == [])
    person.await_phase(BOT, "Paused")


def blocked(person: Person) -> Object:
    """Return the bot; AssertionError while its stop does not count as blocked."""
    bot = person.get("tbot", BOT)
    assert bot is not None
    assert condition(bot, "StopBlocked")["status"] == "True"
    return bot


def test_a_pod_that_a_finalizer_holds_does_not_trade_once_its_container_has_ended(
    person: Person,
) -> None:
    running_bot(person)
    (pod,) = person.items("pod", bot=BOT)
    name = pod["metadata"]["name"]
    person.patched("pod", name, {"metadata": {"finalizers": [HOLD]}})
    try:
        pause(person, BOT)
        person.await_phase(BOT, "Paused", seconds=HELD_WITHIN)
        (held,) = person.items("pod", bot=BOT)
        assert held["status"]["phase"] in {"Succeeded", "Failed"}
    finally:
        person.patched("pod", name, {"metadata": {"finalizers": None}})
    person.await_phase(BOT, "Paused")


def test_a_disruption_budget_stops_no_stop(person: Person) -> None:
    selector = {"matchLabels": {"app.kubernetes.io/name": "tradingbot"}}
    person.applied(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "all-stay"},
            "spec": {"minAvailable": 1, "selector": selector},
        }
    )
    running_bot(person)
    eventually(lambda: allowed_disruptions(person) == 0)
    with dead_webhook(person, SUBRESOURCE_UPDATES, DEPLOYMENT_DELETES, probe=annotate(BOT)):
        pause(person, BOT)
        # The ReplicaSet replaces each pod that is deleted: there is one, but never for long.
        bot = eventually(lambda: blocked(person), seconds=BLOCKED_WITHIN)
        assert "connection refused" in condition(bot, "StopBlocked")["message"]
    eventually(lambda: running(person) == [])
    person.await_phase(BOT, "Paused")


def allowed_disruptions(person: Person) -> int | None:
    status = (person.get("poddisruptionbudget", "all-stay") or {}).get("status", {})
    found: int | None = status.get("disruptionsAllowed")
    return found


def test_bots_deleted_with_orphaned_children_stop_and_start_when_made_again(
    person: Person,
) -> None:
    names = ("one", "two", "three")
    run(person, *names)
    command = ("delete", "tbot", "--all", "--cascade=orphan", "--timeout=120s")
    deleted = person.kubectl(*command)
    assert deleted.returncode == 0, deleted.stderr
    replicas = {one["metadata"]["name"]: one["spec"] for one in person.listed("deployments")}
    assert {name: spec["replicas"] for name, spec in replicas.items()} == dict.fromkeys(names, 0)
    eventually(lambda: running(person) == [], seconds=STOPPED_WITHIN)
    run(person, *names)
