"""Admission as users of a real cluster meet it: by a Service, and cert-manager's certificate."""

import base64

import yaml
from installation import REGISTRY_AUDIENCE, Installation
from person import SAMPLES, Object, Person, condition, eventually, sample_bot
from tradingbot_dev.control_plane.plane import SYSTEM_NAMESPACE

CONFIGURATIONS = (
    "mutatingwebhookconfiguration/tradingbot-mutating",
    "validatingwebhookconfiguration/tradingbot-validating",
)


def test_everything_of_config_default_runs(product: Installation) -> None:
    replicas = {
        one["metadata"]["name"]: one["status"]["readyReplicas"] for one in product.deployments()
    }
    assert replicas == {
        "tradingbot-operator": 2,
        "tradingbot-registry": 1,
        "tradingbot-webhooks": 2,
    }
    claim = product.object("pvc", "tradingbot-registry-data", "-n", SYSTEM_NAMESPACE)
    assert claim["status"]["phase"] == "Bound"


def test_the_api_server_asks_the_service_and_trusts_cert_managers_authority(
    product: Installation,
) -> None:
    secret = product.object("secret", "tradingbot-webhook-tls", "-n", SYSTEM_NAMESPACE)
    authority = base64.b64decode(secret["data"]["ca.crt"]).decode()
    for name in CONFIGURATIONS:
        for webhook in product.object(name)["webhooks"]:
            asked = webhook["clientConfig"]
            assert asked["service"]["name"] == "tradingbot-webhooks"
            assert "url" not in asked
            trusted = base64.b64decode(asked["caBundle"]).decode()
            assert trusted.strip() == authority.strip()


def test_defaults_are_filled_in(person: Person) -> None:
    person.applied(sample_bot(paused=True))
    stored = person.get("tradingbot", "arb-bot-binance")
    assert stored is not None
    assert "takeProfitPercentage" not in stored["spec"]["riskManagement"]
    assert stored["spec"]["updatePolicy"] == "WhenFlat"
    assert stored["spec"]["exchange"]["apiKeyPath"] == "api-key"


def test_every_mistake_of_a_bot_is_listed_at_once(person: Person) -> None:
    for bot, mistakes in invalid_samples():
        done = person.apply(bot)
        assert done.returncode != 0
        for field in mistakes:
            assert field in done.stderr, (bot["metadata"]["name"], done.stderr)
        assert person.get("tradingbot", bot["metadata"]["name"]) is None


def invalid_samples() -> list[tuple[Object, list[str]]]:
    """Each bot of invalid.yaml, and the fields that its comments say are named."""
    found = []
    for text in (SAMPLES / "invalid.yaml").read_text().split("\n---\n"):
        lines = (line.strip() for line in text.splitlines())
        fields = [line[2:].split(": ")[0] for line in lines if line.startswith("# spec.")]
        assert fields
        found.append((yaml.safe_load(text), fields))
    return found


def test_the_samples_are_admitted_and_the_catalogue_is_synced(
    person: Person, product: Installation
) -> None:
    done = person.kubectl("apply", "-k", str(SAMPLES))
    assert done.returncode == 0, done.stderr
    catalogue = eventually(lambda: synced(person, "market-data"))
    assert catalogue is not None
    reader = product.token("tradingbot-operator", audience=REGISTRY_AUDIENCE)
    status, listed = product.ask_registry("assets", token=reader)
    assert status == 200
    assert {"binance-rest", "price-history"} <= {one["name"] for one in listed}


def synced(person: Person, name: str) -> Object | None:
    found = person.get("assetregistry", name) or {}
    return found if condition(found, "Synced")["status"] == "True" else None
