"""Secrets and caBundle injection, against a real API server."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.client import AdmissionregistrationV1Api, ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from tradingbot_certs.errors import ClusterError, ForeignCertificateError
from tradingbot_certs.injection import Injector
from tradingbot_certs.main import ensure
from tradingbot_certs.plan import Plan
from tradingbot_certs.secret import SecretStore
from tradingbot_certs.settings import CertSettings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def namespace(api_client: ApiClient) -> str:
    name = f"certs-{uuid.uuid4().hex[:8]}"
    CoreV1Api(api_client).create_namespace({"metadata": {"name": name}})
    return name


def ensured(
    client: ApiClient, namespace: str, *, configurations: str = "", now: datetime = NOW
) -> Plan:
    settings = CertSettings(
        secret=f"{namespace}/webhook-tls",
        webhook_configurations=configurations,  # type: ignore[arg-type]
    )
    _, name, ca_name = settings.secret_names
    store = SecretStore(client, namespace=namespace, name=name, ca_name=ca_name)
    injector = Injector(client, settings.webhook_configurations)
    return ensure(settings, store=store, injector=injector, now=now)


def secret(client: ApiClient, namespace: str, name: str) -> Any:
    return CoreV1Api(client).read_namespaced_secret(name, namespace)


def configuration(client: ApiClient, kind: str, name: str) -> None:
    webhook = {
        "clientConfig": {"url": "https://127.0.0.1:9443/validate"},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "rules": [
            {
                "apiGroups": ["trading.io"],
                "apiVersions": ["v1"],
                "resources": ["tradingbots"],
                "operations": ["CREATE"],
            }
        ],
    }
    body = {
        "metadata": {"name": name},
        "webhooks": [webhook | {"name": f"{part}.trading.io"} for part in ("one", "two")],
    }
    api = AdmissionregistrationV1Api(client)
    getattr(api, f"create_{kind}_webhook_configuration")(body)


def test_the_key_of_the_authority_is_not_in_the_secret_that_the_webhook_mounts(
    api_client: ApiClient, namespace: str
) -> None:
    ensured(api_client, namespace)
    serving = secret(api_client, namespace, "webhook-tls")
    assert serving.type == "kubernetes.io/tls"
    assert set(serving.data) == {"tls.crt", "tls.key", "ca.crt"}
    assert set(secret(api_client, namespace, "webhook-tls-ca").data) == {"ca.crt", "ca.key"}


def test_a_second_run_writes_nothing(api_client: ApiClient, namespace: str) -> None:
    ensured(api_client, namespace)
    before = [secret(api_client, namespace, n) for n in ("webhook-tls", "webhook-tls-ca")]
    ensured(api_client, namespace, now=NOW + timedelta(days=1))
    after = [secret(api_client, namespace, n) for n in ("webhook-tls", "webhook-tls-ca")]
    assert [s.metadata.resource_version for s in before] == [
        s.metadata.resource_version for s in after
    ]


def test_renewal_keeps_the_authority(api_client: ApiClient, namespace: str) -> None:
    first = ensured(api_client, namespace)
    second = ensured(api_client, namespace, now=NOW + timedelta(days=61))
    assert second.new_serving is not None
    assert second.bundle.ca_crt == first.bundle.ca_crt
    stored = secret(api_client, namespace, "webhook-tls").data["tls.crt"]
    assert base64.b64decode(stored) == second.bundle.tls_crt


def test_a_deleted_secret_comes_back(api_client: ApiClient, namespace: str) -> None:
    ensured(api_client, namespace)
    CoreV1Api(api_client).delete_namespaced_secret("webhook-tls", namespace)
    assert ensured(api_client, namespace).new_serving == "there was none"
    assert secret(api_client, namespace, "webhook-tls").type == "kubernetes.io/tls"


def test_a_secret_of_another_type_is_refused(api_client: ApiClient, namespace: str) -> None:
    CoreV1Api(api_client).create_namespaced_secret(
        namespace, {"metadata": {"name": "webhook-tls"}, "type": "Opaque"}
    )
    with pytest.raises(ForeignCertificateError, match="has the type Opaque"):
        ensured(api_client, namespace)


def test_a_lost_race_is_read_again(
    api_client: ApiClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes start at once: the slower one adopts what the faster one made."""
    raced: list[Plan] = []
    original = SecretStore.save_authority

    def slower(self: SecretStore, bundle: Any) -> None:
        if not raced:
            raced.append(Plan(bundle=bundle))
            raced[0] = ensured(api_client, namespace)
        original(self, bundle)

    monkeypatch.setattr(SecretStore, "save_authority", slower)
    slow = ensured(api_client, namespace)
    assert slow.bundle.ca_crt == raced[0].bundle.ca_crt
    assert slow.new_serving is None


def test_a_renewal_that_lost_a_race_does_not_undo_the_other(
    api_client: ApiClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensured(api_client, namespace)
    due = NOW + timedelta(days=61)
    raced: list[Plan] = []
    original = SecretStore.save_serving

    def slower(self: SecretStore, bundle: Any) -> None:
        monkeypatch.setattr(SecretStore, "save_serving", original)
        raced.append(ensured(api_client, namespace, now=due))
        original(self, bundle)

    monkeypatch.setattr(SecretStore, "save_serving", slower)
    slow = ensured(api_client, namespace, now=due)
    assert slow.bundle.tls_crt == raced[0].bundle.tls_crt
    assert slow.new_serving is None


@pytest.mark.parametrize("kind", ["mutating", "validating"])
def test_every_webhook_is_made_to_trust_the_authority(
    api_client: ApiClient, namespace: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    configuration(api_client, kind, namespace)
    wanted = ensured(api_client, namespace, configurations=namespace)
    api = AdmissionregistrationV1Api(api_client)
    read = getattr(api, f"read_{kind}_webhook_configuration")
    found = read(namespace)
    bundles = {base64.b64decode(w.client_config.ca_bundle) for w in found.webhooks}
    assert bundles == {wanted.bundle.ca_crt}
    assert "caBundle injected" in caplog.messages
    caplog.clear()
    ensured(api_client, namespace, configurations=namespace)
    assert caplog.messages == [], "nothing is written twice"
    assert read(namespace).metadata.resource_version == found.metadata.resource_version


def test_injection_leaves_the_other_fields_alone(api_client: ApiClient, namespace: str) -> None:
    configuration(api_client, "validating", namespace)
    api = AdmissionregistrationV1Api(api_client)
    api.patch_validating_webhook_configuration(
        namespace, [{"op": "add", "path": "/webhooks/1/timeoutSeconds", "value": 3}]
    )
    ensured(api_client, namespace, configurations=namespace)
    webhooks = api.read_validating_webhook_configuration(namespace).webhooks
    assert [w.timeout_seconds for w in webhooks] == [10, 3]


def test_a_missing_configuration_is_named_and_the_certificate_exists_all_the_same(
    api_client: ApiClient, namespace: str
) -> None:
    with pytest.raises(ClusterError, match="no webhook configuration is called nowhere"):
        ensured(api_client, namespace, configurations="nowhere")
    assert secret(api_client, namespace, "webhook-tls")


def test_a_missing_namespace_is_one_clear_line(api_client: ApiClient) -> None:
    with pytest.raises(ClusterError, match="cannot write the Secret nowhere/webhook-tls-ca"):
        ensured(api_client, "nowhere")


def test_the_cleartext_key_is_in_no_error(api_client: ApiClient, namespace: str) -> None:
    with pytest.raises(ClusterError) as caught:
        ensured(api_client, "nowhere")
    assert "PRIVATE" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ApiException)
