"""What others write into a bot's children: put right if it changes what runs, else reported."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from person import Object, Person, condition, eventually, sample_bot
from simulated_bots import SimulatedBots
from tradingbot_dev.control_plane.ports import Ports
from tradingbot_dev.product.system import OPERATOR

BOT = "arb-bot-binance"
IMAGE = "ghcr.io/example/arb-bot:latest"
OLD = "ghcr.io/example/arb-bot:0.1.0"
DEPTH = 100_000


def container(**fields: object) -> Object:
    """Return a patch of the Deployment's container."""
    containers = [{"name": "bot", **fields}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


def strategic(person: Person, patch: Object) -> None:
    """Patch the Deployment as `kubectl patch` and `kubectl edit` do: lists are merged by key."""
    done = person.kubectl("patch", "deployment", BOT, "-p", json.dumps(patch))
    assert done.returncode == 0, done.stderr


def deployment(person: Person) -> Object:
    (found,) = person.items("deployment", bot=BOT)
    return found


def settled(person: Person) -> bool:
    """Whether the one pod is that of the newest template."""
    found, pods = deployment(person), person.items("pod", bot=BOT)
    current = found["status"].get("observedGeneration") == found["metadata"]["generation"]
    return current and len(pods) == 1 and found["status"].get("updatedReplicas") == 1


# ---- fields that decide what runs


def test_a_deployment_held_at_an_old_image_is_put_right(person: Person) -> None:
    person.running_bot()
    strategic(person, {"spec": {"paused": True}})
    held = container(image=OLD)
    held["spec"]["paused"] = True
    strategic(person, held)
    eventually(lambda: not deployment(person)["spec"].get("paused"))
    eventually(lambda: images(person) == {IMAGE} and settled(person))
    person.await_phase(BOT, "Running")
    eventually(lambda: "DriftCorrected" in person.events(BOT))


def test_a_deployment_that_is_paused_does_not_keep_a_new_image_from_running(person: Person) -> None:
    person.running_bot()
    strategic(person, {"spec": {"paused": True}})
    strategy = {**sample_bot()["spec"]["strategy"], "image": "ghcr.io/example/arb-bot:2.0.0"}
    person.applied(sample_bot(strategy=strategy))
    eventually(lambda: images(person) == {"ghcr.io/example/arb-bot:2.0.0"})
    person.await_phase(BOT, "Running")


def images(person: Person) -> set[str]:
    pods = person.items("pod", bot=BOT)
    return {one["image"] for pod in pods for one in pod["spec"]["containers"]}


HOLD_BACK: dict[str, tuple[Object, Callable[[Object], object]]] = {
    "minReadySeconds": (
        {"spec": {"minReadySeconds": 100_000, "progressDeadlineSeconds": 100_001}},
        lambda found: found["spec"].get("minReadySeconds"),
    ),
    "readinessGates": (
        {"spec": {"template": {"spec": {"readinessGates": [{"conditionType": "e.com/never"}]}}}},
        lambda found: found["spec"]["template"]["spec"].get("readinessGates"),
    ),
}


@pytest.mark.parametrize("field", HOLD_BACK)
def test_a_field_that_holds_back_readiness_is_taken_off(
    person: Person, bots: SimulatedBots, field: str
) -> None:
    patch, read = HOLD_BACK[field]
    person.running_bot()
    bots.set(person.namespace, BOT)
    strategic(person, patch)
    eventually(lambda: not read(deployment(person)))
    person.await_phase(BOT, "Running")
    bots.set(person.namespace, BOT, day_pnl="-5000")
    person.await_phase(BOT, "Halted")
    eventually(lambda: person.listed("pods") == [])


def test_a_bot_whose_pod_is_not_ready_is_polled_and_halted(
    person: Person, bots: SimulatedBots
) -> None:
    person.running_bot()
    unready = [{"type": kind, "status": "False"} for kind in ("Ready", "ContainersReady")]
    for pod in person.items("pod", bot=BOT):
        status = {"status": {"conditions": unready}}
        person.patched("pod", pod["metadata"]["name"], status, subresource="status")
    eventually(lambda: not deployment(person)["status"].get("availableReplicas"))
    before = bots.polls(person.namespace, BOT)
    eventually(lambda: bots.polls(person.namespace, BOT) > before + 1)
    bots.set(person.namespace, BOT, day_pnl="-5000")
    person.await_phase(BOT, "Halted")
    eventually(lambda: person.listed("pods") == [])


SERVICE: dict[str, Object] = {
    "ExternalName": {"type": "ExternalName", "externalName": "attacker.example.com"},
    "externalIPs": {"externalIPs": ["192.0.2.1"]},
    "selector": {"selector": {"example.com/other": "x"}},
}


def test_a_service_that_somebody_points_elsewhere_is_put_right(person: Person) -> None:
    person.running_bot()
    for name, patch in SERVICE.items():
        person.patched("service", BOT, {"spec": patch})
        eventually(lambda: service_is_ours(person))
        assert service_is_ours(person), name
    eventually(lambda: "DriftCorrected" in person.events(BOT))


def service_is_ours(person: Person) -> bool:
    spec = (person.get("service", BOT) or {"spec": {}})["spec"]
    assert spec.get("type") == "ClusterIP"
    assert "externalName" not in spec
    assert "externalIPs" not in spec
    assert spec["selector"] == {"app.kubernetes.io/name": "tradingbot", "trading.io/bot": BOT}
    return True


# ---- fields of others


def test_fields_that_others_added_are_listed_until_they_are_taken_off(person: Person) -> None:
    person.running_bot()
    init = [{"name": "theirs", "image": "example.com/init:1"}]
    added = container(command=["/bin/other"])
    added["spec"]["template"]["spec"] |= {"hostNetwork": True, "initContainers": init}
    strategic(person, added)

    def listed() -> bool:
        foreign = condition(person.get("tbot", BOT) or {}, "ForeignFields")
        assert foreign["status"] == "True"
        for path in ("hostNetwork", "initContainers", "command"):
            assert path in foreign["message"], foreign["message"]
        return True

    eventually(listed)
    gone = [{"$patch": "delete", "name": "theirs"}]
    removed = container(command=None)
    removed["spec"]["template"]["spec"] |= {"hostNetwork": None, "initContainers": gone}
    strategic(person, removed)
    eventually(lambda: "ForeignFields" not in condition_types(person))


def condition_types(person: Person) -> set[str]:
    status = (person.get("tbot", BOT) or {})["status"]
    return {one["type"] for one in status["conditions"] if one["status"] == "True"}


def test_an_annotation_of_hostile_json_does_not_keep_a_bot_from_being_stopped(
    person: Person,
) -> None:
    person.running_bot()
    nested = "[" * DEPTH + "]" * DEPTH
    annotations = {"annotations": {"trading.io/credentials": nested}}
    person.patched("deployment", BOT, {"metadata": annotations})
    person.patched("tbot", BOT, {"spec": {"paused": True}})
    person.await_phase(BOT, "Paused")
    eventually(lambda: person.listed("pods") == [])
    person.patched("tbot", BOT, {"spec": {"paused": False}})
    person.await_phase(BOT, "Running")


# ---- pods of others


@contextmanager
def polling_by_address(person: Person, *, port: int) -> Iterator[None]:
    """Run an operator that asks each pod at its own address, as it does in a cluster."""
    system, name = person.system, "operator-by-address"
    health = Ports.free().operator_health
    url = f"http://{{ip}}:{port}/{{namespace}}/{{name}}/risk"
    system.stop_one(OPERATOR)
    try:
        settings = {"TRADINGBOT_OPERATOR_RISK_URL": url}
        system.start_another_operator(name, health_port=health, settings=settings)
        yield
    finally:
        system.plane.table.kill(name)
        system.start_one(OPERATOR)


def move(person: Person, pod: str, address: str) -> None:
    """Report another address of a pod, as its kubelet would."""
    status = {"podIP": address, "podIPs": [{"ip": address}]}
    person.patched("pod", pod, {"status": status}, subresource="status")


def test_a_pod_with_the_bots_labels_is_reported_and_its_report_is_not_believed(
    person: Person,
) -> None:
    with (
        SimulatedBots(address=("127.0.0.2", 0)) as own,
        SimulatedBots(address=("127.0.0.3", own.port)) as theirs,
        polling_by_address(person, port=own.port),
    ):
        own.set(person.namespace, BOT)
        theirs.set(person.namespace, BOT, day_pnl="500")
        person.running_bot()
        (pod,) = person.items("pod", bot=BOT)
        move(person, pod["metadata"]["name"], "127.0.0.2")
        eventually(lambda: own.polls(person.namespace, BOT))
        person.applied(impostor(pod))
        eventually(lambda: (person.get("pod", "impostor") or {})["status"].get("podIP"))
        move(person, "impostor", "127.0.0.3")
        eventually(lambda: "ForeignPods" in condition_types(person))
        foreign = condition(person.get("tbot", BOT) or {}, "ForeignPods")
        assert "impostor" in foreign["message"]
        person.await_events(BOT, "ForeignPods")
        own.set(person.namespace, BOT, day_pnl="-5000")
        person.await_phase(BOT, "Halted")
        assert theirs.polls(person.namespace, BOT) == 0
        eventually(lambda: pod_names(person) == {"impostor"})
        person.deleted("pod", "impostor")
        eventually(lambda: "ForeignPods" not in condition_types(person))


def impostor(own: Object) -> Object:
    """Return a pod that anybody with `edit` in the namespace can create."""
    # With the hash as well, the ReplicaSet adopts it, and deletes the pod that is one too many.
    labels = {
        key: value for key, value in own["metadata"]["labels"].items() if key != "pod-template-hash"
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "impostor", "labels": labels},
        "spec": {"containers": [{"name": "bot", "image": "example.com/impostor:1"}]},
    }


def pod_names(person: Person) -> set[str]:
    return {pod["metadata"]["name"] for pod in person.listed("pods")}
