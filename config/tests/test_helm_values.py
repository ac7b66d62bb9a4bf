"""What each value of the chart changes, and which are refused."""

from importlib.metadata import version
from itertools import chain
from typing import Any

import pytest
from rendered import CHART, NAMESPACE, Object, charted, helm, of_kind

VERSION = version("tradingbot-operator")
DIGEST = f"sha256:{'0' * 64}"
WITHOUT_CERT_MANAGER = {"certManager": {"enabled": False}}


def pods(values: Object) -> dict[str, Object]:
    """The pod of every process, by the process's name."""
    found = of_kind(charted({**WITHOUT_CERT_MANAGER, **values}), "Deployment")
    return {
        name.removeprefix("tradingbot-"): one["spec"]["template"]["spec"]
        for name, one in found.items()
    }


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"repository": "example.com:5000/a/b_c"}, f"example.com:5000/a/b_c:{VERSION}"),
        ({"tag": "latest"}, "tradingbot-operator:latest"),
        ({"tag": "latest", "digest": DIGEST}, f"tradingbot-operator@{DIGEST}"),
    ],
)
def test_one_image_is_for_every_process(image: Object, expected: str) -> None:
    found = pods({"image": {**image, "pullPolicy": "Always"}})
    assert set(found) == {"operator", "webhooks", "registry", "certs"}
    for pod in found.values():
        (container,) = pod["containers"]
        assert (container["image"], container["imagePullPolicy"]) == (expected, "Always")


def test_what_is_said_of_every_pod_is_of_every_pod() -> None:
    tolerations = [{"key": "trading", "operator": "Exists", "effect": "NoSchedule"}]
    secrets = [{"name": "a"}, {"name": "b"}]
    values = {
        "image": {"pullSecrets": secrets},
        "nodeSelector": {"disk": "local", "zone": "true"},
        "tolerations": tolerations,
        "priorityClassName": "system-cluster-critical",
    }
    for pod in pods(values).values():
        assert pod["imagePullSecrets"] == secrets
        assert pod["nodeSelector"] == values["nodeSelector"]
        assert pod["tolerations"] == tolerations
        assert pod["priorityClassName"] == "system-cluster-critical"


def test_replicas_are_those_of_their_process() -> None:
    found = of_kind(
        charted({"operator": {"replicas": 3}, "webhooks": {"replicas": 4}}), "Deployment"
    )
    assert {name: one["spec"]["replicas"] for name, one in found.items()} == {
        "tradingbot-operator": 3,
        "tradingbot-webhooks": 4,
        "tradingbot-registry": 1,
    }


@pytest.mark.parametrize("process", ["operator", "webhooks", "registry", "certs"])
def test_resources_are_those_of_their_process(process: str) -> None:
    before, after = pods({}), pods({process: {"resources": {"limits": {"memory": "3Gi"}}}})
    changed = {name for name, pod in after.items() if pod != before[name]}
    assert changed == {process}
    resources = after[process]["containers"][0]["resources"]
    was = before[process]["containers"][0]["resources"]
    assert resources == {**was, "limits": {**was["limits"], "memory": "3Gi"}}


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (None, "tradingbot-strategies"),
        (["registry.example.com/a/b", "c"], "registry.example.com/a/b,c"),
        ([], ""),
    ],
)
def test_webhooks_and_operator_know_the_same_images_of_strategies(
    images: list[str] | None, said: str
) -> None:
    found = pods({} if images is None else {"strategyImages": images})
    for process in ("webhooks", "operator"):
        (container,) = found[process]["containers"]
        variables = {one["name"]: one["value"] for one in container["env"]}
        assert variables[f"TRADINGBOT_{process.upper()}_STRATEGY_IMAGES"] == said


def test_a_limit_can_be_taken_away() -> None:
    pod = pods({"webhooks": {"resources": {"limits": {"cpu": None}}}})["webhooks"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "256Mi"}


def test_the_volume_is_as_large_and_as_local_as_was_said() -> None:
    storage = {"size": "20Gi", "className": "local-path"}
    (claim,) = of_kind(
        charted({"registry": {"storage": storage}}), "PersistentVolumeClaim"
    ).values()
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert claim["spec"]["storageClassName"] == "local-path"


def test_labels_for_prometheus_are_on_what_it_takes_up() -> None:
    labels = {"release": "kube-prometheus-stack"}
    objects = charted({"prometheus": {"enabled": True, "gateways": True, "labels": labels}})
    for one in objects:
        theirs = one["apiVersion"].startswith("monitoring.coreos.com/")
        assert (labels.items() <= one["metadata"]["labels"].items()) == theirs


def test_without_definitions_all_else_is_there() -> None:
    kind = "CustomResourceDefinition"
    objects = charted({})
    assert of_kind(objects, kind)
    without = charted({"crds": {"enabled": False}})
    assert without == tuple(one for one in objects if one["kind"] != kind)


def test_in_some_namespaces_nothing_of_the_operator_is_granted_elsewhere() -> None:
    objects = charted({**WITHOUT_CERT_MANAGER, "namespaces": ["first", "second"]})
    everywhere = of_kind(objects, "ClusterRoleBinding")
    rules = chain.from_iterable(
        role["rules"]
        for name, role in of_kind(objects, "ClusterRole").items()
        if name in {binding["roleRef"]["name"] for binding in everywhere.values()}
    )
    granted = set(chain.from_iterable(rule["resources"] for rule in rules))
    assert granted == {
        "customresourcedefinitions",
        "assets",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    }
    there = {
        (one["metadata"]["namespace"], one["roleRef"]["name"], one["subjects"][0]["name"])
        for one in objects
        if one["kind"] == "RoleBinding" and one["metadata"]["namespace"] != NAMESPACE
    }
    assert there == {
        (namespace, "tradingbot-operator", "tradingbot-operator")
        for namespace in ("first", "second")
    }
    (operator,) = of_kind(objects, "Deployment")["tradingbot-operator"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert "--namespaces=first,second" in operator["args"]
    assert f"--gateway-image={operator['image']}" in operator["args"]


# ---- refusals


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"webhooks": {"replicas": 0}}, "at '/webhooks/replicas': minimum: got 0, want 1"),
        ({"webhooks": {"secretWarning": True}}, "additional properties 'secretWarning' not"),
        ({"operator": {"replicas": "two"}}, "at '/operator/replicas': got string, want integer"),
        ({"replicas": 3}, "additional properties 'replicas' not allowed"),
        ({"registry": {"replicas": 2}}, "at '/registry/postgresql/secretName': minLength: got 0"),
        ({"registry": {"replicas": 0}}, "at '/registry/replicas': minimum: got 0, want 1"),
        ({"certManager": False}, "at '/certManager'"),
        ({"certManager": {"enabled": "no"}}, "at '/certManager/enabled': got string, want boolean"),
        ({"image": {"repository": "example.com/a:1.0"}}, "at '/image/repository'"),
        ({"image": {"digest": "0123"}}, "at '/image/digest'"),
        ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy'"),
        ({"image": {"pullSecrets": ["a"]}}, "at '/image/pullSecrets/0': got string, want object"),
        ({"namespaces": "first,second"}, "at '/namespaces': got string, want array"),
        ({"namespaces": ["First"]}, "at '/namespaces/0'"),
        ({"namespaces": ["a", "a"]}, "at '/namespaces'"),
        ({"strategyImages": "a,b"}, "at '/strategyImages': got string, want array"),
        ({"strategyImages": ["example.com/a:1.0"]}, "at '/strategyImages/0'"),
        (
            {"operator": {"resources": {"limits": {"cpu": "2 cores"}}}},
            "at '/operator/resources/limits/cpu'",
        ),
        ({"certs": {"resources": {"limit": {}}}}, "additional properties 'limit' not allowed"),
        ({"registry": {"storage": {"size": "1GB"}}}, "at '/registry/storage/size'"),
        ({"prometheus": {"labels": {"a": 1}}}, "at '/prometheus/labels/a'"),
        ({"nodeSelector": ["a"]}, "at '/nodeSelector': got array, want object"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: dict[str, Any], said: str) -> None:
    done = helm("template", "tradingbot", str(CHART), values=values)
    assert done.returncode != 0
    assert said in done.stderr


def test_what_a_parent_chart_passes_is_taken() -> None:
    assert charted({"global": {"region": "a"}}) == charted({})


def test_an_old_kubernetes_is_refused() -> None:
    done = helm("template", "tradingbot", str(CHART), "--kube-version", "1.29.9")
    assert done.returncode != 0
    assert "1.30" in done.stderr
