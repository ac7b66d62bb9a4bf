"""Credentials: awaited, named, followed when they change, and never repeated."""

from person import Person, condition, eventually, sample, sample_bot
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE

BOT = "arb-bot-binance"
VALUE = "c2VjcmV0LXZhbHVlLW9mLXRoaXMtdGVzdA"


def secret(**data: str) -> dict[str, object]:
    return {**sample("secret.yaml"), "stringData": data}


def test_a_bot_without_its_secret_waits_and_starts_when_it_appears(person: Person) -> None:
    person.applied(sample_bot())
    bot = person.await_phase(BOT, "AwaitingCredentials")
    assert condition(bot, "CredentialsReady")["reason"] == "SecretNotFound"
    (deployment,) = person.items("deployment", bot=BOT)
    assert deployment["spec"]["replicas"] == 0
    person.applied(sample("secret.yaml"))
    person.await_phase(BOT, "Running")
    eventually(lambda: "CredentialsMissing" in person.events(BOT))


def test_a_missing_key_is_named(person: Person) -> None:
    person.applied(secret(**{"api-key": VALUE}), sample_bot())
    bot = person.await_phase(BOT, "AwaitingCredentials")
    assert condition(bot, "CredentialsReady")["reason"] == "KeyNotFound"
    assert '"api-secret"' in condition(bot, "CredentialsReady")["message"]


def test_a_value_with_a_newline_stops_the_bot_until_it_is_right(person: Person) -> None:
    """What `echo KEY > api-key` and `kubectl create secret --from-file` make of a key."""
    good = {"api-key": VALUE, "api-secret": VALUE + "2", "passphrase": "x"}
    bot = sample_bot()
    bot["spec"]["exchange"]["passphrasePath"] = "passphrase"
    person.applied(secret(**{**good, "api-secret": f"{VALUE}\n"}), bot)
    waiting = condition(person.await_phase(BOT, "AwaitingCredentials"), "CredentialsReady")
    assert waiting["reason"] == "KeyHasWhitespace"
    assert '"api-secret"' in waiting["message"]
    assert VALUE not in waiting["message"]
    person.applied(secret(**good))
    person.await_phase(BOT, "Running")
    (pod,) = person.items("pod", bot=BOT)
    sources = {
        one["name"]: one["valueFrom"]["secretKeyRef"]["key"]
        for one in pod["spec"]["containers"][0]["env"]
        if "valueFrom" in one
    }
    assert sources == {
        "EXCHANGE_API_KEY": "api-key",
        "EXCHANGE_API_SECRET": "api-secret",
        "EXCHANGE_API_PASSPHRASE": "passphrase",
    }
    person.applied(secret(**{**good, "passphrase": ""}))
    stopped = person.await_phase(BOT, "AwaitingCredentials")
    assert condition(stopped, "CredentialsReady")["reason"] == "KeyEmpty"


def test_no_value_of_a_secret_is_in_any_object_or_log(person: Person) -> None:
    person.applied(secret(**{"api-key": VALUE, "api-secret": VALUE}), sample_bot())
    person.await_phase(BOT, "Running")
    for kind in ("tradingbot", "deployment", "configmap", "service", "pod", "event"):
        assert VALUE not in person.kubectl("get", kind, "-o", "yaml").stdout
    for process in ("operator", "webhooks", "registry"):
        assert VALUE not in person.system.log_file(process).read_text(encoding="utf-8")
    (pod,) = person.items("pod", bot=BOT)
    sources = [one["valueFrom"]["secretKeyRef"] for one in pod["spec"]["containers"][0]["env"][:2]]
    assert sources == [
        {"name": "binance-creds", "key": "api-key"},
        {"name": "binance-creds", "key": "api-secret"},
    ]


def test_the_operator_gets_secrets_by_name_and_never_lists_them(person: Person) -> None:
    person.running_bot()
    uses = {
        (event["verb"], event["objectRef"].get("namespace") == SYSTEM_NAMESPACE)
        for event in person.system.plane.audit_events(containing="secrets")
        if event["user"]["username"].startswith("system:serviceaccount:tradingbot-system:")
        and event.get("objectRef", {}).get("resource") == "secrets"
    }
    # In its own namespace, it creates the key of its digests.
    assert uses == {("get", False), ("get", True), ("patch", True)}
