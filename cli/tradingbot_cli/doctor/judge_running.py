"""Whether the parts run, one operator acts, and the registry answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version

from tradingbot_api.model import JsonObject

from tradingbot_cli.doctor.expected import CERTS
from tradingbot_cli.doctor.facts import Caller, LeaseSeen, Reply, Seen, Unseen
from tradingbot_cli.doctor.findings import (
    API_SERVER,
    YOUR_RIGHTS,
    Finding,
    failed,
    listed,
    ok,
    unknown,
    warning,
)
from tradingbot_cli.doctor.remedies import APPLY, pods, unless_meant

_VERSION_LABEL = "app.kubernetes.io/version"
_OK, _FORBIDDEN, _NOT_FOUND = 200, 403, 404


def judge_caller(caller: Caller) -> Iterator[Finding]:
    """That the API server answers, and whether it lets the caller look at everything."""
    yield ok(API_SERVER, f"{caller.server} answers, Kubernetes {caller.kubernetes}")
    if caller.not_allowed:
        message = f"you may not {listed(caller.not_allowed, most=20)}: what needs it is unknown"
        yield unknown(YOUR_RIGHTS, message, "run this as somebody who may, such as cluster-admin")
    else:
        yield ok(YOUR_RIGHTS, "you may look at everything that is looked at here")


def judge_namespace(name: str, found: Seen) -> Finding:
    check = f"namespace/{name}"
    if isinstance(found, Unseen):
        return unknown(check, found.why)
    if found is None:
        message = "does not exist: nothing is installed, or elsewhere"
        return failed(check, "Missing", message, "give --namespace, or install: docs/install.md")
    if found.get("metadata", {}).get("deletionTimestamp"):
        see = f"see what it waits for: kubectl get namespace {name} -o yaml"
        return failed(check, "Terminating", "is being deleted", see)
    return ok(check, "exists")


def judge_deployments(
    seen: Mapping[str, Seen], *, namespace: str, injected: bool
) -> Iterator[Finding]:
    """One finding for each Deployment; `injected` says that cert-manager makes the certificate."""
    for name, found in seen.items():
        if name != CERTS:
            yield _judge_deployment(name, found, namespace)
        elif injected and isinstance(found, dict):
            message = "is there, and so is cert-manager: two would fight over the certificate"
            remove = (
                f"keep one; this one goes with: kubectl -n {namespace} delete deployment {CERTS}"
            )
            yield warning(f"deployment/{name}", "TwoIssuers", message, remove)
        elif not injected and found is None:
            message = "does not exist, and no cert-manager is named: nobody renews the certificate"
            yield warning(f"deployment/{name}", "NoIssuer", message, unless_meant())
        elif not injected:
            yield _judge_deployment(name, found, namespace)


def judge_lease(seen: LeaseSeen, *, namespace: str) -> Finding:
    """Whether an operator acts: whether it renews its Lease while somebody watches.

    Clocks are not compared: an operator whose clock is wrong acts all the same.
    """
    check = "operator/lease"
    lease = seen.lease
    look = pods(namespace, "operator")
    if isinstance(lease, Unseen):
        return unknown(check, lease.why)
    if lease is None:
        message = "there is no Lease: no operator has ever started, or each acts without one"
        return failed(check, "Missing", message, *look)
    record = lease.get("spec", {})
    holder = record.get("holderIdentity")
    if seen.renewed:
        return ok(check, f"{holder} acts: it renewed the Lease within {_seconds(seen)}")
    if not holder:
        message = f"nobody holds the Lease, after {_seconds(seen)} of waiting: no operator acts"
        return failed(check, "NotHeld", message, *look)
    message = (
        f"no operator acts: {holder} has not renewed the Lease for {_seconds(seen)},"
        f" and last did at {record.get('renewTime', 'an unknown time')}"
    )
    return failed(check, "Stale", message, *look)


def judge_registry(reply: Reply | Unseen, *, namespace: str) -> Finding:
    """From the answer of its /readyz through the API server."""
    check = "registry"
    look = pods(namespace, "registry")
    if isinstance(reply, Unseen):
        return unknown(check, reply.why)
    if reply.status == _OK:
        return ok(check, "answers and is ready, through the API server")
    if reply.status == _FORBIDDEN:
        return unknown(check, f"the API server does not let you through: {reply.message}")
    if reply.status == _NOT_FOUND:
        return failed(check, "Missing", "its Service does not exist", APPLY)
    said = reply.message
    if "no endpoints available" in said:
        return failed(check, "NoEndpoints", "is not ready, or not there", *look)
    if "timeout" in said or "deadline" in said:
        message = f"the API server gets no answer from it: {said}"
        fence = "a NetworkPolicy may keep the API server out, and nobody else: look from a pod"
        return warning(check, "Timeout", message, fence, *look)
    if "error trying to reach service" in said:
        return failed(check, "Unreachable", said, *look)
    return failed(check, "NotReady", f"is not ready ({reply.status}): {said}", *look)


def judge_cert_manager(seen: Mapping[str, Seen]) -> Iterator[Finding]:
    """Whether cert-manager says of its Certificates that they are ready."""
    for name, found in seen.items():
        check = f"cert-manager/{name.partition('/')[2]}"
        space, _, short = name.partition("/")
        if isinstance(found, Unseen):
            yield unknown(check, found.why)
        elif found is None:
            message = f"the Certificate {name} does not exist, and the caBundle is to come from it"
            yield failed(check, "Missing", message, APPLY)
        else:
            yield _judge_certificate(
                check, found, f"kubectl -n {space} describe certificate {short}"
            )


def _judge_certificate(check: str, found: JsonObject, see: str) -> Finding:
    status = found.get("status", {})
    ready = [one for one in status.get("conditions", []) if one.get("type") == "Ready"]
    if ready and ready[0].get("status") == "True":
        until = f", renewed from {status['renewalTime']}" if "renewalTime" in status else ""
        return ok(check, f"is ready{until}")
    said = ready[0].get("message", "") if ready else "cert-manager has not looked at it yet"
    return failed(check, "NotReady", f"is not ready: {said}", see)


def _judge_deployment(name: str, found: Seen, namespace: str) -> Finding:
    check = f"deployment/{name}"
    if isinstance(found, Unseen):
        return unknown(check, found.why)
    if found is None:
        return failed(check, "Missing", "does not exist", APPLY)
    wanted = found.get("spec", {}).get("replicas", 1)
    status = found.get("status", {})
    available = status.get("availableReplicas", 0)
    see = f"kubectl -n {namespace} describe deployment,pods -l {_labels(found)}"
    if wanted == 0:
        start = f"kubectl -n {namespace} scale deployment {name} --replicas=1"
        return failed(check, "Stopped", "is scaled to 0", start)
    if available == 0:
        return failed(check, "NotAvailable", f"none of {wanted} replicas is available", see)
    if available < wanted:
        message = f"{available} of {wanted} replicas available"
        return warning(check, "NotAvailable", message, see)
    if status.get("updatedReplicas", 0) < wanted:
        return warning(check, "Updating", "is being replaced, or stuck at that", see)
    label, ours = _label(found, _VERSION_LABEL), version("tradingbot-operator")
    if label and label != ours:
        message = f"runs {label}, and this doctor is of {ours}"
        return warning(check, "OtherVersion", message, f"take the doctor of {label}, or {APPLY}")
    return ok(check, f"{available} of {wanted} replicas available")


def _labels(deployment: JsonObject) -> str:
    chosen = deployment.get("spec", {}).get("selector", {}).get("matchLabels", {})
    return ",".join(f"{key}={value}" for key, value in chosen.items())


def _label(found: JsonObject, name: str) -> str:
    return str((found.get("metadata", {}).get("labels") or {}).get(name, ""))


def _seconds(seen: LeaseSeen) -> str:
    return f"{seen.watched_seconds:.0f} s"
