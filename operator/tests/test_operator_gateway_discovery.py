"""What an operator learns of the gateway when it begins to lead, also while the API fails."""

import asyncio

import pytest
from fake_cluster import FakeCluster
from tradingbot_api.model import JsonObject
from tradingbot_operator.bots.children.gateway import GatewayImage
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.gateway_discovery import PAUSES, discover
from tradingbot_operator.settings import OperatorSettings

IN_A_POD = {"HOSTNAME": "operator-1", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
IMAGE = "registry.example/operator:1"


class Failing(FakeCluster):
    """Fails a number of reads with a status, and then answers."""

    def __init__(self, status: int, times: int) -> None:
        super().__init__()
        self.status, self.left = status, times

    def _fail(self) -> None:
        if self.left:
            self.left -= 1
            raise KubernetesError(self.status, "", "no answer")

    async def server_version(self) -> JsonObject:
        """Fail, or return a version."""
        self._fail()
        return {"major": "1", "minor": "33"}

    async def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """Fail, or return the operator's pod."""
        self._fail()
        assert (kind, name) == ("Pod", "operator-1")
        return {"spec": {"containers": [{"name": "operator", "image": IMAGE}]}}


def discovered(api: FakeCluster) -> tuple[GatewayImage, list[float]]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    found = asyncio.run(discover(api, OperatorSettings(), IN_A_POD, sleep=sleep))
    return found, slept


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_an_api_server_that_fails_for_a_moment_is_asked_again(status: int) -> None:
    found, slept = discovered(Failing(status, times=2))
    assert (found.image, found.refusal) == (IMAGE, "")
    assert slept == [*PAUSES[:2]]


def test_a_right_that_is_missing_is_not_asked_for_again() -> None:
    found, slept = discovered(Failing(403, times=2))
    assert "TRADINGBOT_OPERATOR_GATEWAY_IMAGE" in found.refusal
    assert slept == []


def test_an_api_server_that_goes_on_failing_does_not_keep_the_operator_from_its_work() -> None:
    found, slept = discovered(Failing(500, times=100))
    assert found.image == ""
    assert slept == [*PAUSES, *PAUSES]
