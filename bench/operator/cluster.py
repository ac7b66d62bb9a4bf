"""A control plane for one operator and its bots, with manifests and Secrets.

Each run gets a new one: that is faster than emptying the last one, and equal for both operators.
There are no webhooks: bots are created with all defaults of the mutating webhook.
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tradingbot_api.admission.review import defaulted
from tradingbot_dev.control_plane.plane import ControlPlane, temporary_control_plane
from tradingbot_dev.processes.waiting import wait_until
from tradingbot_dev.product import manifests
from tradingbot_dev.product.manifests import Manifests
from tradingbot_operator.bots.credentials import POLLS_PER_SECOND

from bench.common.processes import NAMES, ServerName
from bench.common.sample import VARIANTS, Json, sample_bot
from bench.operator.api import Api, Request
from bench.operator.process import Operator, service_account

NAMESPACE = "bots"
BOTS = f"/apis/trading.io/v1/namespaces/{NAMESPACE}/tradingbots"
CHILDREN = {
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services",
}
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
SHORTEST_LOOK = 60.0
"""Minimum seconds between two checks of a Secret. With many bots it is longer."""
_OURS = "app.kubernetes.io/managed-by=tradingbot-operator"
_SUBJECTS = "subjects"


@dataclass(frozen=True)
class Cluster:
    """A control plane without bots, and an operator that is not running yet."""

    plane: ControlPlane
    operator: Operator
    api: Api

    def create(self, bots: int) -> None:
        """Create `bots` bots, as fast as the API server accepts them."""
        self.api.do_all([Request("POST", BOTS, bot_manifest(number)) for number in range(bots)])

    def children(self, selector: str = _OURS) -> dict[str, Json]:
        """Return the metadata of the children with these labels, by kind and name."""
        return {
            f"{kind}/{child['name']}": child
            for kind, path in CHILDREN.items()
            for child in self.api.metadata(f"{path}?labelSelector={selector}")
        }


@contextmanager
def cluster(name: ServerName, *, bots: int, peer: Path | None, audit: bool) -> Iterator[Cluster]:
    """Start a control plane with room for `bots` bots."""
    with temporary_control_plane(audit=audit, pods=max(2000, bots + 100)) as plane:
        _install(plane)
        plane.service_account_kubeconfig(service_account(name))
        api = Api(plane)
        api.do_all(Request("POST", SECRETS, _secret(number)) for number in range(bots))
        look = max(SHORTEST_LOOK, bots / POLLS_PER_SECOND)
        yield Cluster(plane, Operator(name, plane, peer, look_seconds=look), api)


def _install(plane: ControlPlane) -> None:
    rendered = Manifests.render(
        lambda directory: plane.kubectl("kustomize", str(directory), check=True).stdout
    )
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    everything = [*map(_also_for_the_peer, rendered.installed), *_peers_account()]
    for some in (everything, [namespace]):
        plane.kubectl(
            *("apply", "--server-side", "--filename", "-"), stdin=manifests.text(some), check=True
        )
    wanted = (*rendered.crd_paths, f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default")
    wait_until(
        lambda: all(_found(plane, path) for path in wanted),
        what="the CRDs and the namespace",
        seconds=30,
    )


def _found(plane: ControlPlane, path: str) -> bool:
    answer = plane.client.get(path)
    return answer is not None and answer.status == 200


def _peers_account() -> list[Json]:
    """Return the peer's ServiceAccount. client-go writes events through another API group."""
    account = {"name": service_account("go"), "namespace": "tradingbot-system"}
    rule = {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}
    group = "rbac.authorization.k8s.io"
    named = {"apiVersion": f"{group}/v1", "metadata": {"name": account["name"]}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {**named, "kind": "ClusterRole", "rules": [rule]},
        {
            **named,
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": account["name"]},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]


def _also_for_the_peer(manifest: Json) -> Json:
    """Add the peer to a binding of the operator's ServiceAccount."""
    ours, peers = map(service_account, NAMES)
    more = [
        {**subject, "name": peers}
        for subject in manifest.get(_SUBJECTS) or ()
        if subject["name"] == ours
    ]
    if not more:
        return manifest
    return {**manifest, _SUBJECTS: [*manifest[_SUBJECTS], *more]}


def bot_name(number: int) -> str:
    """Return the name of a bot of the benchmark."""
    return f"bench-{number}"


def bot_manifest(number: int) -> dict[str, Any]:
    """Return a bot in Paper mode with every default."""
    bot = copy.deepcopy(_variant(number % VARIANTS))
    bot["metadata"]["name"] = bot_name(number)
    bot["spec"]["exchange"]["apiKeySecret"] = _secret_name(number)
    return bot


def _secret_name(number: int) -> str:
    return f"creds-{number}"


def _secret(number: int) -> Json:
    """Return the credentials of one bot. Each bot has its own Secret."""
    exchange = bot_manifest(number)["spec"]["exchange"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _secret_name(number)},
        "stringData": {exchange["apiKeyPath"]: "of-no-use", exchange["apiSecretPath"]: "either"},
    }


@cache
def _variant(number: int) -> Json:
    bot = sample_bot(number)
    bot["metadata"]["namespace"] = NAMESPACE
    bot["spec"]["riskManagement"]["enforcement"] = "Bot"  # the operator in Go adds no gateway
    # Through text, so that only JSON types are left.
    found: Json = json.loads(json.dumps(defaulted("TradingBot", bot)))
    return found
