"""Read the cluster. Sends all requests, and judges no answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from tradingbot_api import GROUP, VERSION
from tradingbot_api.crds import crds

from tradingbot_cli.doctor.access import MAX_CONCURRENT_REQUESTS
from tradingbot_cli.doctor.cluster import Answer, Cluster, segment
from tradingbot_cli.doctor.deployed import Call, calls, injected_from, operator_setting, trusts
from tradingbot_cli.doctor.expected import CERTS, OPERATOR, WEBHOOKS, Installation, Right
from tradingbot_cli.doctor.facts import Backend, Caller, Facts, LeaseSeen, Reply, Seen, Unseen
from tradingbot_cli.doctor.handshake import silent_threads
from tradingbot_cli.doctor.judge_rights import forbidden
from tradingbot_cli.doctor.sample_bot import to_complete, to_refuse
from tradingbot_cli.doctor.served import served_certificates

LOOK_AGAIN = 0.5
"""Seconds between two reads of the Lease."""

LONGEST_WATCH = 60.0
"""Maximum number of seconds for which the Lease is watched. It lasts 10 s by default."""

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_RESOURCES = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}
_GRACE = 2.0

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Look:
    """The facts, and the API server's time at the beginning."""

    facts: Facts
    now: datetime


def collect(cluster: Cluster, wanted: Installation) -> Look:
    """Collect all facts. Raises NoAccessError if there is no access at all."""
    introduction = cluster.introduce()
    with silent_threads(), ThreadPoolExecutor(MAX_CONCURRENT_REQUESTS) as threads:
        facts = _facts(cluster, wanted, threads, str(introduction.body.get("gitVersion", "?")))
    return Look(facts, introduction.date or datetime.now(UTC))


def needed(namespace: str) -> tuple[Right, ...]:
    """Return the permissions that the caller needs for all checks."""
    me = ""
    return (
        Right(me, "", "namespaces", "get", "", namespace),
        Right(me, "apiextensions.k8s.io", "customresourcedefinitions", "get"),
        *(
            Right(me, "admissionregistration.k8s.io", resource, "get")
            for resource in _RESOURCES.values()
        ),
        Right(me, "apps", "deployments", "get", namespace),
        Right(me, "", "services", "get", namespace),
        Right(me, "discovery.k8s.io", "endpointslices", "list", namespace),
        Right(me, "", "pods/portforward", "create", namespace),
        Right(me, "", "services/proxy", "get", namespace),
        Right(me, "coordination.k8s.io", "leases", "get", namespace),
        Right(me, GROUP, "tradingbots", "create", namespace),
        Right(me, "authorization.k8s.io", "subjectaccessreviews", "create"),
    )


def _facts(cluster: Cluster, wanted: Installation, threads: Executor, kubernetes: str) -> Facts:
    namespace = wanted.namespace
    here = f"namespaces/{segment(namespace)}"
    running = {name: f"/apis/apps/v1/{here}/deployments/{name}" for name in wanted.deployments}
    deployments = _gets(cluster, threads, running)
    # Takes as long as the Lease lasts if it is not renewed, so this runs beside the rest.
    lease = threads.submit(_watch_lease, cluster, _lease_path(deployments[OPERATOR], wanted))
    configurations = _gets(cluster, threads, _configuration_paths(wanted))
    every, injected = calls(configurations), injected_from(configurations)
    backends = _backends(cluster, every)
    defaulted, refused = _dry_runs(cluster, namespace)
    rights = _rights_of(wanted, deployments, injected=bool(injected))
    return Facts(
        namespace=namespace,
        caller=Caller(cluster.server, kubernetes, _not_allowed(cluster, threads, namespace)),
        namespace_object=cluster.get(f"/api/v1/{here}"),
        crds=_gets(cluster, threads, _definition_paths()),
        configurations=configurations,
        backends=backends,
        defaulted=defaulted,
        refused=refused,
        trusts=trusts(every),
        served=served_certificates(cluster, backends, every, threads),
        rights=_each(threads, rights, lambda one: cluster.may_account(one, namespace=namespace)),
        deployments=deployments,
        lease=lease.result(),
        registry=_ask_registry(cluster, wanted),
        cert_manager=_gets(cluster, threads, {name: _certificate_path(name) for name in injected}),
    )


def _dry_runs(cluster: Cluster, namespace: str) -> tuple[Reply | Unseen, Reply | Unseen]:
    bots = f"/apis/{GROUP}/{VERSION}/namespaces/{segment(namespace)}/tradingbots?dryRun=All"
    completed, refused = (cluster.ask("POST", bots, bot) for bot in (to_complete(), to_refuse()))
    return _reply(completed), _reply(refused)


def _ask_registry(cluster: Cluster, wanted: Installation) -> Reply | Unseen:
    where = f"/api/v1/namespaces/{segment(wanted.namespace)}/services/{wanted.registry_service()}"
    return _reply(cluster.ask("GET", f"{where}/proxy/readyz"))


def _rights_of(
    wanted: Installation, deployments: Mapping[str, Seen], *, injected: bool
) -> tuple[Right, ...]:
    """Return the rights to check: those that accounts need, and those that none must have."""
    confined = operator_setting(deployments[OPERATOR], "namespaces")
    rights = [
        right
        for right in wanted.rights(
            operator_namespaces=[n.strip() for n in confined.split(",") if n.strip()]
        )
        if not (injected and right.account == CERTS)
    ]
    # The webhooks have no rights, so no right names their account.
    accounts = dict.fromkeys((*(right.account for right in rights), WEBHOOKS))
    return (*rights, *(right for account in accounts for right in forbidden(account)))


def _backends(cluster: Cluster, every: tuple[Call, ...]) -> tuple[Backend, ...]:
    found = []
    for place, port in dict.fromkeys((c.service, c.port) for c in every if c.service):
        namespace, name = place
        service = cluster.get(f"/api/v1/namespaces/{segment(namespace)}/services/{segment(name)}")
        slices = cluster.get(
            f"/apis/discovery.k8s.io/v1/namespaces/{segment(namespace)}/endpointslices",
            labelSelector=f"kubernetes.io/service-name={name}",
        )
        items = slices if isinstance(slices, Unseen) else tuple((slices or {}).get("items", []))
        found.append(Backend(namespace, name, port, service, items))
    return tuple(found)


def _not_allowed(cluster: Cluster, threads: Executor, namespace: str) -> tuple[str, ...]:
    answers = _each(threads, needed(namespace), cluster.may_i)
    return tuple(right.words for right, allowed in answers.items() if allowed is not True)


def _watch_lease(cluster: Cluster, path: str) -> LeaseSeen:
    """Watch until the record changes, or until the Lease expires: then no operator renews it."""
    began = time.monotonic()
    first = cluster.get(path)
    if not isinstance(first, dict):
        return LeaseSeen(first)
    record = first.get("spec", {})
    lasts = min(float(record.get("leaseDurationSeconds") or 0) + _GRACE, LONGEST_WATCH)
    while (watched := time.monotonic() - began) < lasts:
        time.sleep(LOOK_AGAIN)
        current = cluster.get(path)
        if isinstance(current, dict):
            latest = current.get("spec", {})
            if latest.get("holderIdentity") and latest != record:
                return LeaseSeen(current, True, time.monotonic() - began)
    return LeaseSeen(first, False, watched)


def _definition_paths() -> dict[str, str]:
    names = [crd["metadata"]["name"] for crd in crds()]
    return {n: f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{n}" for n in names}


def _configuration_paths(wanted: Installation) -> dict[str, str]:
    return {
        kind: f"{_ADMISSION}/{_RESOURCES[kind]}/{configuration['metadata']['name']}"
        for kind, configuration in wanted.configurations.items()
    }


def _lease_path(operator: Seen, wanted: Installation) -> str:
    namespace = operator_setting(operator, "lease_namespace") or wanted.namespace
    name = operator_setting(operator, "lease_name") or OPERATOR
    group = "/apis/coordination.k8s.io/v1"
    return f"{group}/namespaces/{segment(namespace)}/leases/{segment(name)}"


def _certificate_path(named: str) -> str:
    namespace, _, name = named.partition("/")
    group = "/apis/cert-manager.io/v1"
    return f"{group}/namespaces/{segment(namespace)}/certificates/{segment(name)}"


def _gets(cluster: Cluster, threads: Executor, paths: Mapping[K, str]) -> dict[K, Seen]:
    return _each(threads, paths, lambda key: cluster.get(paths[key]))


def _each(threads: Executor, keys: Iterable[K], ask: Callable[[K], V]) -> dict[K, V]:
    """Ask about all items concurrently."""
    every = list(keys)
    return dict(zip(every, threads.map(ask, every), strict=True))


def _reply(answer: Answer | Unseen) -> Reply | Unseen:
    return answer if isinstance(answer, Unseen) else answer.reply
