"""What this version installs.

The source is `config/`. An installed wheel has no such directory, so `make generate` copies the
relevant parts into installation.json beside this module, and `make lint` fails when that is stale.
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

_FILE = "installation.json"
_RIGHTS_KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
_WEBHOOK_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_RUNNING_KINDS = ("Deployment", "Service")
# A role of Kubernetes that is bound to the registry: its rules are in no file here.
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
        """Return verb, resource and scope as text."""
        resource, _, subresource = self.resource.partition("/")
        thing = f"{resource}.{self.group}" if self.group else resource
        named = f"/{self.name}" if self.name else ""
        below = f"/{subresource}" if subresource else ""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {thing}{below}{named}{where}"


@dataclass(frozen=True)
class Installation:
    """The expected manifests of this version, in `namespace`."""

    manifests: tuple[JsonObject, ...]
    namespace: str = NAMESPACE

    @classmethod
    def of_this_version(cls, namespace: str) -> Installation:
        """Load the manifests that are packaged with this program."""
        text = files(__package__ or "").joinpath(_FILE).read_text(encoding="utf-8")
        return cls(tuple(json.loads(text)["manifests"]), namespace)

    @cached_property
    def configurations(self) -> dict[str, JsonObject]:
        """Return the two webhook configurations, by kind."""
        return {
            manifest["kind"]: manifest
            for manifest in self.manifests
            if manifest["kind"] in _WEBHOOK_KINDS
        }

    @property
    def deployments(self) -> tuple[str, ...]:
        return tuple(self._names("Deployment"))

    def registry_service(self) -> str:
        """Return the registry's Service as the API server's proxy takes it: SCHEME:NAME:PORT."""
        (port,) = (
            manifest["spec"]["ports"][0]
            for manifest in self.manifests
            if (manifest["kind"], manifest["metadata"]["name"]) == ("Service", REGISTRY)
        )
        return f"{port['appProtocol']}:{REGISTRY}:{port['port']}"

    def rights(self, *, operator_namespaces: Iterable[str] = ()) -> tuple[Right, ...]:
        """Return every right that the accounts must have.

        An operator that is restricted to namespaces has its rights there instead of cluster-wide.
        """
        confined = tuple(operator_namespaces)
        found = []
        for right in sorted(set(self._granted())):
            # A role that is bound cluster-wide and has rules for namespaced resources only.
            if confined and right.account == OPERATOR and not right.namespace and _lives(right):
                found += [replace(right, namespace=namespace) for namespace in confined]
            else:
                found.append(right)
        return tuple(found)

    def _granted(self) -> Iterator[Right]:
        roles = _DELEGATOR | {
            manifest["metadata"]["name"]: manifest["rules"]
            for manifest in self.manifests
            if manifest["kind"] == "ClusterRole"
        }
        local = {
            manifest["metadata"]["name"]: manifest["rules"]
            for manifest in self.manifests
            if manifest["kind"] == "Role"
        }
        for manifest in self.manifests:
            if manifest["kind"] not in {"RoleBinding", "ClusterRoleBinding"}:
                continue
            role = manifest["roleRef"]
            rules = (local if role["kind"] == "Role" else roles)[role["name"]]
            where = self.namespace if manifest["kind"] == "RoleBinding" else ""
            for subject, rule in product(manifest["subjects"], rules):
                yield from _rights(subject["name"], rule, where)

    def _names(self, kind: str) -> Iterator[str]:
        return (
            manifest["metadata"]["name"] for manifest in self.manifests if manifest["kind"] == kind
        )


def packaged(manifests: Iterable[JsonObject], *, note: str) -> str:
    """Return the content of installation.json, generated from `config/`."""
    kept = [slim for manifest in manifests if (slim := _slim(manifest)) is not None]
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
