"""Where the servers of a Service are, by its EndpointSlices."""

from __future__ import annotations

from collections.abc import Callable

from kubernetes.client import ApiClient, DiscoveryV1Api
from kubernetes.client.models import V1EndpointSlice

from tradingbot_certs.replicas import Address
from tradingbot_certs.secret import REQUEST_TIMEOUT, explained

_SERVICE_LABEL = "kubernetes.io/service-name"


def addresses_of(client: ApiClient, *, namespace: str, service: str) -> Callable[[], list[Address]]:
    """Return a function that looks up the servers of the Service, also those that are not ready.

    A server that is not ready may become ready with its present certificate. A server that
    terminates takes no new requests and is left out.
    """
    api = DiscoveryV1Api(client)

    def look_up() -> list[Address]:
        with explained(f"list the EndpointSlices of the Service {namespace}/{service}"):
            slices = api.list_namespaced_endpoint_slice(
                namespace,
                label_selector=f"{_SERVICE_LABEL}={service}",
                _request_timeout=REQUEST_TIMEOUT,
            ).items
        return [address for found in slices for address in _of_slice(found)]

    return look_up


def _of_slice(one: V1EndpointSlice) -> list[Address]:
    ports = [port.port for port in one.ports or [] if port.port is not None]
    return [
        (endpoint.addresses[0], port)
        for endpoint in one.endpoints or []
        if not (
            endpoint.conditions
            and endpoint.conditions.serving is False
            and endpoint.conditions.terminating
        )
        for port in ports
    ]
