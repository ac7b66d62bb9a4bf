"""Judge whether the processes run, one operator acts, and the registry answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version

from tradingbot_api.gateway_pod import OLDEST_KUBERNETES, is_too_old
from tradingbot_api.model import JsonObject

from tradingbot_cli.doctor.expected import CERTS
from tradingbot_cli.doctor.facts import Caller, LeaseSeen, Reply, Seen, Unseen
from tradingbot_cli.doctor.findings import (
    API_SERVER,
    OPERATOR_LEASE,
    REGISTRY,
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
    """Judge whether the API server answers, and whether the caller has all permissions."""
    answers = f"{caller.server} answers, Kubernetes {caller.kubernetes}"
    major, _, rest = caller.kubernetes.removeprefix("v").partition(".")
    if is_too_old(major, rest):
        needed = ".".join(map(str, OLDEST_KUBERNETES))
        message = f"{answers}: bots with a risk gateway, the default for Binance, need {needed}"
        todo = "upgrade the cluster, or set spec.riskManagement.enforcement of these bots to Bot"
        yield warning(API_SERVER, "OldKubernetes", message, todo)
    else:
        yield ok(API_SERVER, answers)
    if caller.not_allowed:
        lacking = listed(caller.not_allowed, most=20)
        message = f"you may not {lacking}: the checks that need this are unknown"
        yield unknown(YOUR_RIGHTS, message, "run this as a user who may, such as cluster-admin")
    else:
        yield ok(YOUR_RIGHTS, "you have every permission this command needs")


def judge_namespace(name: str, found: Seen) -> Finding:
    check = f"namespace/{name}"
    if isinstance(found, Unseen):
        return unknown(check, found.why)
    if found is None:
        message = "does not exist: nothing is installed here"
        return failed(check, "Missing", message, "give --namespace, or install: docs/install.md")
    if found.get("metadata", {}).get("deletionTimestamp"):
        see = f"see what it waits for: kubectl get namespace {name} -o yaml"
        return failed(check, "Terminating", "is being deleted", see)
    return ok(check, "exists")


def judge_deployments(
    seen: Mapping[str, Seen], *, namespace: str, injected: bool
) -> Iterator[Finding]:
    """Yield one finding for each Deployment. `injected`: cert-manager issues the certificate."""
    for name, found in seen.items():
        if name != CERTS:
            yield _judge_deployment(name, found, namespace)
        elif injected and isinstance(found, dict):
            message = "exists beside cert-manager: both would write the certificate"
            remove = (
                f"keep one; this one goes with: kubectl -n {namespace} delete deployment {CERTS}"
            )
            yield warning(f"deployment/{name}", "TwoIssuers", message, remove)
        elif not injected and found is None:
            message = "does not exist, and cert-manager is not used: nothing renews the certificate"
            yield warning(f"deployment/{name}", "NoIssuer", message, unless_meant())
        elif not injected:
            yield _judge_deployment(name, found, namespace)


def judge_lease(seen: LeaseSeen, *, namespace: str) -> Finding:
    """Judge whether an operator renews its Lease while the doctor watches.

    Clocks are not compared: an operator with a wrong clock acts too.
    """
    check = OPERATOR_LEASE
    lease = seen.lease
    look = pods(namespace, "operator")
    if isinstance(lease, Unseen):
        return unknown(check, lease.why)
    if lease is None:
        message = "there is no Lease: no operator has started, or it runs without leader election"
        return failed(check, "Missing", message, *look)
    record = lease.get("spec", {})
    holder = record.get("holderIdentity")
    if seen.renewed:
        return ok(check, f"{holder} acts: it renewed the Lease within {_seconds(seen)}")
    if not holder:
        message = f"no operator acts: the Lease had no holder for {_seconds(seen)}"
        return failed(check, "NotHeld", message, *look)
    message = (
        f"no operator acts: {holder} has not renewed the Lease for {_seconds(seen)},"
        f" and last did at {record.get('renewTime', 'an unknown time')}"
    )
    return failed(check, "Stale", message, *look)


def judge_registry(reply: Reply | Unseen, *, namespace: str) -> Finding:
    """Judge the answer of /readyz through the API server."""
    check = REGISTRY
    look = pods(namespace, "registry")
    if isinstance(reply, Unseen):
        return unknown(check, reply.why)
    if reply.status == _OK:
        return ok(check, "answers and is ready, through the API server")
    if reply.status == _FORBIDDEN:
        return unknown(check, f"permission denied: {reply.message}")
    if reply.status == _NOT_FOUND:
        return failed(check, "Missing", "its Service does not exist", APPLY)
    said = reply.message
    if "no endpoints available" in said:
        return failed(check, "NoEndpoints", "is not ready, or does not exist", *look)
    if "timeout" in said or "deadline" in said:
        message = f"the API server gets no answer from it: {said}"
        fence = "a NetworkPolicy may block the API server alone: check from a pod"
        return warning(check, "Timeout", message, fence, *look)
    if "error trying to reach service" in said:
        return failed(check, "Unreachable", said, *look)
    return failed(check, "NotReady", f"is not ready ({reply.status}): {said}", *look)


def judge_cert_manager(seen: Mapping[str, Seen]) -> Iterator[Finding]:
    """Judge the Ready condition of cert-manager's Certificates."""
    for name, found in seen.items():
        check = f"cert-manager/{name.partition('/')[2]}"
        space, _, short = name.partition("/")
        if isinstance(found, Unseen):
            yield unknown(check, found.why)
        elif found is None:
            message = f"the Certificate {name} does not exist, and the caBundle is injected from it"
            yield failed(check, "Missing", message, APPLY)
        else:
            yield _judge_certificate(
                check, found, f"kubectl -n {space} describe certificate {short}"
            )


def _judge_certificate(check: str, found: JsonObject, see: str) -> Finding:
    status = found.get("status", {})
    ready = [
        condition for condition in status.get("conditions", []) if condition.get("type") == "Ready"
    ]
    if ready and ready[0].get("status") == "True":
        until = f", renewed from {status['renewalTime']}" if "renewalTime" in status else ""
        return ok(check, f"is ready{until}")
    said = ready[0].get("message", "") if ready else "cert-manager has not reconciled it yet"
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
        return warning(check, "Updating", "a rollout is in progress, or stuck", see)
    label, ours = _label(found, _VERSION_LABEL), version("tradingbot-operator")
    if label and label != ours:
        message = f"runs {label}; this doctor is {ours}"
        return warning(check, "OtherVersion", message, f"use the doctor of {label}, or {APPLY}")
    return ok(check, f"{available} of {wanted} replicas available")


def _labels(deployment: JsonObject) -> str:
    chosen = deployment.get("spec", {}).get("selector", {}).get("matchLabels", {})
    return ",".join(f"{key}={value}" for key, value in chosen.items())


def _label(found: JsonObject, name: str) -> str:
    return str((found.get("metadata", {}).get("labels") or {}).get(name, ""))


def _seconds(seen: LeaseSeen) -> str:
    return f"{seen.watched_seconds:.0f} s"
