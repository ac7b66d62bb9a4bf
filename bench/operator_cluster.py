"""A control plane for one operator and its bots: the product's manifests, and what bots need.

Each run has a new one, which is faster than emptying the last one, and the same for both
operators. There are no webhooks: bots are created as the mutating webhook would have left them.
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tradingbot_api.admission import defaulted
from tradingbot_dev import manifests
from tradingbot_dev.controlplane import ControlPlane, temporary_control_plane
from tradingbot_dev.manifests import Manifests
from tradingbot_dev.waiting import wait_until
from tradingbot_operator.secrets import LOOKS_PER_SECOND

from bench.operator_api import Api, Json, Request
from bench.operator_process import Operator, service_account
from bench.reviews import VARIANTS, sample_bot
from bench.servers import NAMES, ServerName

NAMESPACE = "bots"
BOTS = f"/apis/trading.io/v1/namespaces/{NAMESPACE}/tradingbots"
CHILDREN = {
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services",
}
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
SHORTEST_LOOK = 60.0
"""Seconds between two looks at a Secret, unless there are so many that it would be too often."""
_OURS = "app.kubernetes.io/managed-by=tradingbot-operator"
_SUBJECTS = "subjects"


@dataclass(frozen=True)
class Cluster:
    """A control plane with an operator for it, which is not running yet, and no bots."""

    plane: ControlPlane
    operator: Operator
    api: Api

    def create(self, bots: int) -> None:
        """So many bots, as fast as the API server takes them."""
        self.api.do_all([Request("POST", BOTS, bot_manifest(number)) for number in range(bots)])

    def children(self, selector: str = _OURS) -> dict[str, Json]:
        """Metadata of the children with these labels, by kind and name."""
        return {
            f"{kind}/{one['name']}": one
            for kind, path in CHILDREN.items()
            for one in self.api.metadata(f"{path}?labelSelector={selector}")
        }


@contextmanager
def cluster(name: ServerName, *, bots: int, peer: Path | None, audit: bool) -> Iterator[Cluster]:
    """A new control plane, with room for so many bots."""
    with temporary_control_plane(audit=audit, pods=max(2000, bots + 100)) as plane:
        _install(plane)
        plane.service_account_kubeconfig(service_account(name))
        api = Api(plane)
        api.do_all(Request("POST", SECRETS, _secret(number)) for number in range(bots))
        look = max(SHORTEST_LOOK, bots / LOOKS_PER_SECOND)
        yield Cluster(plane, Operator(name, plane, peer, look_seconds=look), api)


def _install(plane: ControlPlane) -> None:
    rendered = Manifests.render(
        lambda folder: plane.kubectl("kustomize", str(folder), check=True).stdout
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
    """The peer's ServiceAccount; client-go writes its events by way of another API group."""
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
    """A binding of our operator's rights gives the peer the same ones."""
    ours, peers = map(service_account, NAMES)
    more = [{**one, "name": peers} for one in manifest.get(_SUBJECTS) or () if one["name"] == ours]
    if not more:
        return manifest
    return {**manifest, _SUBJECTS: [*manifest[_SUBJECTS], *more]}


def bot_name(number: int) -> str:
    """The name of a bot of the benchmark."""
    return f"bench-{number}"


def bot_manifest(number: int) -> dict[str, Any]:
    """A bot in Paper mode with every default filled in."""
    bot = copy.deepcopy(_variant(number % VARIANTS))
    bot["metadata"]["name"] = bot_name(number)
    bot["spec"]["exchange"]["apiKeySecret"] = _secret_name(number)
    return bot


def _secret_name(number: int) -> str:
    return f"creds-{number}"


def _secret(number: int) -> Json:
    """The credentials of one bot; each has its own."""
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
    # Through text: nothing but what JSON has.
    found: Json = json.loads(json.dumps(defaulted("TradingBot", bot)))
    return found
