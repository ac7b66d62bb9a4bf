"""A stop is carried out whatever the cluster's admission refuses, or everybody knows of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from foreign_admission import (
    DEPLOYMENT_DELETES,
    DEPLOYMENT_UPDATES,
    NEVER,
    POD_DELETES,
    SUBRESOURCE_UPDATES,
    WANTS_LABEL,
    annotate,
    dead_webhook,
    hanging_webhook,
    mutation,
    patch_as_operator,
    policy,
)
from person import Object, Person, condition, eventually, sample, sample_bot
from simulated_bots import SimulatedBots
from stopping_bots import DELETED, PHASES, StoppingBots, replicas_owners

BOT = "arb-bot-binance"
REFUSED = "every Deployment wants a label team"
HOLD = "example.com/hold"
BLOCKED_WITHIN = 45.0
"""Seconds until a stop that is refused is reported: 15, and what the attempts take."""
HELD_WITHIN = 90.0
"""The same of a pod that stays: its grace period has to be over first."""

Refusal = Callable[[Person], AbstractContextManager[None]]


def a_policy(*rules: Object, expression: str = NEVER) -> Refusal:
    return lambda person: policy(
        person, *rules, message=REFUSED, probe=annotate("paused"), expression=expression
    )


def replicas_put_back(person: Person) -> AbstractContextManager[None]:
    both = {**DEPLOYMENT_UPDATES, "resources": ["deployments", "deployments/scale"]}
    return mutation(
        person,
        both,
        patch='[JSONPatch{op: "add", path: "/spec/replicas", value: 1}]',
        probe=patch_as_operator("deployment", "paused", {"spec": {"replicas": 0}}),
        shows='"replicas":1,"selector"',  # of the spec, not of the status
    )


def dead(person: Person) -> AbstractContextManager[None]:
    return dead_webhook(person, DEPLOYMENT_UPDATES, probe=annotate("paused"))


def hanging(person: Person) -> AbstractContextManager[None]:
    probe = annotate("paused", seconds=1)
    return hanging_webhook(person, SUBRESOURCE_UPDATES, probe=probe)


@pytest.fixture
def desk(person: Person, bots: SimulatedBots) -> StoppingBots:
    """Bots that all run, for each reason to stop one."""
    found = StoppingBots(person, bots)
    found.run()
    return found


@pytest.mark.parametrize(
    "refusal",
    [
        a_policy(DEPLOYMENT_UPDATES, expression=WANTS_LABEL),
        a_policy(SUBRESOURCE_UPDATES),
        dead,
        hanging,
        replicas_put_back,
    ],
    ids=[
        "a policy that wants a label",
        "a policy on every subresource",
        "a webhook whose server is down",
        "a webhook whose server hangs",
        "a policy that puts the replicas back",
    ],
)
def test_every_stop_is_carried_out_in_spite_of(desk: StoppingBots, refusal: Refusal) -> None:
    with refusal(desk.person):
        desk.stop()
        desk.await_stopped()
    desk.start_again()
    for name, deployment in desk.deployments().items():
        if name not in {"halted", DELETED}:  # what was deleted may be yet to be collected
            assert deployment["spec"]["replicas"] == 1
            assert replicas_owners(deployment) == ["tradingbot-operator/Apply/"], name
            assert "DriftCorrected" not in desk.person.events(name)
    desk.person.await_events("halted", "Halted")


@pytest.mark.parametrize(
    "rules",
    [
        (SUBRESOURCE_UPDATES, DEPLOYMENT_DELETES),
        (SUBRESOURCE_UPDATES, DEPLOYMENT_DELETES, POD_DELETES),
    ],
    ids=["nor Deployments to be deleted", "nor Deployments and pods to be deleted"],
)
def test_a_stop_that_is_refused_altogether_is_reported_and_carried_out_later(
    desk: StoppingBots, rules: tuple[Object, ...]
) -> None:
    person = desk.person
    pods = {pod["metadata"]["uid"] for pod in person.listed("pods")}
    with a_policy(*rules)(person):
        desk.stop()
        eventually(lambda: every_status_says_why(desk), seconds=BLOCKED_WITHIN)
        for name in [*PHASES, DELETED]:
            messages = person.await_events(name, "StopBlocked")
            assert [REFUSED in message for message in messages] == [True], (name, messages)
        assert person.metric("tradingbot_operator_stops_blocked") == len(PHASES) + 1
        if POD_DELETES in rules:
            assert {pod["metadata"]["uid"] for pod in person.listed("pods")} == pods
    desk.await_stopped()
    eventually(lambda: person.metric("tradingbot_operator_stops_blocked") == 0)
    eventually(lambda: every_end_is_told(desk))
    desk.start_again()


def every_status_says_why(desk: StoppingBots) -> bool:
    """Whether each bot says that it still has a pod, and what the API server said."""
    bots = {bot["metadata"]["name"]: bot for bot in desk.person.listed("tradingbots")}
    for name in [*PHASES, DELETED]:
        bot = bots[name]
        assert bot["status"]["phase"] == ("Terminating" if name == DELETED else "Stopping"), name
        blocked = condition(bot, "StopBlocked")
        assert (blocked["status"], blocked["reason"]) == ("True", "Refused"), name
        assert REFUSED in blocked["message"]
        assert blocked["observedGeneration"] == bot["metadata"]["generation"], name
        assert bot["status"]["observedGeneration"] == bot["metadata"]["generation"], name
        assert condition(bot, "Ready")["status"] == "False", name
    return True


def every_end_is_told(desk: StoppingBots) -> bool:
    """Whether each bot has one event of the blocked stop and one of its end."""
    for name in PHASES:
        events = desk.person.events(name)
        counts = [events.count(reason) for reason in ("StopBlocked", "StopCompleted")]
        assert counts == [1, 1], (name, events)
    return True


def test_a_pod_that_a_finalizer_holds_is_reported_until_it_has_gone(person: Person) -> None:
    person.running_bot()
    (pod,) = person.items("pod", bot=BOT)
    name = pod["metadata"]["name"]
    person.patched("pod", name, {"metadata": {"finalizers": [HOLD]}})
    try:
        person.patched("tbot", BOT, {"spec": {"paused": True}})
        person.await_phase(BOT, "Stopping")
        bot = eventually(lambda: blocked_bot(person), seconds=HELD_WITHIN)
        assert condition(bot, "StopBlocked")["reason"] == "PodRemains"
        assert name in condition(bot, "StopBlocked")["message"]
        assert condition(bot, "Ready")["status"] == "False"
        person.await_events(BOT, "StopBlocked")
    finally:
        person.patched("pod", name, {"metadata": {"finalizers": None}})
    bot = person.await_phase(BOT, "Paused")
    assert condition(bot, "StopBlocked")["status"] == "False"
    eventually(lambda: "StopCompleted" in person.events(BOT))


def blocked_bot(person: Person) -> Object:
    """Return the bot; AssertionError while its stop does not count as blocked."""
    bot = person.get("tbot", BOT)
    assert bot is not None
    assert condition(bot, "StopBlocked")["status"] == "True"
    return bot


def test_a_stop_depends_on_no_other_child(person: Person) -> None:
    person.running_bot()
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps", "services"],
    }
    probe = annotate(BOT, kind="service")
    with policy(person, rule, message=REFUSED, probe=probe):
        limits = {**sample_bot()["spec"]["riskManagement"], "dailyLossLimit": "150"}
        person.patched("tbot", BOT, {"spec": {"paused": True, "riskManagement": limits}})
        eventually(lambda: person.items("pod", bot=BOT) == [])
        bot = person.await_phase(BOT, "Paused")
        assert condition(bot, "ChildrenApplied")["status"] == "False"
        assert REFUSED in condition(bot, "ChildrenApplied")["message"]
    person.patched("tbot", BOT, {"spec": {"paused": False}})
    person.await_phase(BOT, "Running")


def test_a_bot_that_never_had_a_pod_is_deleted_while_everything_is_refused(person: Person) -> None:
    person.applied(sample("secret.yaml"), sample_bot(paused=True))
    person.await_phase(BOT, "Paused")
    rules = (SUBRESOURCE_UPDATES, DEPLOYMENT_DELETES, POD_DELETES)
    with policy(person, *rules, message=REFUSED, probe=annotate(BOT)):
        person.deleted("tbot", BOT)
