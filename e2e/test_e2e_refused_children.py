"""A child that the cluster refuses, and a pod that can't run: both are named, and why."""

import json

import pytest
from foreign_admission import (
    OPERATOR_ACCOUNT,
    annotate,
    as_administrator,
    as_operator,
    mutation,
    policy,
)
from person import Object, Person, assert_is_false, condition, eventually, sample, sample_bot

BOT = "arb-bot-binance"
REFUSED = "ask the platform team first"
NAMES = {"ConfigMap": f"{BOT}-config", "Service": BOT, "Deployment": BOT}
RESOLVED_WITHIN = 75.0
"""Seconds until a refused child is tried again, by the longest pause between two attempts."""
CREATED_SERVICES: Object = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE"],
    "resources": ["services"],
}
UPDATED_CONFIG_MAPS: Object = {
    **CREATED_SERVICES,
    "operations": ["UPDATE"],
    "resources": ["configmaps"],
}
_CAPABILITIES = 'Object.spec.initContainers.securityContext.capabilities{add: ["NET_ADMIN"]}'
_SECURITY = f"Object.spec.initContainers.securityContext{{capabilities: {_CAPABILITIES}}}"
_MESH = f'Object.spec.initContainers{{name: "mesh", image: "mesh", securityContext: {_SECURITY}}}'
INJECTED = f'[JSONPatch{{op: "add", path: "/spec/initContainers", value: [{_MESH}]}}]'
"""What some service meshes add to every pod."""


def quota(hard: Object) -> Object:
    metadata = {"name": "tight"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": hard}


def in_force(person: Person) -> bool:
    """Whether the quota controller has counted; before, everything is refused in other words."""
    found = person.get("resourcequota", "tight") or {}
    return bool(found.get("status", {}).get("hard"))


def refused_bot(person: Person, *parts: str) -> Object:
    """Return the bot once ChildrenApplied is False with all these parts in its message."""

    def look() -> Object:
        bot = person.get("tbot", BOT)
        assert bot is not None
        assert_is_false(bot, "ChildrenApplied", *parts)
        assert bot["status"]["observedGeneration"] == bot["metadata"]["generation"]
        return bot

    return eventually(look)


def is_applied(person: Person) -> bool:
    applied = condition(person.get("tbot", BOT) or {}, "ChildrenApplied")
    return (applied["status"], applied["reason"]) == ("True", "Applied")


def attempts(person: Person, resource: str) -> int:
    """How often the operator has tried to write this kind of child and was refused."""
    return sum(
        event["user"]["username"] == OPERATOR_ACCOUNT
        and event.get("objectRef", {}).get("namespace") == person.namespace
        and event["objectRef"]["resource"] == resource
        and event["verb"] == "patch"
        and event["responseStatus"]["code"] >= 400
        for event in person.requests()
    )


# ---- refused when they are created


@pytest.mark.parametrize("kind", ["ConfigMap", "Service", "Deployment"])
def test_a_quota_that_is_used_up_is_named_and_the_bot_starts_once_there_is_room(
    person: Person, kind: str
) -> None:
    resource = {"Deployment": "deployments.apps"}.get(kind, f"{kind.lower()}s")
    # The root certificate of the cluster is a ConfigMap in every namespace.
    room = "1" if kind == "ConfigMap" else "0"
    eventually(lambda: person.get("configmap", "kube-root-ca.crt"))
    person.applied(quota({"hard": {f"count/{resource}": room}}), sample("secret.yaml"))
    eventually(lambda: in_force(person))
    person.applied(sample_bot())
    bot = refused_bot(person, kind, NAMES[kind], "exceeded quota: tight")
    assert condition(bot, "ChildrenApplied")["reason"] == "Refused"
    if kind != "Service":  # the pod's own address is polled, so a bot runs without one
        assert condition(bot, "Ready")["status"] == "False"
        assert person.listed("pods") == []
    eventually(lambda: attempts(person, resource.split(".")[0]) > 1)
    (message,) = person.await_events(BOT, "ChildRefused")
    assert NAMES[kind] in message
    person.patched("resourcequota", "tight", {"spec": {"hard": {f"count/{resource}": "9"}}})
    eventually(lambda: is_applied(person), seconds=RESOLVED_WITHIN)
    person.await_phase(BOT, "Running")
    person.await_events(BOT, "ChildRefused")
    assert attempts(person, resource.split(".")[0]) < 20


def test_a_service_that_the_admission_of_others_refuses_is_named(person: Person) -> None:
    probe = as_operator("create", "service", "clusterip", "probe", "--tcp=80:80")
    with policy(person, CREATED_SERVICES, message=REFUSED, probe=probe):
        person.applied(sample("secret.yaml"), sample_bot())
        refused_bot(person, f"Service {BOT}", REFUSED)
        person.await_events(BOT, "ChildRefused")
    eventually(lambda: is_applied(person), seconds=RESOLVED_WITHIN)
    person.await_phase(BOT, "Running")


# ---- refused when they change


def test_an_immutable_config_map_is_replaced(person: Person) -> None:
    person.running_bot()
    name = NAMES["ConfigMap"]
    before = person.get("configmap", name) or {}
    person.patched("configmap", name, {"immutable": True})
    limits = {**sample_bot()["spec"]["riskManagement"], "dailyLossLimit": "150"}
    person.applied(sample_bot(riskManagement=limits))
    eventually(lambda: stored_limit(person) == "150")
    after = person.get("configmap", name) or {}
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert not after.get("immutable")
    person.await_phase(BOT, "Running")
    eventually(lambda: is_applied(person))


def stored_limit(person: Person) -> str | None:
    found = person.get("configmap", NAMES["ConfigMap"])
    config = json.loads(found["data"]["bot.json"]) if found else {"risk": {}}
    limit: str | None = config["risk"].get("dailyLossLimit")
    return limit


def test_a_bot_whose_config_map_is_refused_does_not_start_with_stale_limits(
    person: Person,
) -> None:
    person.running_bot()
    person.patched("tbot", BOT, {"spec": {"paused": True}})
    person.await_phase(BOT, "Paused")
    probe = annotate(NAMES["ConfigMap"], kind="configmap")
    with policy(person, UPDATED_CONFIG_MAPS, message=REFUSED, probe=probe):
        limits = {**sample_bot()["spec"]["riskManagement"], "dailyLossLimit": "150"}
        person.applied(sample_bot(riskManagement=limits, paused=False))
        bot = refused_bot(person, f"ConfigMap {NAMES['ConfigMap']}", REFUSED)
        assert stored_limit(person) == "200"
        assert person.listed("pods") == []
        assert bot["status"]["phase"] != "Running"
        (deployment,) = person.items("deployment", bot=BOT)
        assert deployment["spec"]["replicas"] == 0
    person.await_phase(BOT, "Running", seconds=RESOLVED_WITHIN)
    assert stored_limit(person) == "150"
    assert is_applied(person)


# ---- pods that the cluster refuses


def test_a_quota_without_room_for_the_pod_shows_through_the_deployment(person: Person) -> None:
    person.applied(quota({"hard": {"pods": "0"}}), sample("secret.yaml"))
    eventually(lambda: in_force(person))
    pod_is_refused(person, "exceeded quota: tight")
    person.patched("resourcequota", "tight", {"spec": {"hard": {"pods": "5"}}})
    pod_is_accepted(person)


def test_a_limit_range_that_refuses_the_pod_shows_through_the_deployment(person: Person) -> None:
    limit = {"type": "Container", "max": {"memory": "16Mi"}}
    person.applied(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "tiny"},
            "spec": {"limits": [limit]},
        },
        sample("secret.yaml"),
    )
    pod_is_refused(person, "maximum memory usage per Container is 16Mi")
    person.kubectl("delete", "limitrange", "tiny")
    pod_is_accepted(person)


def test_pod_security_that_refuses_what_others_inject_shows_through_the_deployment(
    person: Person,
) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    person.kubectl("label", "namespace", person.namespace, label)
    person.running_bot()  # what the operator itself writes passes
    person.patched("tbot", BOT, {"spec": {"paused": True}})
    person.await_phase(BOT, "Paused")
    rule = {**CREATED_SERVICES, "resources": ["pods"]}
    probe = as_administrator("run", "probe", "--image=probe")
    with mutation(
        person, rule, patch=INJECTED, probe=probe, shows="NET_ADMIN", of_controllers=True
    ):
        person.patched("tbot", BOT, {"spec": {"paused": False}})
        refused_bot(person, f"Deployment {BOT}", 'violates PodSecurity "restricted')
    person.await_phase(BOT, "Running", seconds=RESOLVED_WITHIN)


def pod_is_refused(person: Person, said: str) -> None:
    """Create the bot; its pod is refused with these words."""
    person.applied(sample_bot())
    bot = refused_bot(person, f"Deployment {BOT}", said)
    assert condition(bot, "ChildrenApplied")["reason"] == "ReplicaFailure"
    assert condition(bot, "Ready")["status"] == "False"
    (message,) = person.await_events(BOT, "ChildRefused")
    assert said in message


def pod_is_accepted(person: Person) -> None:
    """The pod is created in the end, and nothing is reported as refused any more."""
    person.await_phase(BOT, "Running", seconds=RESOLVED_WITHIN)
    eventually(lambda: is_applied(person))
    person.await_events(BOT, "ChildRefused")
