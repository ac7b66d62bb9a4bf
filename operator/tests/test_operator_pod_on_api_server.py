"""What `spec.pod` makes of a bot's children, on the real API server.

It enforces the `restricted` Pod Security Standard on pods, and knows best what it refuses itself.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from admission_cases import CASES, Case, changed
from operator_harness import NOW, observed
from tradingbot_api.admission.review import defaulted
from tradingbot_api.model import JsonObject
from tradingbot_dev.control_plane.plane import ControlPlane
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.differences import differences
from tradingbot_operator.bots.children.gateway import GatewayImage
from tradingbot_operator.bots.children.surroundings import Surroundings
from tradingbot_operator.bots.plan import plan
from tradingbot_operator.cluster.resource_paths import path_of
from tradingbot_operator.gateway_discovery import resources_of
from tradingbot_operator.settings import OperatorSettings

NAMESPACE = "restricted"
NEEDED: tuple[JsonObject, ...] = (
    {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    },
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "trader", "namespace": NAMESPACE},
    },
    {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "trading"},
        "value": 1000,
    },
    {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "gvisor"},
        "handler": "runsc",
    },
)
"""What the corpus's bot with everything names, and what no pod is admitted without."""

SURROUNDINGS = Surroundings(
    gateway=GatewayImage("registry.example/operator:1", resources_of(OperatorSettings()))
)
"""Most bots of the corpus do not say who keeps their limits: they have a gateway."""

SCHEDULING = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    text = "\n---\n".join(map(json.dumps, NEEDED))
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=text, check=True)
    yield control_plane
    control_plane.kubectl("delete", "-f", "-", "--wait=false", stdin=text, check=True)


def children_of(case: Case) -> dict[str, JsonObject]:
    """The children of a bot of the corpus, by kind."""
    body = defaulted(case.kind, case.manifest)
    meta = {"uid": "10000000-0000-0000-0000-000000000001", "name": "bot", "namespace": NAMESPACE}
    subject = Bot.read({**body, "metadata": meta}, now=NOW)
    assert subject.invalid_fields == ()
    manifests = plan(subject, observed(), NOW, SURROUNDINGS).manifests
    return {manifest["kind"]: manifest for manifest in manifests}


def answered(plane: ControlPlane, obj: JsonObject) -> tuple[int, JsonObject]:
    """What the API server answers to the creation of an object."""
    path = path_of(obj["kind"], NAMESPACE)
    answer = plane.client.post(f"/{path}?dryRun=All&fieldValidation=Strict", obj)
    assert answer is not None
    body: dict[str, Any] = answer.json()
    return answer.status, body


def said(plane: ControlPlane, obj: JsonObject) -> tuple[int, str]:
    """What the API server says to the creation of an object."""
    status, body = answered(plane, obj)
    return status, str(body.get("message"))


ADMITTED = [
    case for case in CASES if case.refused_by is None and "pod" in case.manifest.get("spec", {})
]


@pytest.mark.parametrize("case", ADMITTED, ids=lambda case: case.name)
def test_the_children_of_a_bot_that_is_admitted_are_admitted_too(
    plane: ControlPlane, case: Case
) -> None:
    children = children_of(case)
    template = children["Deployment"]["spec"]["template"]
    metadata = {**template["metadata"], "name": "bot", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    for obj in (*children.values(), pod):
        status, message = said(plane, obj)
        assert status == 201, message


NOBODY = {"matchLabels": {}, "matchExpressions": []}
EMPTY: dict[str, JsonObject] = {
    "values": {
        "labels": {"team": ""},
        "annotations": {"example.com/owner": ""},
        "nodeSelector": {"worker": ""},
        "env": [{"name": "A", "value": ""}],
        "args": [""],
    },
    "lists": {
        "command": [],
        "imagePullSecrets": [],
        "tolerations": [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
        "topologySpreadConstraints": [
            {
                "topologyKey": "zone",
                "maxSkew": 1,
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"a": ""}, "matchExpressions": []},
                "matchLabelKeys": [],
            }
        ],
    },
    "terms": {
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [{"key": "a", "operator": "Exists", "values": []}],
                            "matchFields": [],
                        }
                    ]
                }
            },
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [],
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "topologyKey": "zone",
                            "labelSelector": NOBODY,
                            "namespaceSelector": {},
                            "namespaces": [],
                        },
                    }
                ],
            },
        }
    },
    "optional": {
        "env": [
            {
                "name": "A",
                "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b", "optional": False}},
            }
        ],
        "files": [{"mountPath": "/a", "configMap": {"name": "a", "optional": False}}],
    },
}


WITH_EMPTY = [
    Case(f"empty {name}", changed(ADMITTED[0].manifest, {"spec.pod": pod}))
    for name, pod in EMPTY.items()
]


@pytest.mark.parametrize("case", [*ADMITTED, *WITH_EMPTY], ids=lambda case: case.name)
def test_what_is_stored_does_not_differ_from_what_is_declared(
    plane: ControlPlane, case: Case
) -> None:
    """Otherwise the child would be written at each reconcile."""
    for obj in children_of(case).values():
        status, stored = answered(plane, obj)
        assert status == 201, stored
        assert [found.path for found in differences(obj, stored)] == []


def test_the_namespace_does_enforce_the_standard(plane: ControlPlane) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": NAMESPACE},
        "spec": {"containers": [{"name": "root", "image": "root"}]},
    }

    status, message = said(plane, pod)

    assert (status, 'violates PodSecurity "restricted' in message) == (403, True)


OF_PODS = "TradingBot: a key by which pods are selected twice"
"""Refused only when the Deployment's pod is created, if that has the label."""
REFUSED = [
    case
    for case in CASES
    if case.refused_by == "review"
    and case.name != OF_PODS
    and set(case.manifest["spec"].get("pod", {})) & set(SCHEDULING)
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_is_refused_of_where_a_pod_runs_the_api_server_refuses_as_well(
    plane: ControlPlane, case: Case
) -> None:
    """Each of our rules is one of its own."""
    children = children_of(ADMITTED[0])
    deployment = children["Deployment"]
    deployment["spec"]["template"]["spec"] |= case.manifest["spec"]["pod"]

    status, message = said(plane, deployment)

    assert status == 422, message
    for error in case.errors:
        field = error.split(": ")[0].split(".")[-1].split("[")[0]
        assert field in message, message
