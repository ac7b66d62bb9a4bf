"""What admission of others changes on every write is recognised, left alone and said once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fake_cluster import FakeCluster, copied
from reconcile_harness import BOT, CONFIG_MAP, DEPLOYMENT, KEY, SERVICE, Harness, condition, play
from tradingbot_api.model import JsonObject
from tradingbot_operator.cluster.cache import key_of

Mutate = Callable[[JsonObject], None]


class AdmittingCluster(FakeCluster):
    """A cluster whose admission changes what is written."""

    mutate: Mutate = staticmethod(lambda _obj: None)

    def put(self, obj: JsonObject) -> None:
        changed = copied(obj)
        self.mutate(changed)
        super().put(changed)


def pod_of(obj: JsonObject) -> JsonObject:
    return dict(obj["spec"]["template"]["spec"])


def container_of(obj: JsonObject) -> Any:
    return obj["spec"]["template"]["spec"]["containers"][0]


def only(kind: str, change: Mutate) -> Mutate:
    return lambda obj: change(obj) if obj["kind"] == kind else None


def mirror(obj: JsonObject) -> None:
    image = container_of(obj)["image"]
    container_of(obj)["image"] = image.replace("ghcr.io/", "mirror.example/")


def drop_more(obj: JsonObject) -> None:
    container_of(obj)["securityContext"]["capabilities"]["drop"] = ["ALL", "NET_RAW"]


def label_of_ours(obj: JsonObject) -> None:
    obj["metadata"]["labels"]["app.kubernetes.io/part-of"] = "platform"


def read_only_tmp(obj: JsonObject) -> None:
    for mount in container_of(obj)["volumeMounts"]:
        mount["readOnly"] = True


def no_variable(obj: JsonObject) -> None:
    container_of(obj)["env"] = [
        item for item in container_of(obj)["env"] if item["name"] != "TRADINGBOT_CONFIG"
    ]


def probe(obj: JsonObject) -> None:
    container_of(obj)["readinessProbe"] = {"tcpSocket": {"port": 8080}}


def slow_start(obj: JsonObject) -> None:
    obj["spec"]["minReadySeconds"] = 5


def sticky(obj: JsonObject) -> None:
    obj["spec"]["sessionAffinity"] = "ClientIP"


def more_ports(obj: JsonObject) -> None:
    port = {"name": "mesh", "port": 15021, "protocol": "TCP"}
    ports = [item for item in obj["spec"]["ports"] if item["name"] != "mesh"]
    obj["spec"]["ports"] = [*ports, port]


def immutable(obj: JsonObject) -> None:
    obj["immutable"] = True


FIELDS: dict[str, tuple[Mutate, str]] = {
    "image": (
        only("Deployment", mirror),
        "Deployment: spec.template.spec.containers[name=bot].image",
    ),
    "capabilities": (
        only("Deployment", drop_more),
        "Deployment: spec.template.spec.containers[name=bot].securityContext.capabilities.drop",
    ),
    "label": (only("Deployment", label_of_ours), "metadata.labels[app.kubernetes.io/part-of]"),
    "removed item": (only("Deployment", no_variable), "env[name=TRADINGBOT_CONFIG]"),
    "undeclared": (only("Deployment", probe), "containers[name=bot].readinessProbe"),
    "undeclared number": (only("Deployment", slow_start), "Deployment: spec.minReadySeconds"),
    "Service": (only("Service", sticky), "Service: spec.sessionAffinity"),
    "item of a Service": (only("Service", more_ports), "spec.ports[port=15021,protocol=TCP]"),
    "replaced": (only("ConfigMap", immutable), "ConfigMap: immutable"),
}


def harness_with(mutate: Mutate) -> Harness:
    harness = Harness()
    cluster = AdmittingCluster()
    cluster.objects, cluster.version = harness.cluster.objects, harness.cluster.version
    cluster.mutate = mutate  # type: ignore[method-assign]
    harness.cluster = cluster
    harness.context = harness.started()
    return harness


def message(harness: Harness) -> str:
    conditions = harness.cluster.objects[BOT]["status"]["conditions"]
    found = [item for item in conditions if item["type"] == "FieldsOverridden"]
    return str(found[0]["message"]) if found else ""


async def settled(harness: Harness) -> None:
    """Settle over the time that corrections are waited for."""
    for _ in range(3):
        await harness.settle()
        harness.controllers()
        harness.now += timedelta(seconds=1)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_admission_changes_is_left_alone_after_the_second_time(name: str) -> None:
    mutate, path = FIELDS[name]

    async def scenario() -> None:
        harness = harness_with(mutate)
        await settled(harness)
        assert path in message(harness)
        assert condition(harness, "FieldsOverridden") == ("True", "ChangedByAdmission")
        # No write from now on, no event that says "corrected", nothing said again.
        harness.cluster.writes.clear()
        await settled(harness)
        assert harness.cluster.writes == []
        reasons = [reason for _, reason in harness.cluster.events()]
        assert "DriftCorrected" not in reasons
        assert reasons.count("Restarting") == 0

    play(scenario)


@pytest.mark.parametrize("name", FIELDS)
def test_an_operator_that_starts_knows_it_and_writes_nothing(name: str) -> None:
    async def scenario() -> None:
        harness = harness_with(FIELDS[name][0])
        await settled(harness)
        harness.context = harness.started()
        harness.cluster.writes.clear()
        await settled(harness)
        assert harness.cluster.writes == []

    play(scenario)


@pytest.mark.parametrize("restart", [False, True])
def test_another_value_than_that_of_admission_is_drift(restart: bool) -> None:
    async def scenario() -> None:
        harness = harness_with(FIELDS["image"][0])
        await settled(harness)
        if restart:
            harness.context = harness.started()
        live = copied(harness.cluster.objects[DEPLOYMENT])
        container_of(live)["image"] = "evil.example/arb:1.0"
        harness.cluster.put(live)
        await settled(harness)
        image = container_of(harness.cluster.objects[DEPLOYMENT])["image"]
        assert image == "mirror.example/example/arb:1.0"
        corrected = [e for e in harness.cluster.posted if e["reason"] == "DriftCorrected"]
        # An operator that has just started does not know that it has not declared this itself.
        assert [".image" in e["message"] for e in corrected] == [True] * (not restart)

    play(scenario)


def test_a_new_image_reaches_the_pod_through_the_mirror_with_one_write() -> None:
    async def scenario() -> None:
        harness = harness_with(FIELDS["image"][0])
        await settled(harness)
        harness.reported()
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        harness.cluster.writes.clear()
        await harness.reconcile()
        await harness.reconcile()
        image = container_of(harness.cluster.objects[DEPLOYMENT])["image"]
        assert image == "mirror.example/example/arb:2.0"
        await harness.settle()
        deployments = [w for w in harness.cluster.writes if w[1] == "Deployment"]
        assert deployments == []
        (event,) = [e for e in harness.cluster.posted if e["reason"] == "Restarting"]
        assert event["message"].endswith("a change of image")

    play(scenario)


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "image"])
@pytest.mark.parametrize("restart", ["before", "after"])
def test_a_restart_that_waits_is_for_no_field_that_admission_changes(
    name: str, restart: str
) -> None:
    mutate, path = FIELDS[name]

    async def scenario() -> None:
        harness = harness_with(mutate)
        await settled(harness)
        harness.reported(openPositions=1)
        await harness.settle()
        if restart == "before":
            harness.context = harness.started()
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await harness.settle()
        if restart == "after":
            harness.context = harness.started()
            await harness.settle()
            await harness.settle()
        conditions = harness.cluster.objects[BOT]["status"]["conditions"]
        (waits,) = [item["message"] for item in conditions if item["type"] == "RolloutPending"]
        assert "for a change of image;" in waits
        assert path in message(harness)
        harness.reported(openPositions=0)
        await settled(harness)
        (event,) = [e for e in harness.cluster.posted if e["reason"] == "Restarting"]
        assert event["message"].endswith("for a change of image")

    play(scenario)


def test_a_field_that_nobody_changes_any_more_is_forgotten_with_the_next_write() -> None:
    async def scenario() -> None:
        harness = harness_with(FIELDS["image"][0])
        await settled(harness)
        harness.cluster.mutate = lambda _obj: None  # type: ignore[attr-defined]
        harness.reported()
        harness.edit(spec={"strategy": {"image": "ghcr.io/example/arb:2.0"}})
        await settled(harness)
        assert message(harness) == ""
        assert "overriddenFields" not in harness.cluster.objects[BOT]["status"]

    play(scenario)


@pytest.mark.parametrize("name", FIELDS)
def test_a_deployment_that_others_have_paused_is_resumed_whatever_admission_changes(
    name: str,
) -> None:
    async def scenario() -> None:
        harness = harness_with(FIELDS[name][0])
        await settled(harness)
        harness.cluster.edit(*DEPLOYMENT, spec={"paused": True})
        await settled(harness)
        assert "paused" not in harness.cluster.objects[DEPLOYMENT]["spec"]
        assert harness.cluster.writes == []

    play(scenario)


def test_a_change_that_admission_makes_once_is_corrected() -> None:
    left = [1]

    def once(obj: JsonObject) -> None:
        if obj["kind"] == "Deployment" and left.pop() if left else False:
            mirror(obj)

    async def scenario() -> None:
        harness = harness_with(once)
        await settled(harness)
        assert message(harness) == ""
        image = container_of(harness.cluster.objects[DEPLOYMENT])["image"]
        assert image == "ghcr.io/example/arb:1.0"

    play(scenario)


def test_a_change_that_somebody_else_takes_back_is_not_waited_for() -> None:
    async def scenario() -> None:
        harness = harness_with(FIELDS["image"][0])
        await harness.reconcile()
        assert harness.context.recall(KEY).overrides.undecided  # type: ignore[union-attr]
        harness.cluster.mutate = lambda _obj: None  # type: ignore[attr-defined]
        live = copied(harness.cluster.objects[DEPLOYMENT])
        container_of(live)["image"] = "ghcr.io/example/arb:1.0"
        harness.cluster.put(live)
        await settled(harness)
        assert not harness.context.recall(KEY).overrides.undecided  # type: ignore[union-attr]

    play(scenario)


@pytest.mark.parametrize("times", [2, 5])
def test_edits_are_restored_however_often_they_come(times: int) -> None:
    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        for _ in range(times):
            live = copied(harness.cluster.objects[DEPLOYMENT])
            container_of(live)["image"] = "evil.example/arb:1.0"
            harness.cluster.put(live)
            await settled(harness)
            image = container_of(harness.cluster.objects[DEPLOYMENT])["image"]
            assert image == "ghcr.io/example/arb:1.0"
        assert message(harness) == ""
        (event,) = (
            event for event in harness.cluster.posted if event["reason"] == "DriftCorrected"
        )
        assert event["count"] == times

    play(scenario)


@pytest.mark.parametrize("key", [CONFIG_MAP, DEPLOYMENT, SERVICE], ids=lambda key: key[0])
def test_no_event_says_corrected_if_somebody_changes_it_again_at_once(
    key: tuple[str, str, str],
) -> None:
    change = {
        "ConfigMap": {"data": {"bot.json": "{}"}},
        "Deployment": {"spec": {"strategy": {"type": "RollingUpdate"}}},
        "Service": {"spec": {"selector": {"app": "mine"}}},
    }[key[0]]

    async def scenario() -> None:
        harness = Harness()
        await harness.run()
        for _ in range(3):
            harness.cluster.edit(*key, **change)
            await harness.reconcile()
            harness.now += timedelta(seconds=0.5)
            await harness.reconcile()  # too early to know
        harness.cluster.edit(*key, **change)
        harness.now += timedelta(seconds=1)
        await harness.reconcile()
        assert ("Normal", "DriftCorrected") not in harness.cluster.events()

    play(scenario)


@pytest.mark.parametrize("field", ["status", "nothing"])
def test_a_stop_is_never_left_alone(field: str) -> None:
    """Admission that asks for a pod on each write is fought by the other steps of the stop."""

    def one_replica(obj: JsonObject) -> None:
        if obj["kind"] == "Deployment":
            obj["spec"]["replicas"] = 1

    async def scenario() -> None:
        harness = harness_with(one_replica if field == "status" else lambda _obj: None)
        await settled(harness)
        harness.edit(spec={"paused": True})
        for _ in range(4):
            await harness.reconcile()
            harness.controllers()
            harness.now += timedelta(seconds=1)
        assert DEPLOYMENT not in harness.cluster.objects or harness.replicas == 0
        assert harness.phase in {"Paused", "Stopping"}
        assert not any(
            item["path"] == "spec.replicas" and item["kind"] == "Deployment"
            for item in harness.cluster.objects[BOT]["status"].get("overriddenFields", [])
            if field == "nothing"
        )

    play(scenario)


def test_more_replicas_than_declared_are_written_again_each_time() -> None:
    def two(obj: JsonObject) -> None:
        if obj["kind"] == "Deployment" and obj["spec"]["replicas"] == 1:
            obj["spec"]["replicas"] = 2

    async def scenario() -> None:
        harness = harness_with(two)
        for _ in range(5):
            await harness.reconcile()
        harness.cluster.writes.clear()
        await harness.reconcile()
        assert ("apply", "Deployment", "arb") in harness.cluster.writes
        assert "Deployment: spec.replicas" in message(harness)
        assert key_of(harness.cluster.objects[DEPLOYMENT]) == DEPLOYMENT

    play(scenario)
