"""Admission control by others: policies and webhooks that refuse what the operator writes.

Each applies to one namespace, so that the tests share one system, and not to the cluster's own
controllers: a policy that stops those breaks the cluster, with or without bots in it.

    with policy(person, DEPLOYMENT_UPDATES, message="no", probe=annotate("arb")):
        ...  # the operator is refused, and is told "no"
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from person import Object, Person, eventually
from reads import NoAnswerError
from writes import patch_object

OPERATOR_ACCOUNT = "system:serviceaccount:tradingbot-system:tradingbot-operator"
WANTS_LABEL = "has(object.metadata.labels) && 'team' in object.metadata.labels"
NEVER = "false"

DEPLOYMENT_UPDATES: Object = {
    "apiGroups": ["apps"],
    "apiVersions": ["*"],
    "operations": ["UPDATE"],
    "resources": ["deployments"],
}
SUBRESOURCE_UPDATES: Object = {**DEPLOYMENT_UPDATES, "resources": ["*/*"]}
"""Deployments and their scale: `*` and `deployments` do not match a subresource."""
DEPLOYMENT_DELETES: Object = {**DEPLOYMENT_UPDATES, "operations": ["DELETE"]}
POD_DELETES: Object = {
    "apiGroups": [""],
    "apiVersions": ["*"],
    "operations": ["DELETE"],
    "resources": ["pods"],
}

_CLUSTER = "['system:masters', 'system:nodes', 'system:serviceaccounts:kube-system']"
_CONDITIONS: list[Object] = [
    {
        "name": "not-the-cluster-itself",
        "expression": f"!request.userInfo.groups.exists(group, group in {_CLUSTER})",
    }
]
_GROUP = "admissionregistration.k8s.io/v1"

Probe = Callable[[Person], str]
"""Sends a dry run; returns what the API server or kubectl said."""


def as_operator(*command: str) -> Probe:
    """Return a probe that runs a kubectl command as the operator, as a dry run."""
    return as_administrator(*command, f"--as={OPERATOR_ACCOUNT}")


def as_administrator(*command: str) -> Probe:
    """Return a probe that runs a kubectl command as the administrator, as a dry run."""

    def probe(person: Person) -> str:
        done = person.kubectl(*command, "--dry-run=server")
        return done.stdout + done.stderr

    return probe


def annotate(name: str, *, kind: str = "deployment", seconds: float = 60) -> Probe:
    """Return a probe that updates an object as the operator, as a dry run."""
    patch = {"metadata": {"annotations": {"example.com/probe": "x"}}}
    return patch_as_operator(kind, name, patch, seconds=seconds)


def patch_as_operator(kind: str, name: str, patch: Object, *, seconds: float = 60) -> Probe:
    """Return a probe that merges a patch as the operator, as a dry run.

    The answer is the patched object or the refusal, as JSON; without one in `seconds`, it is empty.
    """

    def probe(person: Person) -> str:
        plane, namespace = person.system.plane, person.namespace
        try:
            _, said = patch_object(
                plane, namespace, kind, name, patch, dry_run_as=OPERATOR_ACCOUNT, seconds=seconds
            )
        except NoAnswerError:
            return ""
        return said

    return probe


@contextmanager
def policy(
    person: Person, *rules: Object, message: str, probe: Probe, expression: str = NEVER
) -> Iterator[None]:
    """Refuse requests that match a rule unless `expression` holds; in force when this returns."""
    validations = [{"expression": expression, "message": message}]
    spec = {"failurePolicy": "Fail", "validations": validations}
    kind = "ValidatingAdmissionPolicy"
    deny = {"validationActions": ["Deny"]}
    with _policy(person, kind, spec, rules, binding=deny, conditions=_CONDITIONS):
        eventually(lambda: message in probe(person))
        yield
    eventually(lambda: message not in probe(person))


@contextmanager
def mutation(
    person: Person,
    *rules: Object,
    patch: str,
    probe: Probe,
    shows: str,
    of_controllers: bool = False,
) -> Iterator[None]:
    """Apply a JSON patch (a CEL expression) to what matches; `shows` is in the probe's output.

    `of_controllers` includes what the cluster's own controllers write.
    """
    mutations = [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}]
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "mutations": mutations,
    }
    conditions = [] if of_controllers else _CONDITIONS
    kind = "MutatingAdmissionPolicy"
    with _policy(person, kind, spec, rules, binding={}, conditions=conditions):
        eventually(lambda: shows in probe(person))
        yield
    eventually(lambda: shows not in probe(person))


@contextmanager
def _policy(
    person: Person,
    kind: str,
    spec: Object,
    rules: tuple[Object, ...],
    *,
    binding: Object,
    conditions: list[Object],
) -> Iterator[None]:
    name = f"{person.namespace}.example.com"
    whole = {
        **spec,
        "matchConstraints": {"resourceRules": list(rules)},
        "matchConditions": conditions,
    }
    scope = {"matchResources": {"namespaceSelector": _only(person)}}
    with _installed(
        person,
        {"apiVersion": _GROUP, "kind": kind, "metadata": {"name": name}, "spec": whole},
        {
            "apiVersion": _GROUP,
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "spec": {"policyName": name, **binding, **scope},
        },
    ):
        yield


@contextmanager
def dead_webhook(person: Person, *rules: Object, probe: Probe) -> Iterator[None]:
    """Ask a webhook with failurePolicy Fail whose server is down: connection refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with _webhook(person, rules, port=port):
        eventually(lambda: "connection refused" in probe(person))
        yield
    eventually(lambda: "connection refused" not in probe(person))


@contextmanager
def hanging_webhook(
    person: Person, *rules: Object, probe: Probe, seconds: int = 10
) -> Iterator[None]:
    """Ask a webhook with failurePolicy Fail whose server takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        server.setblocking(False)

        def asked() -> bool:
            probe(person)
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        with _webhook(person, rules, port=server.getsockname()[1], seconds=seconds):
            eventually(asked)
            yield


@contextmanager
def _webhook(
    person: Person, rules: tuple[Object, ...], *, port: int, seconds: int = 10
) -> Iterator[None]:
    name = f"{person.namespace}.example.com"
    webhook = {
        "name": name,
        "clientConfig": {"url": f"https://127.0.0.1:{port}/validate"},
        "rules": list(rules),
        "namespaceSelector": _only(person),
        "matchConditions": _CONDITIONS,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": seconds,
    }
    kind = "ValidatingWebhookConfiguration"
    metadata = {"name": name}
    body = {"apiVersion": _GROUP, "kind": kind, "metadata": metadata, "webhooks": [webhook]}
    with _installed(person, body):
        yield


@contextmanager
def _installed(person: Person, *objects: Object) -> Iterator[None]:
    person.applied(*objects)
    try:
        yield
    finally:
        for one in objects:
            kubectl = person.system.plane.kubectl
            kubectl("delete", one["kind"], one["metadata"]["name"], "--ignore-not-found")


def _only(person: Person) -> Object:
    return {"matchLabels": {"kubernetes.io/metadata.name": person.namespace}}


@contextmanager
def without_validation_of_ours(person: Person) -> Iterator[None]:
    """Exempt the namespace from the product's validating webhooks, so that it can store mistakes.

    The schema still holds: only what the webhooks alone refuse can be stored.
    """
    kubectl = person.system.plane.kubectl
    name = "tradingbot-validating"

    def select(selector: Object) -> None:
        stored = kubectl("get", "validatingwebhookconfiguration", name, "-o", "json", check=True)
        patch = [
            {"op": "replace", "path": f"/webhooks/{index}/namespaceSelector", "value": selector}
            for index in range(len(json.loads(stored.stdout)["webhooks"]))
        ]
        command = ("patch", "validatingwebhookconfiguration", name, "--type=json", "-p")
        kubectl(*command, json.dumps(patch), check=True)

    key, values = "kubernetes.io/metadata.name", [person.namespace]
    select({"matchExpressions": [{"key": key, "operator": "NotIn", "values": values}]})
    try:
        yield
    finally:
        select({})
