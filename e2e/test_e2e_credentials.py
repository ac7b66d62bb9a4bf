"""Credentials: awaited, named, followed when they change, and never repeated."""

from person import Person, condition, eventually, sample, sample_bot

BOT = "arb-bot-binance"
VALUE = "c2VjcmV0LXZhbHVlLW9mLXRoaXMtdGVzdA"


def secret(**data: str) -> dict[str, object]:
    return {**sample("secret.yaml"), "stringData": data}


def test_a_bot_without_its_secret_is_warned_of_waits_and_starts_when_it_appears(
    person: Person,
) -> None:
    done = person.apply(sample_bot())
    assert done.returncode == 0, done.stderr
    assert "Warning: " in done.stderr
    assert "binance-creds" in done.stderr
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
    verbs = {
        event["verb"]
        for event in person.system.plane.audit_events()
        if event["user"]["username"].startswith("system:serviceaccount:tradingbot-system:")
        and event.get("objectRef", {}).get("resource") == "secrets"
    }
    assert verbs == {"get"}
