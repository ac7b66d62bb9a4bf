"""Children without an owner: stopped when their bot goes, and adopted when it comes back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from foreign_admission import DEPLOYMENT_DELETES, SUBRESOURCE_UPDATES, annotate, policy
from person import Object, Person, condition, eventually, named_bot, sample, sample_bot
from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.product.system import OPERATOR

BOT = "arb-bot-binance"
MANY = [f"bot-{number}" for number in range(5)]
GHOST = "ghost"
SWEEP_SECONDS = 3
REFUSED = "nobody changes a Deployment today"
OURS = {
    "app.kubernetes.io/name": "tradingbot",
    "app.kubernetes.io/managed-by": "tradingbot-operator",
}


def deployment(name: str, labels: Object, **metadata: object) -> Object:
    """Return a Deployment of somebody's, with one pod."""
    selector = {"app": name}
    container = {"name": "bot", "image": "example.com/bot:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels, **metadata},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": selector}, "spec": {"containers": [container]}},
        },
    }


def ours(bot: str) -> Object:
    return {**OURS, "trading.io/bot": bot}


def replicas(person: Person) -> dict[str, int]:
    """Return what each Deployment of the namespace asks for."""
    found = person.listed("deployments")
    return {one["metadata"]["name"]: one["spec"]["replicas"] for one in found}


def children(person: Person, bot: str) -> list[Object]:
    return person.items("deployment,configmap,service", bot=bot)


# ---- deletions


def test_bots_deleted_with_orphaned_children_are_stopped_and_adopted_when_made_again(
    person: Person,
) -> None:
    bots = [named_bot(name) for name in MANY]
    person.applied(sample("secret.yaml"), *bots)
    person.await_phases(dict.fromkeys(MANY, "Running"))
    before = {one["metadata"]["name"]: one for one in person.listed("deployments")}
    command = ("delete", "tbot", "--all", "--cascade=orphan", "--timeout=120s")
    deleted = person.kubectl(*command)
    assert deleted.returncode == 0, deleted.stderr
    # At this very moment, not some time later: nobody governs them any more.
    assert replicas(person) == dict.fromkeys(MANY, 0)
    eventually(lambda: person.listed("pods") == [])
    for name in MANY:
        kinds = sorted(child["kind"] for child in children(person, name))
        assert kinds == ["ConfigMap", "Deployment", "Service"], name
        assert not [one for one in children(person, name) if owners(one)], name

    person.applied(*bots)
    person.await_phases(dict.fromkeys(MANY, "Running"))
    for name in MANY:
        bot = person.get("tbot", name) or {}
        for child in children(person, name):
            (owner,) = owners(child)
            assert (owner["uid"], owner["controller"]) == (bot["metadata"]["uid"], True)
        (same,) = person.items("deployment", bot=name)
        assert same["metadata"]["uid"] == before[name]["metadata"]["uid"]
        eventually(lambda name=name: "Adopted" in person.events(name))  # type: ignore[misc]
    assert len(person.listed("pods")) == len(MANY)


def owners(child: Object) -> list[Object]:
    return list(child["metadata"].get("ownerReferences", []))


def test_orphaning_while_no_operator_runs_is_noticed_by_the_next_one(person: Person) -> None:
    person.running_bot()
    person.system.stop_one(OPERATOR)
    try:
        person.kubectl("delete", "tbot", BOT, "--cascade=orphan", "--wait=false")
        # The garbage collector is done: nothing tells this deletion from any other.
        eventually(lambda: not owners(person.get("deployment", BOT) or {}))
        eventually(
            lambda: "orphan" not in (person.get("tbot", BOT) or {})["metadata"]["finalizers"]
        )
    finally:
        person.system.start_one(OPERATOR)
    eventually(lambda: person.get("tbot", BOT) is None)
    assert replicas(person) == {BOT: 0}
    eventually(lambda: person.listed("pods") == [])


@pytest.mark.parametrize("cascade", ["foreground", "background"])
def test_a_bot_deleted_with_its_children_leaves_no_pod(person: Person, cascade: str) -> None:
    person.running_bot()
    command = ("delete", "tbot", BOT, f"--cascade={cascade}", "--timeout=120s")
    deleted = person.kubectl(*command)
    assert deleted.returncode == 0, deleted.stderr
    assert person.items("pod", bot=BOT) == []
    # The garbage collector learns of a new kind of owner within half a minute.
    eventually(lambda: children(person, BOT) == [])


# ---- adoption


def test_orphans_that_somebody_has_changed_are_stopped_before_they_are_adopted(
    person: Person,
) -> None:
    person.running_bot()
    person.deleted("tbot", BOT, cascade="orphan")
    image = {"containers": [{"name": "bot", "image": "example.com/other:1"}]}
    template = {"spec": {"replicas": 1, "template": {"spec": image}}}
    done = person.kubectl("patch", "deployment", BOT, "-p", json.dumps(template))
    assert done.returncode == 0, done.stderr
    eventually(lambda: images(person) == {"example.com/other:1"})
    person.applied(sample_bot())
    person.await_phase(BOT, "Running")
    declared = sample_bot()["spec"]["strategy"]["image"]
    eventually(lambda: images(person) == {declared})
    assert condition(person.get("tbot", BOT) or {}, "ChildrenApplied")["status"] == "True"


def images(person: Person) -> set[str]:
    pods = person.items("pod", bot=BOT)
    return {container["image"] for pod in pods for container in pod["spec"]["containers"]}


def test_orphans_of_a_bot_that_is_made_again_as_paused_stay_stopped(person: Person) -> None:
    person.running_bot()
    person.deleted("tbot", BOT, cascade="orphan")
    person.kubectl("scale", "deployment", BOT, "--replicas=1")
    person.applied(sample_bot(paused=True))
    person.await_phase(BOT, "Paused")
    eventually(lambda: person.listed("pods") == [])
    assert replicas(person) == {BOT: 0}


def somebody(person: Person) -> Object:
    """Return the reference to a controller that is not ours, and exists."""
    person.kubectl("create", "configmap", "somebody")
    uid = (person.get("configmap", "somebody") or {})["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "somebody", "uid": uid}
    return {**reference, "controller": True}


def test_a_child_that_somebody_else_controls_is_never_touched(person: Person) -> None:
    person.applied(deployment(BOT, ours(BOT), ownerReferences=[somebody(person)]))
    eventually(lambda: len(person.listed("pods")) == 1)
    before = (person.get("deployment", BOT) or {})["metadata"]
    person.applied(sample("secret.yaml"), sample_bot())
    bot = person.await_phase(BOT, "Failed")
    assert condition(bot, "Ready")["reason"] == "NameConflict"
    person.deleted("tbot", BOT)
    after = (person.get("deployment", BOT) or {})["metadata"]
    for part in ("uid", "generation", "labels", "ownerReferences"):
        assert after[part] == before[part]
    assert len(person.listed("pods")) == 1


def test_a_child_without_our_labels_for_this_bot_is_a_conflict(person: Person) -> None:
    labels: dict[str, Object] = {
        "no-label": {},
        "label-of-the-bot-only": {"trading.io/bot": "label-of-the-bot-only"},
        "label-of-the-operator-only": OURS,
        "labels-of-another-bot": ours("other"),
    }
    person.applied(*(deployment(name, its) for name, its in labels.items()))
    person.applied(sample("secret.yaml"), *map(named_bot, labels))
    person.await_phases(dict.fromkeys(labels, "Failed"))
    for bot in person.listed("tradingbots"):
        name = bot["metadata"]["name"]
        assert condition(bot, "Ready")["reason"] == "NameConflict"
        assert f"Deployment {name}" in condition(bot, "Ready")["message"]
        assert not owners(person.get("deployment", name) or {})


# ---- the sweep


@contextmanager
def sweeping_operator(person: Person) -> Iterator[int]:
    """Run an operator that looks every few seconds, in place of the usual one; its port."""
    system, name = person.system, "operator-that-sweeps"
    port = Ports.free().operator_health
    settings = {"TRADINGBOT_OPERATOR_RESYNC_INTERVAL": str(SWEEP_SECONDS)}
    system.stop_one(OPERATOR)
    try:
        system.start_another_operator(name, health_port=port, settings=settings)
        yield port
    finally:
        system.plane.table.kill(name)
        system.start_one(OPERATOR)


def test_a_deployment_of_ours_without_a_bot_is_stopped_by_the_next_sweep_that_may(
    person: Person,
) -> None:
    running = "tradingbot_operator_ungoverned_deployments"
    rules = (SUBRESOURCE_UPDATES, DEPLOYMENT_DELETES)
    with sweeping_operator(person) as port:
        person.running_bot()  # it works before there is a ghost
        eventually(lambda: person.metric(running, port=port) == 0)
        with policy(person, *rules, message=REFUSED, probe=annotate(BOT)):
            person.applied(deployment(GHOST, ours(GHOST)))
            eventually(lambda: person.metric(running, port=port) == 1)
            assert REFUSED in eventually(lambda: ungoverned(person))[0]
        eventually(lambda: replicas(person) == {BOT: 1, GHOST: 0})
        eventually(lambda: person.metric(running, port=port) == 0)
    (still,) = person.items("pod", bot=BOT)
    assert "deletionTimestamp" not in still["metadata"]


def test_an_operator_that_starts_stops_what_nobody_governs(person: Person) -> None:
    owner = somebody(person)
    person.system.stop_one(OPERATOR)
    try:
        person.applied(
            deployment(GHOST, ours(GHOST)),
            deployment("theirs", ours("theirs"), ownerReferences=[owner]),
        )
        eventually(lambda: len(person.listed("pods")) == 2)
    finally:
        person.system.start_one(OPERATOR)
    eventually(lambda: replicas(person)[GHOST] == 0)
    assert len(eventually(lambda: ungoverned(person))) == 1
    assert replicas(person) == {GHOST: 0, "theirs": 1}
    stops = person.metric("tradingbot_operator_ungoverned_stops_total")
    assert stops is not None
    assert stops >= 1


def ungoverned(person: Person) -> list[str]:
    return person.warnings(GHOST, "Ungoverned", kind="Deployment")
