"""Remedies: steps, each with its command if there is one. Pure."""

from __future__ import annotations

from tradingbot_cli.doctor.expected import CERTS, TLS_SECRET, WEBHOOKS

APPLY = (
    "apply this version's manifests again: kubectl apply --server-side -k my-cluster"
    " (your overlay), or helm upgrade"
)
"""Remedy for most objects that are missing or outdated."""

DEFINITIONS = (
    "install the definitions of this version: tradingbot crds | kubectl apply --server-side -f -"
)

_COMPONENT = "app.kubernetes.io/name=tradingbot-operator,app.kubernetes.io/component"


def unless_meant() -> str:
    return f"if this is not intended, {APPLY}"


def pods(namespace: str, component: str) -> tuple[str, ...]:
    """Find out why replicas are not ready."""
    chosen = f"-l {_COMPONENT}={component}"
    return (
        f"kubectl -n {namespace} get pods {chosen}",
        f"kubectl -n {namespace} logs {chosen} --prefix --tail=50",
    )


def way_in(namespace: str) -> tuple[str, ...]:
    """Find what drops connections from the API server to the webhooks."""
    wall = "let the control plane reach port 9443 of the nodes: firewall, NetworkPolicy"
    return (wall, *pods(namespace, "webhooks"))


def renewal(namespace: str) -> tuple[str, ...]:
    """For a certificate that was not renewed, or is not served."""
    restart = f"kubectl -n {namespace} rollout restart deployment/{WEBHOOKS}"
    return (
        f"with cert-manager: kubectl -n {namespace} describe certificate {TLS_SECRET}",
        f"without: kubectl -n {namespace} logs deployment/{CERTS} --tail=50",
        f"if the stored certificate is newer than the served one: {restart}",
    )


def injection(namespace: str) -> tuple[str, ...]:
    """For a caBundle that does not match the certificate."""
    injector = "deployment/cert-manager-cainjector"
    return (
        f"with cert-manager: kubectl -n cert-manager logs {injector} --tail=50",
        f"without: kubectl -n {namespace} logs deployment/{CERTS} --tail=50",
        "make sure that only one of the two manages the certificate",
    )


def reissue(namespace: str, host: str = "") -> tuple[str, ...]:
    """For a certificate with the wrong names."""
    name = host or f"{WEBHOOKS}.{namespace}.svc"
    return (
        f"with cert-manager: add {name} to dnsNames of the Certificate {TLS_SECRET}",
        f"without: add {name} to --cert-names of deployment/{CERTS}",
    )
