"""Every setting of the webhook configurations, in each of the ways they are rendered.

Compared whole: a setting that is added, a selector above all, is as wrong as one that is missing.
"""

import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rendered import loaded
from tradingbot_dev.control_plane.plane import kubectl_path
from tradingbot_dev.product.manifests import Manifests
from webhook_settings import CONFIGURATIONS

CONFIG = Path(__file__).parents[1]
RELEASE_LABELS = {
    "app.kubernetes.io/part-of": "tradingbot",
    "app.kubernetes.io/version": version("tradingbot-operator"),
}
# The metadata of both configurations, besides the name. The caBundle is put in by cert-manager in
# the one, by `tradingbot certs` in the other; neither has it in the files.
VARIANTS: dict[str, dict[str, Any]] = {
    "webhook": {},
    "base": {},
    "selfsigned": {"labels": RELEASE_LABELS},
    "default": {
        "labels": RELEASE_LABELS,
        "annotations": {
            "cert-manager.io/inject-ca-from": "tradingbot-system/tradingbot-webhook-tls"
        },
    },
}


def rendered(folder: Path) -> str:
    command = [kubectl_path(), "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_webhook_configurations_are_these_word_for_word(variant: str) -> None:
    found = {
        one["kind"]: one
        for one in loaded(rendered(CONFIG / variant))
        if one["kind"].endswith("WebhookConfiguration")
    }
    assert found == {
        kind: {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name, **VARIANTS[variant]},
            "webhooks": webhooks,
        }
        for kind, (name, webhooks) in CONFIGURATIONS.items()
    }


@pytest.mark.parametrize("variant", ["selfsigned", "default"])
def test_the_service_that_they_call_is_the_one_that_is_installed(variant: str) -> None:
    objects = loaded(rendered(CONFIG / variant))
    services = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): one["spec"]
        for one in objects
        if one["kind"] == "Service"
    }
    (pods,) = (
        one["spec"]["template"]
        for one in objects
        if one["kind"] == "Deployment" and one["metadata"]["name"] == "tradingbot-webhooks"
    )
    ports = {port["name"]: port for port in pods["spec"]["containers"][0]["ports"]}
    for _, webhooks in CONFIGURATIONS.values():
        for webhook in webhooks:
            called = webhook["clientConfig"]["service"]
            service = services[called["namespace"], called["name"]]
            assert service["selector"].items() <= pods["metadata"]["labels"].items()
            assert [port["targetPort"] for port in service["ports"]] == ["https"]
            assert [port["port"] for port in service["ports"]] == [called["port"]]
    assert ports["https"]["containerPort"] == 9443


def test_the_local_cluster_gets_the_same_but_for_the_way_to_the_server() -> None:
    local = Manifests.render(rendered).webhooks_at("https://127.0.0.1:9443", ca=b"a CA")
    assert {one["kind"]: one["webhooks"] for one in local} == {
        kind: [
            {
                **webhook,
                "clientConfig": {
                    "url": f"https://127.0.0.1:9443{webhook['clientConfig']['service']['path']}",
                    "caBundle": "YSBDQQ==",
                },
            }
            for webhook in webhooks
        ]
        for kind, (_, webhooks) in CONFIGURATIONS.items()
    }
