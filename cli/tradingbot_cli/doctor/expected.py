"""What this version installs, as far as the doctor compares a cluster with it.

`config/` says it. A program installed from a wheel has no such folder, so `make generate` copies
what is needed into installation.json beside this module, and `make lint` fails when that is stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from itertools import product

from tradingbot_api.model import JsonObject

NAMESPACE = "tradingbot-system"
"""The one that the manifests name."""

TLS_SECRET = "tradingbot-webhook-tls"  # noqa: S105 - a name
CERTS = "tradingbot-certs"
"""Account and Deployment that are there only without cert-manager."""

OPERATOR, WEBHOOKS, REGISTRY = "tradingbot-operator", "tradingbot-webhooks", "tradingbot-registry"

_CONFINED = {OPERATOR, WEBHOOKS}
_FILE = "installation.json"
_RIGHTS_KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
_WEBHOOK_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_RUNNING_KINDS = ("Deployment", "Service")
# Kubernetes's own role, which is bound to the registry: what it holds stands in no file of ours.
_DELEGATOR = {
    "system:auth-delegator": [
        {
            "apiGroups": ["authentication.k8s.io"],
            "resources": ["tokenreviews"],
            "verbs": ["create"],
        },
        {
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["subjectaccessreviews"],
            "verbs": ["create"],
        },
    ]
}


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource for an account, in a namespace or (empty) all of them."""

    account: str
    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""

    @property
    def words(self) -> str:
        """For people: verb, resource, and where."""
        resource, _, subresource = self.resource.partition("/")
        thing = f"{resource}.{self.group}" if self.group else resource
        named = f"/{self.name}" if self.name else ""
        below = f"/{subresource}" if subresource else ""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {thing}{below}{named}{where}"


@dataclass(frozen=True)
class Installation:
    """The manifests of this version that are looked for, in `namespace`."""

    manifests: tuple[JsonObject, ...]
    namespace: str = NAMESPACE

    @classmethod
    def of_this_version(cls, namespace: str) -> Installation:
        """As packaged with this program."""
        text = files(__package__ or "").joinpath(_FILE).read_text(encoding="utf-8")
        return cls(tuple(json.loads(text)["manifests"]), namespace)

    @cached_property
    def configurations(self) -> dict[str, JsonObject]:
        """The two webhook configurations, by kind."""
        return {one["kind"]: one for one in self.manifests if one["kind"] in _WEBHOOK_KINDS}

    @property
    def deployments(self) -> tuple[str, ...]:
        return tuple(self._names("Deployment"))

    def registry_port(self) -> int:
        """The port of the registry's Service."""
        (port,) = (
            one["spec"]["ports"][0]["port"]
            for one in self.manifests
            if (one["kind"], one["metadata"]["name"]) == ("Service", REGISTRY)
        )
        return int(port)

    def rights(self, *, operator_namespaces: Iterable[str] = ()) -> tuple[Right, ...]:
        """Every right that the accounts must have.

        Where the operator is confined to some namespaces, it has there what else it has in all of
        them, and so have the webhooks, which the chart confines with it.
        """
        confined = tuple(operator_namespaces)
        found = []
        for right in sorted(set(self._granted())):
            # A role bound cluster-wide whose rules all live in namespaces: see config/rbac.
            if confined and right.account in _CONFINED and not right.namespace and _lives(right):
                found += [replace(right, namespace=one) for one in confined]
            else:
                found.append(right)
        return tuple(found)

    def _granted(self) -> Iterator[Right]:
        roles = _DELEGATOR | {
            one["metadata"]["name"]: one["rules"]
            for one in self.manifests
            if one["kind"] == "ClusterRole"
        }
        local = {
            one["metadata"]["name"]: one["rules"] for one in self.manifests if one["kind"] == "Role"
        }
        for one in self.manifests:
            if one["kind"] not in {"RoleBinding", "ClusterRoleBinding"}:
                continue
            role = one["roleRef"]
            rules = (local if role["kind"] == "Role" else roles)[role["name"]]
            where = self.namespace if one["kind"] == "RoleBinding" else ""
            for subject, rule in product(one["subjects"], rules):
                yield from _rights(subject["name"], rule, where)

    def _names(self, kind: str) -> Iterator[str]:
        return (one["metadata"]["name"] for one in self.manifests if one["kind"] == kind)


def packaged(manifests: Iterable[JsonObject], *, note: str) -> str:
    """The content of installation.json, made of all the manifests of `config/`."""
    kept = [slim for one in manifests if (slim := _slim(one)) is not None]
    kept.sort(key=lambda one: (one["kind"], one["metadata"]["name"]))
    return json.dumps({"note": note, "manifests": kept}, indent=1) + "\n"


def _slim(manifest: JsonObject) -> JsonObject | None:
    kind = manifest.get("kind")
    named = {"kind": kind, "metadata": {"name": manifest["metadata"]["name"]}}
    if kind in _WEBHOOK_KINDS:
        return named | {"webhooks": manifest["webhooks"]}
    if kind in _RIGHTS_KINDS:
        bound = {key: manifest[key] for key in ("rules", "roleRef", "subjects") if key in manifest}
        return named | bound
    if kind == "Service":
        return named | {"spec": {"ports": manifest["spec"]["ports"]}}
    return named if kind in _RUNNING_KINDS else None


def _rights(account: str, rule: JsonObject, namespace: str) -> Iterator[Right]:
    for group, resource, verb, name in product(
        rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames", [""])
    ):
        yield Right(account, group, resource, verb, namespace, name)


def _lives(right: Right) -> bool:
    """Whether objects of the resource live in namespaces."""
    return right.group not in {"apiextensions.k8s.io", "registry.trading.io"}
