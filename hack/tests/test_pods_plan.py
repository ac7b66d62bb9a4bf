"""From a pod to its processes: which pods, their variables, files, paths and addresses."""

import base64
import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tradingbot_dev.pods.environment import expanded
from tradingbot_dev.pods.images import (
    LocalImage,
    image_pattern,
    is_local,
    local_image,
    without_local_pods,
)
from tradingbot_dev.pods.objects import CONFIG_MAP, SECRET, MissingError, Objects, Reference
from tradingbot_dev.pods.plan import (
    ContainerPlan,
    PodDirectory,
    address_of,
    container_plan,
    localised,
)
from tradingbot_dev.pods.volumes import TokenRequest, token_requests, volume_files

JsonObject = dict[str, Any]

IMAGES = {
    "registry.example/bot": LocalImage(
        ("/usr/bin/bot", "run"),
        ("--default",),
        {"LISTEN": "{address}:8080", "KEPT_IN": "{temporary}"},
    ),
    "registry.example:5000/other.bot": LocalImage(("/usr/bin/other",)),
}
DIRECTORY = PodDirectory(Path("/state/pods/1"))
BOT: JsonObject = {
    "name": "bot",
    "image": "registry.example/bot:1",
    "volumeMounts": [
        {"name": "config", "mountPath": "/etc/tradingbot"},
        {"name": "ca", "mountPath": "/etc/tradingbot-ca"},
        {"name": "tmp", "mountPath": "/tmp"},
    ],
}
SECRET_OBJECT = {"data": {"key": base64.b64encode(b"s3cret").decode()}}
CONFIG_OBJECT = {
    "data": {"level": "debug"},
    "binaryData": {"raw": base64.b64encode(b"\0").decode()},
}
OBJECTS: Objects = {
    Reference(SECRET, "keys"): SECRET_OBJECT,
    Reference(CONFIG_MAP, "settings"): CONFIG_OBJECT,
}


def pod(*containers: JsonObject, **spec: Any) -> JsonObject:
    return {
        "metadata": {
            "name": "bot-1",
            "namespace": "desk",
            "uid": "u1",
            "labels": {"team": 'a"b'},
            "annotations": {},
        },
        "spec": {"containers": list(containers or (BOT,)), "nodeName": "simulated", **spec},
        "status": {"podIP": "127.64.0.9", "hostIP": "127.0.0.1"},
    }


def planned(objects: Objects = OBJECTS, **container: Any) -> ContainerPlan:
    declared = {**BOT, **container}
    return container_plan(
        pod(declared),
        declared,
        objects,
        directory=DIRECTORY,
        surroundings={"KUBERNETES_SERVICE_HOST": "127.0.0.1"},
        images=IMAGES,
    )


def key_of(kind: str, name: str, key: str, **more: Any) -> JsonObject:
    return {f"{kind}KeyRef": {"name": name, "key": key, **more}}


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("registry.example/bot", "registry.example/bot"),
        ("registry.example/bot:1.2", "registry.example/bot"),
        ("registry.example/bot:1@sha256:ab", "registry.example/bot"),
        ("registry.example/bot@sha256:ab", "registry.example/bot"),
        ("registry.example:5000/other.bot:1", "registry.example:5000/other.bot"),
        ("registry.example/bot-2", None),
        ("registry.example/bot/deeper:1", None),
        ("registry.example:5000/otherxbot:1", None),
        ("mirror.example/registry.example/bot", None),
        ("bot", None),
    ],
)
def test_an_image_is_found_by_its_repository_and_by_nothing_less(
    image: str, repository: str | None
) -> None:
    assert local_image(image, IMAGES) == (IMAGES[repository] if repository else None)


@pytest.mark.parametrize(
    ("spec", "local"),
    [
        ({}, True),
        ({"restartPolicy": "Always"}, True),
        ({"restartPolicy": "Never"}, False),
        ({"initContainers": []}, True),
        ({"initContainers": [BOT]}, False),
        ({"initContainers": [{**BOT, "restartPolicy": "Always"}]}, True),
        ({"initContainers": [{"image": "nginx", "restartPolicy": "Always"}]}, False),
        ({"containers": [BOT, {**BOT, "name": "two"}]}, True),
        ({"containers": [BOT, {"name": "two", "image": "nginx"}]}, False),
        ({"containers": []}, False),
    ],
)
def test_a_pod_is_local_if_all_of_it_can_be(spec: JsonObject, local: bool) -> None:
    assert is_local(pod(**spec), IMAGES) is local


def test_kwok_keeps_its_rules_and_leaves_local_pods_alone() -> None:
    rule = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
    stage = {
        "spec": {
            "resourceRef": {"kind": "Pod"},
            "selector": {"matchExpressions": [rule]},
            "next": 1,
        }
    }
    changed = without_local_pods(stage)
    first, second = changed["spec"]["selector"]["matchExpressions"]
    assert (first, changed["spec"]["next"]) == (rule, 1)
    assert (second["operator"], second["values"]) == ("NotIn", ["true"])
    node = {"spec": {"resourceRef": {"kind": "Node"}}}
    assert without_local_pods(node) == node


@given(st.text(alphabet="a.-_/:@", max_size=12))
def test_the_pattern_never_matches_a_longer_name(suffix: str) -> None:
    found = re.match(image_pattern(IMAGES), f"registry.example/bot{suffix}")
    assert (found is not None) == (
        suffix == ""
        or suffix[0] == "@"
        or (suffix[0] == ":" and "/" not in suffix.partition("@")[0])
    )


def test_a_container_gets_the_command_of_its_image_and_its_own_address() -> None:
    plan = planned()
    assert plan.command == ("/usr/bin/bot", "run", "--default")
    assert plan.environment["LISTEN"] == "127.64.0.9:8080"
    assert plan.environment["HOSTNAME"] == "bot-1"
    assert plan.environment["TMPDIR"] == "/state/pods/1/volumes/tmp"
    assert plan.environment["KEPT_IN"] == plan.environment["TMPDIR"]
    assert plan.environment["HOME"] == str(plan.directory) == "/state/pods/1/home"


def test_args_replace_those_of_the_image_and_may_refer_to_variables() -> None:
    plan = planned(
        args=["--level=$(LEVEL)", "$(UNKNOWN)", "$$(LEVEL)", "--file=/tmp/x"],
        env=[{"name": "LEVEL", "value": "info"}],
    )
    assert plan.command[2:] == (
        "--level=info",
        "$(UNKNOWN)",
        "$(LEVEL)",
        "--file=/state/pods/1/volumes/tmp/x",
    )


def test_a_command_of_the_pod_is_refused_since_its_paths_are_those_of_an_image() -> None:
    with pytest.raises(MissingError, match="command is not supported"):
        planned(command=["sh"])


def test_variables_come_from_values_keys_and_the_pod_in_the_order_of_kubernetes() -> None:
    plan = planned(
        envFrom=[{"prefix": "S_", "secretRef": {"name": "keys"}}],
        env=[
            {"name": "KEY", "valueFrom": key_of("secret", "keys", "key")},
            {"name": "LEVEL", "valueFrom": key_of("configMap", "settings", "level")},
            {"name": "BOTH", "value": "$(S_key) $(LEVEL) $(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "TEAM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
            {"name": "NONE", "valueFrom": key_of("secret", "absent", "key", optional=True)},
        ],
    )
    found = plan.environment
    assert (found["S_key"], found["KEY"], found["LEVEL"]) == ("s3cret", "s3cret", "debug")
    assert found["BOTH"] == "s3cret debug $(LATER)"
    assert (found["NAME"], found["IP"], found["TEAM"]) == ("bot-1", "127.64.0.9", 'a"b')
    assert "NONE" not in found


def test_a_plan_shows_no_credentials() -> None:
    plan = planned(env=[{"name": "KEY", "valueFrom": key_of("secret", "keys", "key")}])
    assert "s3cret" not in repr(plan)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (key_of("secret", "absent", "key"), 'secret "absent" not found'),
        (key_of("configMap", "absent", "key"), 'configmap "absent" not found'),
        (key_of("secret", "keys", "other"), "couldn't find key other in Secret desk/keys"),
        (key_of("configMap", "settings", "raw"), "has a NUL byte"),
        ({"fieldRef": {"fieldPath": "spec.hostname"}}, "fieldRef spec.hostname is not supported"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "resourceFieldRef is not supported"),
    ],
)
def test_what_a_variable_lacks_is_named(source: JsonObject, message: str) -> None:
    with pytest.raises(MissingError, match=re.escape(message)):
        planned(env=[{"name": "X", "valueFrom": source}])


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("/etc/tradingbot/bot.json", "/state/pods/1/volumes/config/bot.json"),
        ("/etc/tradingbot", "/state/pods/1/volumes/config"),
        ("/etc/tradingbot-ca/ca.crt", "/state/pods/1/volumes/ca/ca.crt"),
        ("/etc/tradingbots", "/etc/tradingbots"),
        ("--config=/etc/tradingbot/bot.json", "--config=/state/pods/1/volumes/config/bot.json"),
        ("/tmp/a=/tmp/b", "/state/pods/1/volumes/tmp/a=/tmp/b"),
        ("https://x.example/tmp/", "https://x.example/tmp/"),
        ("", ""),
    ],
)
def test_paths_of_mounts_become_local_and_nothing_else_does(text: str, local: str) -> None:
    assert planned(env=[{"name": "X", "value": text}]).environment["X"] == local


def test_a_path_of_the_checkout_itself_stays_as_it_is() -> None:
    images = {"registry.example/bot": LocalImage(("x",), environment={"PYTHONPATH": "/tmp/src"})}
    directory = PodDirectory(Path("/tmp/state"))
    plan = container_plan(pod(), BOT, OBJECTS, directory=directory, surroundings={}, images=images)
    assert plan.environment["PYTHONPATH"] == "/tmp/src"
    assert plan.environment["TMPDIR"] == "/tmp/state/volumes/tmp"


def test_of_two_mounts_the_inner_one_counts() -> None:
    mounts = {"/data": Path("/outer"), "/data/in": Path("/inner")}
    assert localised("/data/in/x", mounts) == "/inner/x"
    assert localised("/data/out", mounts) == "/outer/out"


@given(st.uuids())
def test_addresses_are_loopback_and_follow_from_the_uid(uid: UUID) -> None:
    address = IPv4Address(address_of(str(uid)))
    assert address in IPv4Network("127.64.0.0/10")
    assert address_of(str(uid)) == str(address)


@given(st.text(alphabet="$()AB x", max_size=20))
def test_without_variables_only_double_dollars_change(text: str) -> None:
    assert expanded(text, {}).replace("$", "") == text.replace("$", "")
    assert "$$" in text or expanded(text, {}) == text


def files(volume: JsonObject, objects: Objects = OBJECTS) -> Any:
    return volume_files(pod(), volume, objects, {TokenRequest("vault", 600): "token"})


def test_the_files_of_a_volume_are_the_keys_or_the_items() -> None:
    assert files({"configMap": {"name": "settings"}}) == {"level": b"debug", "raw": b"\0"}
    items = [{"key": "level", "path": "a/b"}]
    assert files({"configMap": {"name": "settings", "items": items}}) == {"a/b": b"debug"}
    assert files({"secret": {"secretName": "keys"}}) == {"key": b"s3cret"}
    assert files({"secret": {"secretName": "absent", "optional": True}}) == {}
    assert files({"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}) is None


def test_a_projected_volume_has_the_files_of_all_its_sources() -> None:
    declared = {"path": "token", "audience": "vault", "expirationSeconds": 600}
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    volume = {
        "name": "all",
        "projected": {
            "sources": [
                {"secret": {"name": "keys"}},
                {"downwardAPI": {"items": [labels]}},
                {"serviceAccountToken": declared},
            ]
        },
    }
    assert files(volume) == {"key": b"s3cret", "labels": b'team="a\\"b"', "token": b"token"}
    assert token_requests(pod(volumes=[volume])) == {TokenRequest("vault", 600)}


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "absent"}}, 'configmap "absent" not found'),
        (
            {"secret": {"secretName": "keys", "items": [{"key": "x", "path": "x"}]}},
            'secret "keys" references non-existent key: x',
        ),
        ({"name": "d", "hostPath": {"path": "/"}}, "can't have a volume of type hostPath"),
        (
            {"name": "d", "persistentVolumeClaim": {"claimName": "d"}},
            "can't have a volume of type persistentVolumeClaim",
        ),
    ],
)
def test_what_a_volume_lacks_is_named(volume: JsonObject, message: str) -> None:
    with pytest.raises(MissingError, match=re.escape(message)):
        files(volume)
