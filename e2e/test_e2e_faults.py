"""Faults of a cluster that a bot's declaration has no part in, on a real API server.

What an API server can't be asked for, such as errors, is in test_e2e_bad_answers.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml
from kubernetes import client, config
from person import Object, Person, condition, eventually, sample, sample_bot
from simulated_bots import SimulatedBots
from tradingbot_dev.product.system import OPERATOR, WEBHOOKS, System

BOT = "arb-bot-binance"
CRD = "tradingbots.trading.io"
HOLD = "example.com/hold"
ACCOUNT = "system:serviceaccount:tradingbot-system:tradingbot-operator"
VALUE = "4711"
WRONG = {
    "exchange": {"name": f"Exchange{VALUE}"},
    "riskManagement": {"dailyLossLimit": f"-{VALUE}"},
}


def named(name: str, **changes: object) -> Object:
    return {**sample_bot(**changes), "metadata": {"name": name}}


def requests(person: Person) -> list[Object]:
    """What the operator has asked of the person's namespace, from the API server's audit log."""
    return [
        event
        for event in person.requests()
        if event["user"]["username"] == ACCOUNT
        and event.get("objectRef", {}).get("namespace") == person.namespace
    ]


def resource(person: Person, kind: str) -> Object:
    """What the bot's status says of its child of that kind."""
    bot = person.get("tbot", BOT) or {}
    found = [one for one in bot["status"]["deployedResources"] if one["kind"] == kind]
    assert found, f"no {kind} in deployedResources"
    return dict(found[0])


def pods(person: Person, *, bot: str = BOT) -> list[str]:
    return [one["metadata"]["uid"] for one in person.items("pod", bot=bot)]


# ---- what others delete


def test_a_namespace_that_is_deleted_with_its_bots_goes_quickly_and_without_a_storm(
    person: Person,
) -> None:
    names = [f"bot-{number}" for number in range(4)]
    person.applied(sample("secret.yaml"), *(named(name) for name in names))
    for name in names:
        person.await_phase(name, "Running")
    before = len(requests(person))
    deleted = person.system.plane.kubectl("delete", "namespace", person.namespace, "--timeout=120s")
    assert deleted.returncode == 0, deleted.stderr
    asked = requests(person)[before:]
    kinds = Counter((one["verb"], one["objectRef"]["resource"]) for one in asked)
    assert len(asked) < 25 * len(names), kinds


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment"])
def test_a_child_that_is_stuck_in_deletion_is_not_ready_and_made_anew_once_it_has_gone(
    person: Person, kind: str
) -> None:
    name = f"{BOT}-config" if kind == "ConfigMap" else BOT
    person.running_bot()
    (before,) = person.items(kind, bot=BOT)
    person.patched(kind, name, {"metadata": {"finalizers": [HOLD]}})
    try:
        person.kubectl("delete", kind, name, "--wait=false")
        eventually(lambda: not resource(person, kind)["ready"])
    finally:
        person.patched(kind, name, {"metadata": {"finalizers": None}})
    eventually(lambda: resource(person, kind)["ready"])
    (after,) = person.items(kind, bot=BOT)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    person.await_phase(BOT, "Running")


def test_a_running_bot_whose_secret_is_deleted_stops_and_resumes_when_there_is_a_new_one(
    person: Person,
) -> None:
    person.running_bot()
    person.kubectl("delete", "secret", "binance-creds")
    # No watch reports the deletion: the next poll notices it.
    bot = person.await_phase(BOT, "AwaitingCredentials")
    assert condition(bot, "CredentialsReady")["reason"] == "SecretNotFound"
    eventually(lambda: pods(person) == [])
    person.applied(sample("secret.yaml"))
    person.await_phase(BOT, "Running")
    eventually(lambda: "Resumed" in person.events(BOT))


# ---- what others write


def test_a_stored_bot_that_the_schema_refuses_is_stopped_and_told_of_without_its_values(
    person: Person,
) -> None:
    person.running_bot()
    person.applied(named("other"))
    person.await_phase("other", "Running")
    others = pods(person, bot="other")
    person.system.stop_one(OPERATOR)
    try:
        with unchecked(person.system):
            person.patched("tbot", BOT, {"spec": WRONG})
    finally:
        person.system.start_one(OPERATOR)
    bot = person.await_phase(BOT, "Failed")
    assert condition(bot, "Ready")["reason"] == "InvalidSpec"
    for field in ("exchange.name", "riskManagement.dailyLossLimit"):
        assert f"spec.{field}" in condition(bot, "Ready")["message"]
    assert VALUE not in json.dumps(bot["status"])
    eventually(lambda: pods(person) == [])
    assert pods(person, bot="other") == others
    person.deleted("tbot", BOT)


@contextmanager
def unchecked(system: System) -> Iterator[None]:
    """No webhook is asked and the schema takes everything; afterwards all is as it was."""
    kubectl = system.plane.kubectl
    webhooks = "mutatingwebhookconfiguration,validatingwebhookconfiguration"
    kept = json.loads(kubectl("get", webhooks, "-o", "json", check=True).stdout)["items"]
    crd = json.loads(kubectl("get", "crd", CRD, "-o", "json", check=True).stdout)
    for one in kept:
        one["metadata"] = {"name": one["metadata"]["name"]}
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    kubectl("delete", webhooks, *(one["metadata"]["name"] for one in kept))
    set_schema(system, anything)
    try:
        eventually(lambda: nonsense(system) == "")
        yield
    finally:
        set_schema(system, crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        system.apply(yaml.safe_dump_all(kept))
        eventually(lambda: "nonsense" in nonsense(system))


def set_schema(system: System, schema: Object) -> None:
    path = "/spec/versions/0/schema/openAPIV3Schema"
    patch = [{"op": "replace", "path": path, "value": schema}]
    system.plane.kubectl("patch", "crd", CRD, "--type=json", "-p", json.dumps(patch), check=True)


def nonsense(system: System) -> str:
    """What is said against a bot that both the schema and the webhooks would refuse."""
    bot = named("nonsense", schedule={"timeZone": "nonsense", "dayStart": 5})
    options = ("--dry-run=server", "--validate=false", "-f", "-")
    return system.plane.kubectl("create", *options, stdin=json.dumps(bot)).stderr


def test_edits_between_the_operators_reads_and_writes_are_all_kept(person: Person) -> None:
    connection = config.new_client_from_config(str(person.system.plane.kubeconfig))
    api = client.CustomObjectsApi(connection)
    where = {
        "group": "trading.io",
        "version": "v1",
        "namespace": person.namespace,
        "plural": "tradingbots",
    }
    person.applied(sample("secret.yaml"))
    api.create_namespaced_custom_object(**where, body=sample_bot(updatePolicy="Immediate"))
    edits = 40
    for number in range(edits):
        change: Object = {
            "metadata": {"labels": {f"edit-{number}": "x"}},
            "spec": {"riskManagement": {"dailyLossLimit": str(100 + number)}},
        }
        if number == edits // 2:
            found = api.get_namespaced_custom_object(**where, name=BOT)
            finalizers = [*found["metadata"].get("finalizers", []), HOLD]
            change["metadata"]["finalizers"] = finalizers
        api.patch_namespaced_custom_object(**where, name=BOT, body=change)
    bot = person.await_phase(BOT, "Running")
    assert {f"edit-{number}" for number in range(edits)} <= set(bot["metadata"]["labels"])
    assert bot["spec"]["riskManagement"]["dailyLossLimit"] == str(100 + edits - 1)
    (configuration,) = person.items("configmap", bot=BOT)
    assert f'"dailyLossLimit": "{100 + edits - 1}"' in configuration["data"]["bot.json"]
    assert len(bot["metadata"]["finalizers"]) == 2
    person.kubectl("delete", "tbot", BOT, "--wait=false")
    eventually(lambda: (person.get("tbot", BOT) or {})["metadata"]["finalizers"] == [HOLD])
    person.patched("tbot", BOT, {"metadata": {"finalizers": None}})
    eventually(lambda: person.get("tbot", BOT) is None)


# ---- what is away for a while


def test_without_webhooks_a_loss_halts_a_bot_and_the_halted_bot_can_be_deleted(
    person: Person, bots: SimulatedBots
) -> None:
    person.running_bot()
    person.system.kill(WEBHOOKS)
    try:
        bots.set(person.namespace, BOT, day_pnl="-5000")
        person.await_phase(BOT, "Halted")
        eventually(lambda: pods(person) == [])
        person.deleted("tbot", BOT)
    finally:
        person.system.start_one(WEBHOOKS)


def test_many_bots_that_fail_hold_up_no_other(person: Person) -> None:
    failing = {**sample_bot()["spec"]["exchange"], "apiKeySecret": "nowhere"}
    person.applied(sample("secret.yaml"), *(named(f"bad-{n}", exchange=failing) for n in range(25)))
    begun = time.monotonic()
    person.applied(named("good"))
    person.await_phase("good", "Running")
    assert time.monotonic() - begun < 15
    bad = person.await_phase("bad-24", "AwaitingCredentials")
    assert condition(bad, "Ready")["reason"] == "SecretNotFound"


def test_a_definition_that_is_deleted_and_made_anew_needs_no_restart(person: Person) -> None:
    system = person.system
    process = system.plane.table.running(OPERATOR)
    person.running_bot()
    deleted = system.plane.kubectl("delete", "crd", CRD, "--timeout=120s")
    assert deleted.returncode == 0, deleted.stderr
    eventually(lambda: pods(person) == [])
    system.start()
    person.applied(named("new"))
    person.await_phase("new", "Running")
    assert system.plane.table.running(OPERATOR) == process
    # If the operator still knew the old bot, it would create the children again.
    eventually(lambda: person.items("deployment,configmap,service", bot=BOT) == [])
