"""All findings, in the order in which a user would check. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tradingbot_api.crds import crds

from tradingbot_cli.doctor.expected import Installation
from tradingbot_cli.doctor.facts import Facts
from tradingbot_cli.doctor.findings import Finding
from tradingbot_cli.doctor.judge_admission import judge_admission
from tradingbot_cli.doctor.judge_certificate import judge_certificates
from tradingbot_cli.doctor.judge_crds import judge_crds
from tradingbot_cli.doctor.judge_rights import judge_rights
from tradingbot_cli.doctor.judge_running import (
    judge_caller,
    judge_cert_manager,
    judge_deployments,
    judge_lease,
    judge_namespace,
    judge_registry,
)
from tradingbot_cli.doctor.judge_webhooks import judge_backend, judge_configurations
from tradingbot_cli.doctor.local import as_local, is_local


def diagnose(facts: Facts, wanted: Installation, *, now: datetime) -> tuple[Finding, ...]:
    """`now` is the API server's time, since it is the one that checks certificates."""
    findings = _diagnosed(facts, wanted, now)
    return tuple(as_local(findings) if is_local(facts) else findings)


def _diagnosed(facts: Facts, wanted: Installation, now: datetime) -> Iterator[Finding]:
    namespace = facts.namespace
    yield from judge_caller(facts.caller)
    yield judge_namespace(namespace, facts.namespace_object)
    yield from judge_crds(crds(), facts.crds)
    yield from judge_deployments(
        facts.deployments, namespace=namespace, injected=bool(facts.cert_manager)
    )
    yield from judge_rights(facts.rights, namespace=namespace)
    yield from judge_configurations(wanted.configurations, facts.configurations)
    for backend in facts.backends:
        yield judge_backend(backend)
    yield from judge_certificates(facts.served, facts.trusts, now=now, namespace=namespace)
    yield from judge_cert_manager(facts.cert_manager)
    yield from judge_admission(facts.defaulted, facts.refused, namespace=namespace)
    yield judge_lease(facts.lease, namespace=namespace)
    yield judge_registry(facts.registry, namespace=namespace)
