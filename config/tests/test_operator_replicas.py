"""Two operators of which one acts: what the manifests say about that fits together."""

import pytest
from rendered import Object, kustomized, of_kind
from tradingbot_operator.settings import OperatorSettings

NAME = "tradingbot-operator"


@pytest.fixture(scope="module", params=["default", "selfsigned"])
def objects(request: pytest.FixtureRequest) -> tuple[Object, ...]:
    return kustomized(request.param)


def test_more_than_one_operator_runs_only_with_leader_election(
    objects: tuple[Object, ...],
) -> None:
    spec = of_kind(objects, "Deployment")[NAME]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == 2
    assert {"name": "TRADINGBOT_OPERATOR_LEADER_ELECTION", "value": "true"} in container["env"]


def test_the_operator_may_write_its_lease_and_no_other(objects: tuple[Object, ...]) -> None:
    name = OperatorSettings(registry_url="").lease_name
    role = of_kind(objects, "Role")["tradingbot-operator-leader"]
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    assert role["rules"] == [
        {**leases, "verbs": ["create"]},
        {**leases, "resourceNames": [name], "verbs": ["get", "update"]},
    ]
    binding = of_kind(objects, "RoleBinding")["tradingbot-operator-leader"]
    assert binding["metadata"]["namespace"] == role["metadata"]["namespace"] == "tradingbot-system"
    assert [one["name"] for one in binding["subjects"]] == [NAME]
