"""Two operators of which one acts: what the manifests say about that fits together."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tradingbot_dev.controlplane import kubectl_path
from tradingbot_operator.settings import OperatorSettings

CONFIG = Path(__file__).parents[1]
NAME = "tradingbot-operator"


@pytest.fixture(scope="module", params=["default", "selfsigned"])
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    command = [kubectl_path(), "kustomize", str(CONFIG / request.param)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def named(objects: list[dict[str, Any]], kind: str, name: str = NAME) -> dict[str, Any]:
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def test_more_than_one_operator_runs_only_with_leader_election(
    objects: list[dict[str, Any]],
) -> None:
    spec = named(objects, "Deployment")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == 2
    assert {"name": "TRADINGBOT_LEADER_ELECTION", "value": "true"} in container["env"]


def test_the_operators_are_replaced_one_by_one_and_kept_apart(
    objects: list[dict[str, Any]],
) -> None:
    deployment = named(objects, "Deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = deployment["template"]
    spread = pod["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"].rpartition("/")[2] for one in spread] == ["hostname", "zone"]
    budget = named(objects, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    for selector in (budget["selector"], *(one["labelSelector"] for one in spread)):
        assert selector["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_the_operator_may_write_its_lease_and_no_other(objects: list[dict[str, Any]]) -> None:
    name = OperatorSettings(registry_url="").lease_name
    role = named(objects, "Role", "tradingbot-operator-leader")
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert role["rules"] == [
        {**leases, "verbs": ["create"]},
        {**leases, "resourceNames": [name], "verbs": ["get", "update"]},
    ]
    binding = named(objects, "RoleBinding", "tradingbot-operator-leader")
    assert binding["metadata"]["namespace"] == role["metadata"]["namespace"] == "tradingbot-system"
    assert [one["name"] for one in binding["subjects"]] == [NAME]
