"""Read the certificate that the webhooks serve: from each replica, else from the Secret."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from concurrent.futures import Executor

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tradingbot_cli.doctor.cluster import Cluster, segment
from tradingbot_cli.doctor.deployed import Call, pods_behind, port_name
from tradingbot_cli.doctor.expected import TLS_SECRET
from tradingbot_cli.doctor.facts import Backend, Served, Unseen, Unserved
from tradingbot_cli.doctor.handshake import look, over_the_network, through_port_forward

_MOST_REPLICAS = 5
_CERTIFICATE = "tls.crt"


def served_certificates(
    cluster: Cluster, backends: Iterable[Backend], calls: Iterable[Call], threads: Executor
) -> tuple[Served | Unserved, ...]:
    """Return the certificate of each replica behind the Services, and of each URL."""
    every = tuple(calls)
    found: list[Served | Unserved] = []
    for backend in backends:
        found += _behind(cluster, backend, every, threads)
    for host, port in dict.fromkeys((c.host, c.port) for c in every if c.service is None):
        connect = over_the_network(host, port)
        bundles = {c.bundle for c in every if (c.host, c.port) == (host, port) and c.bundle}
        found.append(look(f"{host}:{port}", connect, host=host, bundles=bundles))
    return tuple(found)


def _behind(
    cluster: Cluster, backend: Backend, calls: tuple[Call, ...], threads: Executor
) -> list[Served | Unserved]:
    through = [c for c in calls if c.service == (backend.namespace, backend.name)]
    host = through[0].host
    bundles = {call.bundle for call in through if call.bundle}
    slices = () if isinstance(backend.slices, Unseen) else backend.slices
    pods = list(pods_behind(slices, port_name(backend.service, backend.port)))[:_MOST_REPLICAS]

    def of_pod(pod: tuple[str, int]) -> Served | Unserved:
        connect = through_port_forward(
            cluster.client.configuration, namespace=backend.namespace, pod=pod[0], port=pod[1]
        )
        return look(f"pod {pod[0]}", connect, host=host, bundles=bundles)

    found = list(threads.map(of_pod, pods))
    if any(isinstance(replica, Served) for replica in found):
        return found
    stored = _stored(cluster, backend.namespace)
    if isinstance(stored, Unserved):
        return [*found, stored]
    # The stored certificate replaces those of replicas that can't be reached.
    return [
        *(replica for replica in found if isinstance(replica, Unserved) and replica.broken),
        stored,
    ]


def _stored(cluster: Cluster, namespace: str) -> Served | Unserved:
    """Return the certificate in the Secret.

    The API server sends a Secret as a whole, with the key. Only the certificate, which is public,
    is used; nothing else is decoded, kept or shown.
    """
    where = f"the Secret {TLS_SECRET}"
    secret = cluster.get(f"/api/v1/namespaces/{segment(namespace)}/secrets/{TLS_SECRET}")
    if isinstance(secret, Unseen):
        return Unserved(where, secret.why, broken=False)
    if secret is None:
        return Unserved(where, "does not exist: no certificate was issued", broken=True)
    try:
        pem = base64.b64decode((secret.get("data") or {}).get(_CERTIFICATE, ""))
        chain = x509.load_pem_x509_certificates(pem)
    except (binascii.Error, ValueError):
        return Unserved(where, f"has no PEM certificate in {_CERTIFICATE}", broken=True)
    return Served(where, tuple(certificate.public_bytes(Encoding.DER) for certificate in chain))
