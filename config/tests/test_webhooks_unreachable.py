"""The webhooks installed and nobody at their port: what must go on in the cluster all the same.

On the real API server, which alone decides what a rule or a match condition lets pass.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

import pytest
from crd_layer import CrdLayer
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_dev.processes.waiting import STUCK_SECONDS, wait_until
from tradingbot_dev.product.manifests import SAMPLE_BOT, SAMPLE_REGISTRY, Manifests, load, text
from webhook_settings import CONFIGURATIONS

NAMESPACE = "webhooks-down"
PATIENCE = STUCK_SECONDS
KINDS = {"tradingbots": SAMPLE_BOT, "assetregistries": SAMPLE_REGISTRY}
REFUSED = "failed calling webhook"
CHANGES = {
    "tradingbots": {"spec": {"updatePolicy": "Manual"}},
    "assetregistries": {"spec": {"deletionPolicy": "Retain"}},
}


@dataclass(frozen=True)
class Cluster:
    """The administrator's kubectl, in a namespace of its own."""

    plane: ControlPlane

    def kubectl(self, *arguments: str, stdin: str | None = None) -> CompletedProcess[str]:
        return self.plane.kubectl("-n", NAMESPACE, *arguments, stdin=stdin)

    def create(self, obj: dict[str, Any], *options: str) -> CompletedProcess[str]:
        return self.kubectl("create", *options, "-f", "-", stdin=json.dumps(obj))

    def patch(
        self, resource: str, name: str, body: dict[str, Any], *options: str
    ) -> CompletedProcess[str]:
        change = json.dumps(body)
        return self.kubectl("patch", resource, name, *options, "--type=merge", "-p", change)

    def calls_webhooks(self) -> bool:
        """Whether both kinds are refused now because nobody answers for the webhooks."""
        refusals = [self.create(named(kind, "probe"), "--dry-run=server").stderr for kind in KINDS]
        return all(REFUSED in refusal for refusal in refusals)

    def is_free(self) -> bool:
        return all(
            self.create(named(kind, "probe"), "--dry-run=server").returncode == 0 for kind in KINDS
        )


def named(resource: str, name: str) -> dict[str, Any]:
    obj = load(KINDS[resource])
    obj["metadata"] = {"name": name}
    return obj


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Iterator[Cluster]:
    """Objects of both kinds named `one`, made before the webhooks that nobody answers for."""
    layer = CrdLayer(control_plane)
    layer.install()
    layer.close()
    cluster = Cluster(control_plane)
    control_plane.kubectl("create", "namespace", NAMESPACE, check=True)
    manifests = Manifests.render(
        lambda folder: control_plane.kubectl("kustomize", str(folder), check=True).stdout
    )
    webhooks = text(
        manifests.webhooks_at(
            f"https://127.0.0.1:{control_plane.ports.webhooks}",
            ca=control_plane.pki.ca.read_bytes(),
        )
    )
    wait_until(cluster.is_free, what="the namespace", seconds=PATIENCE)
    for resource in KINDS:
        for name in ("one", "held"):
            obj = named(resource, name)
            obj["metadata"]["finalizers"] = ["example.com/held"] if name == "held" else []
            assert cluster.create(obj).returncode == 0
    control_plane.kubectl("apply", "-f", "-", stdin=webhooks, check=True)
    try:
        wait_until(cluster.calls_webhooks, what="the webhooks", seconds=PATIENCE)
        yield cluster
    finally:
        control_plane.kubectl("delete", "-f", "-", stdin=webhooks, check=True)
        wait_until(cluster.is_free, what="the end of the webhooks", seconds=PATIENCE)
        control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=True)


@pytest.fixture(params=KINDS)
def resource(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_api_server_took_every_setting_as_it_was_meant(cluster: Cluster) -> None:
    for kind, (name, webhooks) in CONFIGURATIONS.items():
        stored = json.loads(cluster.kubectl("get", kind, name, "-o", "json").stdout)["webhooks"]
        for webhook in stored:
            assert webhook.pop("namespaceSelector") == webhook.pop("objectSelector") == {}
            del webhook["clientConfig"]
        assert stored == [
            {key: value for key, value in webhook.items() if key != "clientConfig"}
            for webhook in webhooks
        ]


def test_what_must_be_checked_is_refused(cluster: Cluster, resource: str) -> None:
    assert REFUSED in cluster.create(named(resource, "another")).stderr
    assert REFUSED in cluster.patch(resource, "one", CHANGES[resource]).stderr


CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
POD = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [{"name": "a", "image": "example.com/a:1"}]},
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a"},
    "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": POD},
}
WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


@pytest.mark.parametrize("obj", [CONFIG_MAP, DEPLOYMENT], ids=["ConfigMap", "Deployment"])
def test_other_kinds_are_made_changed_and_deleted(cluster: Cluster, obj: dict[str, Any]) -> None:
    kind = obj["kind"]
    labelled = {"metadata": {"labels": {"a": "b"}}}
    for done in (
        cluster.create(obj),
        cluster.patch(kind, "a", labelled),
        cluster.kubectl("delete", kind, "a", "--wait=false"),
    ):
        assert done.returncode == 0, done.stderr


def test_a_new_kind_is_defined_and_its_objects_are_made(cluster: Cluster) -> None:
    made = cluster.create(WIDGETS)
    assert made.returncode == 0, made.stderr
    try:
        widget = {**CONFIG_MAP, "apiVersion": "example.com/v1", "kind": "Widget"}
        wait_until(
            lambda: cluster.create(widget).returncode == 0, what="the new kind", seconds=PATIENCE
        )
    finally:
        cluster.kubectl("delete", "crd", "widgets.example.com")


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"team": "a"}},
        {"labels": None},
        {"annotations": {"note": "a"}},
        {"annotations": None},
        {"finalizers": ["example.com/a"]},
        {"finalizers": None},
    ],
    ids=lambda metadata: next(
        f"{'no ' if not value else ''}{key}" for key, value in metadata.items()
    ),
)
def test_metadata_alone_is_changed(
    cluster: Cluster, resource: str, metadata: dict[str, Any]
) -> None:
    done = cluster.patch(resource, "one", {"metadata": metadata})
    assert done.returncode == 0, done.stderr


def test_an_owner_is_set_and_taken_off(cluster: Cluster, resource: str) -> None:
    # A real one: the garbage collector deletes what belongs to an owner that is not there.
    found = cluster.kubectl("get", "serviceaccount", "default", "-o", "json")
    owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "default", "controller": True}
    owner["uid"] = json.loads(found.stdout)["metadata"]["uid"]
    for owners in ([owner], None):
        done = cluster.patch(resource, "one", {"metadata": {"ownerReferences": owners}})
        assert done.returncode == 0, done.stderr


def test_the_status_is_written(cluster: Cluster, resource: str) -> None:
    status = {"status": {"observedGeneration": 1}}
    done = cluster.patch(resource, "one", status, "--subresource=status")
    assert done.returncode == 0, done.stderr


def test_a_deletion_waits_for_its_finalizer_and_for_no_webhook(
    cluster: Cluster, resource: str
) -> None:
    asked = cluster.kubectl("delete", resource, "held", "--wait=false")
    assert asked.returncode == 0, asked.stderr
    released = cluster.patch(resource, "held", {"metadata": {"finalizers": None}})
    assert released.returncode == 0, released.stderr
    gone = cluster.kubectl("get", resource, "held", "--ignore-not-found")
    assert (gone.returncode, gone.stdout) == (0, "")


def test_a_stop_is_taken_also_with_other_changes_and_its_end_is_not(cluster: Cluster) -> None:
    stop = {"spec": {"paused": True, "updatePolicy": "Manual"}}
    stopped = cluster.patch("tradingbots", "one", stop)
    assert stopped.returncode == 0, stopped.stderr
    for paused in (False, None):
        assert REFUSED in cluster.patch("tradingbots", "one", {"spec": {"paused": paused}}).stderr
    # A paused bot stays what one may write down, for it trades nothing.
    again = cluster.patch("tradingbots", "one", {"spec": {"updatePolicy": "WhenFlat"}})
    assert again.returncode == 0, again.stderr


def test_a_new_bot_is_checked_also_if_it_is_paused(cluster: Cluster) -> None:
    paused = deepcopy(named("tradingbots", "another"))
    paused["spec"]["paused"] = True
    assert REFUSED in cluster.create(paused).stderr
