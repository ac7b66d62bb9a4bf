"""Restarts and writes only for a reason: by the causes that clusters have, on a real API server."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import yaml
from codegen.built_in_types import DOCUMENTS, TABLE, text
from foreign_admission import DEPLOYMENT_UPDATES, as_operator, mutation
from person import Object, Person, condition, eventually, sample, sample_bot
from tradingbot_dev.product.system import OPERATOR

BOT = "arb-bot-binance"
SECRET = "binance-creds"
DEPLOYMENTS = {**DEPLOYMENT_UPDATES, "operations": ["CREATE", "UPDATE"]}
CONTAINER = "object.spec.template.spec.containers[0]"


def secret(**data: str) -> Object:
    """The sample's Secret, as `kubectl create` takes it, with other values where said."""
    return {**sample("secret.yaml"), "stringData": {**sample("secret.yaml")["stringData"], **data}}


def deployment(person: Person) -> Object:
    (found,) = person.items("deployment", bot=BOT)
    return found


def pods(person: Person) -> set[str]:
    return {pod["metadata"]["uid"] for pod in person.items("pod", bot=BOT)}


def messages(person: Person, reason: str) -> list[str]:
    found = person.events_of(BOT, reason)
    return [event["message"] for event in found]


def reads_of_the_secret(person: Person) -> int:
    """How often the operator has read the Secret: its metadata, or all of it."""
    return sum(
        event.get("objectRef", {}).get("namespace") == person.namespace
        and event["objectRef"]["resource"] == "secrets"
        and event["user"]["username"].endswith(":tradingbot-operator")
        for event in person.system.plane.audit_events(containing=person.namespace)
    )


def noticed(person: Person) -> None:
    """Wait until the operator has polled the Secret, and read it if it is another version."""
    before = reads_of_the_secret(person)
    eventually(lambda: reads_of_the_secret(person) >= before + 3)


# ---- credentials


@pytest.mark.parametrize("mode", ["Paper", "Live"])
def test_only_other_values_of_the_keys_restart_a_bot(person: Person, mode: str) -> None:
    image = {**sample_bot()["spec"]["strategy"], "image": "ghcr.io/example/arb-bot:1.0.0"}
    policy = "Immediate" if mode == "Paper" else "Manual"
    person.running_bot(mode=mode, updatePolicy=policy, strategy=image)
    before = deployment(person)
    running = pods(person)
    for command in (
        ("annotate", "secret", SECRET, "example.com/refreshed=1"),
        ("replace", "--force", "-f", "-"),
        ("patch", "secret", SECRET, "--type=merge", "-p", '{"stringData":{"unused":"x"}}'),
    ):
        done = person.kubectl(*command, stdin=yaml.safe_dump(secret()))
        assert done.returncode == 0, done.stderr
        noticed(person)
    assert pods(person) == running
    after = deployment(person)["metadata"]
    assert (after["generation"], after["uid"]) == (
        before["metadata"]["generation"],
        before["metadata"]["uid"],
    )
    bot = person.await_phase(BOT, "Running")
    assert condition(bot, "RolloutPending")["status"] == "False"
    assert messages(person, "Restarting") == []
    person.applied(secret(**{"api-key": "another"}))
    cause = f'credentials (Secret "{SECRET}")'
    if mode == "Live":
        eventually(lambda: [cause in told for told in messages(person, "RolloutPending")] == [True])
        waits = condition(person.get("tradingbot", BOT) or {}, "RolloutPending")
        assert cause in waits["message"]
        assert pods(person) == running
    else:
        eventually(lambda: [cause in told for told in messages(person, "Restarting")] == [True])
        eventually(lambda: len(pods(person)) == 1 and not pods(person) & running)


def test_each_restart_names_what_it_is_for(person: Person) -> None:
    bot = person.running_bot(updatePolicy="Immediate")
    changed = {
        "image": {"strategy": {"image": "ghcr.io/example/arb-bot:2.0.0"}},
        "parameters": {"strategy": {"parameters": {"example": "1"}}},
        "resources": {"resources": {"limits": {"memory": "512Mi"}}},
    }
    for number, (cause, spec) in enumerate(changed.items(), start=1):
        person.patched("tradingbot", bot["metadata"]["name"], {"spec": spec})
        eventually(lambda number=number: len(messages(person, "Restarting")) == number)
        assert any(f"a change of {cause}" in told for told in messages(person, "Restarting"))


def test_a_bot_in_live_loses_its_keys_by_a_word_only(person: Person) -> None:
    name = person.running_bot(mode="Live", updatePolicy="Immediate")["metadata"]["name"]
    before, running = deployment(person), pods(person)

    person.patched("tradingbot", name, {"spec": {"riskManagement": {"enforcement": None}}})

    (kept,) = eventually(lambda: person.warnings(name, "EnforcementKept"))
    assert kept.startswith("spec.riskManagement.enforcement is not set")
    assert deployment(person)["metadata"]["generation"] == before["metadata"]["generation"]
    assert pods(person) == running

    person.patched("tradingbot", name, {"spec": {"riskManagement": {"enforcement": "Gateway"}}})

    (told,) = eventually(lambda: messages(person, "Restarting"))
    assert "a change of riskManagement.enforcement" in told
    eventually(lambda: len(pods(person)) == 1 and not pods(person) & running)
    conditions = (person.get("tradingbot", name) or {})["status"]["conditions"]
    assert "EnforcementKept" not in {found["type"] for found in conditions}


# ---- admission of others


def mirrored(person: Person) -> AbstractContextManager[None]:
    """Rewrite images to a mirror, on every write of a Deployment."""
    image = f'{CONTAINER}.image.replace("ghcr.io/", "mirror.example/")'
    path = "/spec/template/spec/containers/0/image"
    return mutation(
        person,
        DEPLOYMENTS,
        patch=f'[JSONPatch{{op: "replace", path: "{path}", value: {image}}}]',
        probe=probe(),
        shows="mirror.example/",
    )


def with_fewer_capabilities(person: Person) -> AbstractContextManager[None]:
    """Extend `capabilities.drop`, on every write of a Deployment."""
    type_ = "Object.spec.template.spec.containers.securityContext"
    path = "/spec/template/spec/containers/0/securityContext"
    drop = '["ALL", "NET_RAW"]'
    whole = f"{type_}{{capabilities: {type_}.capabilities{{drop: {drop}}}}}"
    extend = f'JSONPatch{{op: "replace", path: "{path}/capabilities/drop", value: {drop}}}'
    add = f'JSONPatch{{op: "add", path: "{path}", value: {whole}}}'
    return mutation(
        person,
        DEPLOYMENTS,
        patch=f"has({CONTAINER}.securityContext) ? [{extend}] : [{add}]",
        probe=probe(),
        shows="NET_RAW",
    )


def probe() -> Callable[[Person], str]:
    image = "--image=ghcr.io/example/probe"
    return as_operator("create", "deployment", "probe", image, "-o", "yaml")


OVERRIDDEN = {
    "image": (mirrored, "spec.template.spec.containers[name=bot].image"),
    "capabilities": (
        with_fewer_capabilities,
        "spec.template.spec.containers[name=bot].securityContext.capabilities.drop",
    ),
}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_a_field_that_a_policy_changes_on_every_write_is_left_alone_and_told(
    person: Person, name: str
) -> None:
    policy, path = OVERRIDDEN[name]
    with policy(person):
        person.running_bot()
        told = eventually(
            lambda: condition(person.get("tradingbot", BOT) or {}, "FieldsOverridden")
        )
        assert f"Deployment: {path}" in told["message"]
        written = patches(person)
        version = deployment(person)["metadata"]["generation"]
        person.system.restart(OPERATOR)
        # Reconciles of this bot, by all that causes them.
        for number in range(3):
            person.patched("tradingbot", BOT, {"metadata": {"labels": {"n": str(number)}}})
            person.patched("service", BOT, {"spec": {"selector": {"app": str(number)}}})
            eventually(lambda: "app" not in selector(person))
        assert patches(person) == written
        assert deployment(person)["metadata"]["generation"] == version
        corrected = eventually(lambda: messages(person, "DriftCorrected"))
        assert not any("Deployment" in message for message in corrected)
        # Paused by others, the Deployment would roll out nothing more.
        person.patched("deployment", BOT, {"spec": {"paused": True}})
        eventually(lambda: not deployment(person)["spec"].get("paused"))
        # A stop and a new limit go on.
        person.patched("tradingbot", BOT, {"spec": {"paused": True}})
        person.await_phase(BOT, "Paused")


def selector(person: Person) -> Object:
    return dict((person.get("service", BOT) or {})["spec"]["selector"])


def patches(person: Person) -> int:
    """How often the operator has patched the bot's Deployment."""
    return sum(
        event["verb"] == "patch"
        and event.get("objectRef", {}).get("namespace") == person.namespace
        and event["objectRef"]["resource"] == "deployments"
        and event["user"]["username"].endswith(":tradingbot-operator")
        for event in person.system.plane.audit_events(containing=person.namespace)
    )


def test_a_second_mount_of_our_volume_is_neither_drift_nor_written(person: Person) -> None:
    person.running_bot()
    mounts = [{"name": "config", "mountPath": "/elsewhere"}]
    extra = [{"name": "bot", "volumeMounts": mounts}]
    patch = {"spec": {"template": {"spec": {"containers": extra}}}}
    done = person.kubectl("patch", "deployment", BOT, "-p", json.dumps(patch))
    assert done.returncode == 0, done.stderr
    told = eventually(lambda: condition(person.get("tradingbot", BOT) or {}, "ForeignFields"))
    assert "volumeMounts[mountPath=/elsewhere]" in told["message"]
    before = patches(person)
    person.patched("service", BOT, {"spec": {"selector": {"app": "x"}}})
    eventually(lambda: messages(person, "DriftCorrected"))
    assert patches(person) == before
    assert not any("Deployment" in message for message in messages(person, "DriftCorrected"))


def test_the_table_of_types_is_that_of_this_api_server(person: Person) -> None:
    served = (person.kubectl("get", "--raw", f"/openapi/v3/{path}") for path in DOCUMENTS)
    assert text(json.loads(done.stdout) for done in served) == TABLE.read_text(encoding="utf-8")
