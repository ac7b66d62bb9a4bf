"""What applies on a local control plane, where the parts are processes and not Deployments. Pure.

`make up` runs webhooks, registry and operator beside the API server. The doctor recognises this by
two facts together: every webhook is called at a loopback address, which only a process on the API
server's own machine can serve, and no Deployment of this installation exists. An installation
whose Deployments were deleted calls its webhooks through a Service, so it is not mistaken for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tradingbot_process.addresses import is_loopback

from tradingbot_cli.doctor.facts import Facts
from tradingbot_cli.doctor.findings import OPERATOR_LEASE, REGISTRY, Finding, not_applicable

_DEPLOYMENT = "deployment/"
_MISSING = "Missing"
_TODO = (
    "make up: applies the manifests, renews the certificate, starts what is not running",
    "make status: shows the processes and where their logs are",
)


def is_local(facts: Facts) -> bool:
    """Whether this is a local control plane."""
    hosts = {trust.host for trust in facts.trusts}
    return (
        bool(hosts)
        and all(map(is_loopback, hosts))
        and all(found is None for found in facts.deployments.values())
    )


def as_local(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings as they apply here. Steps that name pods become those of `make`."""
    for finding in findings:
        message = _inapplicable(finding)
        if message:
            yield not_applicable(finding.check, message)
        else:
            yield replace(finding, todo=_TODO if finding.todo else ())


def _inapplicable(finding: Finding) -> str:
    """Return why a check does not apply; empty if it applies."""
    if finding.check.startswith(_DEPLOYMENT):
        return "a local control plane: this process is not a Deployment"
    if finding.reason != _MISSING:
        return ""
    if finding.check == REGISTRY:
        return "a local control plane: the registry has no Service; check its own /readyz"
    if finding.check == OPERATOR_LEASE:
        return "a local control plane, and no Lease: the operator runs without leader election"
    return ""
