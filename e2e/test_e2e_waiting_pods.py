"""A pod that can't start: condition Ready names the pod's own reason.

The simulated node runs nothing, so where the reason is the kubelet's, the test writes the pod's
status as a kubelet does, as the administrator. Where it is the scheduler's, it is the real one's.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from person import Object, Person, assert_is_false, condition, eventually, sample, sample_bot
from tradingbot_dev.control_plane.components import KWOK, NODE_NAME

BOT = "arb-bot-binance"
PULL = 'Back-off pulling image "ghcr.io/example/arb-bot:latest"'
CRASH = "back-off 40s restarting failed container=bot"


def not_ready_with(person: Person, *parts: str) -> Object:
    """Return the bot once Ready is False and says all this."""

    def look() -> Object:
        bot = person.get("tbot", BOT)
        assert bot is not None
        assert_is_false(bot, "Ready", *parts)
        return bot

    return eventually(look)


def pod_name(person: Person) -> str:
    (pod,) = eventually(lambda: person.items("pod", bot=BOT))
    return str(pod["metadata"]["name"])


def set_waiting(person: Person, *, phase: str, reason: str, message: str) -> None:
    """Report a container that waits, as a kubelet does."""
    unready = [
        {"type": type_, "status": "False", "reason": "ContainersNotReady"}
        for type_ in ("Ready", "ContainersReady")
    ]
    container = {
        "name": "bot",
        "image": "ghcr.io/example/arb-bot:latest",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    conditions = [{"type": "PodScheduled", "status": "True"}, *unready]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": [container]}
    person.patched("pod", pod_name(person), {"status": status}, subresource="status")


@contextmanager
def silent_node(person: Person) -> Iterator[None]:
    """Stop the simulated node: pods are scheduled to it, and it says nothing of them."""
    plane = person.system.plane
    plane.table.kill(KWOK)
    try:
        yield
    finally:
        # Its lease is another process's; it would wait for the end of that.
        plane.kubectl("-n", "kube-node-lease", "delete", "lease", NODE_NAME)
        plane.start()


def test_a_pod_that_no_node_has_room_for_is_named_with_the_schedulers_reason(
    person: Person,
) -> None:
    room = {"cpu": "9000", "memory": "128Mi"}
    bot = sample_bot(resources={"requests": room, "limits": room})
    person.applied(sample("secret.yaml"), bot)
    found = not_ready_with(person, "Unschedulable", "Insufficient cpu")
    assert found["status"]["phase"] == "Pending"


def test_an_image_that_cannot_be_pulled_is_named(person: Person) -> None:
    with silent_node(person):
        person.applied(sample("secret.yaml"), sample_bot())
        eventually(lambda: any("nodeName" in pod["spec"] for pod in person.listed("pods")))
        set_waiting(person, phase="Pending", reason="ImagePullBackOff", message=PULL)
        found = not_ready_with(person, "ImagePullBackOff", PULL)
        assert found["status"]["phase"] == "Pending"
    person.await_phase(BOT, "Running")
    assert "ImagePullBackOff" not in json.dumps(person.get("tbot", BOT))


def test_a_bot_that_crashes_again_and_again_is_named(person: Person) -> None:
    person.running_bot()
    set_waiting(person, phase="Running", reason="CrashLoopBackOff", message=CRASH)
    found = not_ready_with(person, "CrashLoopBackOff", CRASH)
    assert found["status"]["phase"] == "Pending"
    assert condition(found, "ChildrenApplied")["status"] == "True"
