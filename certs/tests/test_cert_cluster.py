"""Secrets and caBundle injection, against a real API server."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from certs_in_memory import NOW, words
from kubernetes.client import AdmissionregistrationV1Api, ApiClient, CoreV1Api, DiscoveryV1Api
from kubernetes.client.exceptions import ApiException
from tradingbot_certs.authority import CA_LIFETIME
from tradingbot_certs.endpoints import addresses_of
from tradingbot_certs.errors import ClusterError, ConflictError, ForeignCertificateError
from tradingbot_certs.injection import Injector
from tradingbot_certs.plan import SETTLE
from tradingbot_certs.rotation import Rotation
from tradingbot_certs.secret import SecretStore
from tradingbot_certs.settings import CertSettings
from tradingbot_certs.state import Stored

Done = list[tuple[str, str]]


@pytest.fixture
def namespace(api_client: ApiClient) -> str:
    name = f"certs-{uuid.uuid4().hex[:8]}"
    CoreV1Api(api_client).create_namespace({"metadata": {"name": name}})
    return name


def rotation(
    client: ApiClient, namespace: str, *, configurations: str = "", now: datetime = NOW
) -> Rotation:
    settings = CertSettings(
        secret=f"{namespace}/webhook-tls",
        webhook_configurations=configurations,  # type: ignore[arg-type]
    )
    return Rotation(
        rules=settings.rules,
        store=store(client, namespace),
        trust=Injector(client, settings.webhook_configurations),
        replicas=None,
        clock=lambda: now,
    )


def ensured(
    client: ApiClient, namespace: str, *, configurations: str = "", now: datetime = NOW
) -> Done:
    """What a check has stored, and why."""
    return words(rotation(client, namespace, configurations=configurations, now=now).check())


def store(client: ApiClient, namespace: str) -> SecretStore:
    return SecretStore(client, namespace=namespace, name="webhook-tls", ca_name="webhook-tls-ca")


def loaded(client: ApiClient, namespace: str) -> Stored:
    return store(client, namespace).load()


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
    ensured(api_client, namespace)
    first = loaded(api_client, namespace)
    (done,) = ensured(api_client, namespace, now=NOW + timedelta(days=61))
    assert done[0] == "certificate issued"
    second = loaded(api_client, namespace)
    assert second.tls_crt != first.tls_crt
    assert replace(second, tls_crt=first.tls_crt, tls_key=first.tls_key) == first


def test_the_key_of_a_successor_is_stored_as_long_as_there_is_one(
    api_client: ApiClient, namespace: str
) -> None:
    due = NOW + CA_LIFETIME * 2 / 3
    ensured(api_client, namespace, now=NOW)
    ensured(api_client, namespace, now=due)
    authorities = secret(api_client, namespace, "webhook-tls-ca").data
    assert set(authorities) == {"ca.crt", "ca.key", "next.key", "since"}
    assert set(secret(api_client, namespace, "webhook-tls").data) == {
        "tls.crt",
        "tls.key",
        "ca.crt",
    }
    ensured(api_client, namespace, now=due + SETTLE)
    promoted = secret(api_client, namespace, "webhook-tls-ca").data
    assert set(promoted) == {"ca.crt", "ca.key"}
    assert promoted["ca.key"] == authorities["next.key"]


def test_a_deleted_secret_comes_back(api_client: ApiClient, namespace: str) -> None:
    ensured(api_client, namespace)
    CoreV1Api(api_client).delete_namespaced_secret("webhook-tls", namespace)
    assert ensured(api_client, namespace) == [("certificate issued", "it did not exist")]
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
    raced: list[Stored] = []
    original = SecretStore.save_authorities

    def slower(self: SecretStore, files: Mapping[str, bytes]) -> None:
        monkeypatch.setattr(SecretStore, "save_authorities", original)
        ensured(api_client, namespace)
        raced.append(loaded(api_client, namespace))
        original(self, files)

    monkeypatch.setattr(SecretStore, "save_authorities", slower)
    assert ensured(api_client, namespace) == []
    assert [loaded(api_client, namespace)] == raced


def test_a_renewal_that_lost_a_race_does_not_undo_the_other(
    api_client: ApiClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensured(api_client, namespace)
    due = NOW + timedelta(days=61)
    raced: list[Stored] = []
    original = SecretStore.save_serving

    def slower(self: SecretStore, files: Mapping[str, bytes]) -> None:
        monkeypatch.setattr(SecretStore, "save_serving", original)
        ensured(api_client, namespace, now=due)
        raced.append(loaded(api_client, namespace))
        original(self, files)

    monkeypatch.setattr(SecretStore, "save_serving", slower)
    assert ensured(api_client, namespace, now=due) == []
    assert [loaded(api_client, namespace)] == raced


@pytest.mark.parametrize("deed", ["replaced", "deleted"])
def test_a_secret_that_was_changed_or_deleted_since_it_was_read_is_a_conflict(
    api_client: ApiClient, namespace: str, deed: str
) -> None:
    ensured(api_client, namespace)
    late = store(api_client, namespace)
    late.load()
    core = CoreV1Api(api_client)
    for name in ("webhook-tls", "webhook-tls-ca"):
        core.delete_namespaced_secret(name, namespace)
    if deed == "replaced":
        ensured(api_client, namespace)
    with pytest.raises(ConflictError):
        late.save_authorities({"ca.crt": b"late"})
    with pytest.raises(ConflictError):
        late.save_serving({"tls.crt": b"late", "tls.key": b"late"})


@pytest.mark.parametrize("kind", ["mutating", "validating"])
@pytest.mark.parametrize("deed", ["changed", "deleted"])
def test_a_configuration_that_was_changed_or_deleted_since_it_was_read_is_a_conflict(
    api_client: ApiClient, namespace: str, kind: str, deed: str
) -> None:
    configuration(api_client, kind, namespace)
    late = Injector(api_client, [namespace])
    late.read()
    api = AdmissionregistrationV1Api(api_client)
    if deed == "deleted":
        getattr(api, f"delete_{kind}_webhook_configuration")(namespace)
    else:
        ensured(api_client, namespace, configurations=namespace)
    with pytest.raises(ConflictError, match="cannot inject caBundle"):
        late.inject(b"late")
    if deed == "changed":
        kept = getattr(api, f"read_{kind}_webhook_configuration")(namespace).webhooks
        expected = loaded(api_client, namespace).ca_crt
        assert {base64.b64decode(webhook.client_config.ca_bundle) for webhook in kept} == {expected}


@pytest.mark.parametrize("kind", ["mutating", "validating"])
def test_every_webhook_is_made_to_trust_the_authority(
    api_client: ApiClient, namespace: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    configuration(api_client, kind, namespace)
    ensured(api_client, namespace, configurations=namespace)
    api = AdmissionregistrationV1Api(api_client)
    read = getattr(api, f"read_{kind}_webhook_configuration")
    found = read(namespace)
    bundles = {base64.b64decode(w.client_config.ca_bundle) for w in found.webhooks}
    assert bundles == {loaded(api_client, namespace).ca_crt}
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


def test_the_servers_of_a_service_are_looked_up_ready_or_not(
    api_client: ApiClient, namespace: str
) -> None:
    api = DiscoveryV1Api(api_client)
    states: dict[str, dict[str, bool]] = {
        "192.0.2.1": {},
        "192.0.2.2": {"ready": False, "serving": False},
        "192.0.2.3": {"ready": False, "serving": True, "terminating": True},
        "192.0.2.4": {"ready": False, "serving": False, "terminating": True},
    }
    for service, port in (("webhooks", 9443), ("other", 80)):
        api.create_namespaced_endpoint_slice(
            namespace,
            {
                "metadata": {
                    "name": f"{service}-1",
                    "labels": {"kubernetes.io/service-name": service},
                },
                "addressType": "IPv4",
                "ports": [{"name": "https", "port": port}],
                "endpoints": [
                    {"addresses": [address], "conditions": conditions}
                    for address, conditions in states.items()
                ],
            },
        )
    look_up = addresses_of(api_client, namespace=namespace, service="webhooks")
    assert look_up() == [("192.0.2.1", 9443), ("192.0.2.2", 9443), ("192.0.2.3", 9443)]
    assert addresses_of(api_client, namespace=namespace, service="none")() == []
