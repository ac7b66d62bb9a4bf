"""The NetworkPolicy of a bot with `networkPolicy: Restricted`.

    in     from every pod of the operator's namespace, to the bot's port
    out    to the port of the exchange, that of the proxy, and DNS, at any address: a NetworkPolicy
           knows no host names, and exchanges change their addresses

Policies add up, so another policy for the same pod can allow more.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from tradingbot_api.model import JsonObject

from tradingbot_operator.bots.children.pod_options import variables_of
from tradingbot_operator.bots.children.surroundings import Surroundings
from tradingbot_operator.cluster.reading.untrusted import mapping

DNS_PORT = 53
HTTPS_PORT, HTTP_PORT = 443, 80
_PROXY_ENV = ("HTTPS_PROXY", "TRADINGBOT_GATEWAY_PROXY_URL")
NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that the API server gives each namespace."""


def network_policy(
    metadata: JsonObject,
    ports: Iterable[int],
    *,
    selector: dict[str, str],
    port: int,
    surroundings: Surroundings,
) -> JsonObject:
    """Return the NetworkPolicy for the pods that `selector` selects, which listen on `port`.

    `ports` are those that they reach.
    """
    operator = {"matchLabels": {NAMESPACE_NAME: surroundings.operator_namespace}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": selector},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"namespaceSelector": operator}], "ports": [_port("TCP", port)]}],
            "egress": [
                {"ports": [_port("UDP", DNS_PORT), _port("TCP", DNS_PORT)]},
                {"ports": [_port("TCP", number) for number in sorted({*ports})]},
            ],
        },
    }


def _port(protocol: str, number: int) -> JsonObject:
    return {"protocol": protocol, "port": number}


def egress_ports(base_url: str | None, proxy_url: str | None) -> Iterator[int]:
    """Yield the ports of the exchange, and of the proxy if there is one."""
    yield HTTPS_PORT if base_url is None else _port_of(base_url)
    if proxy_url is not None:
        yield _port_of(proxy_url)


def egress_ports_of(template: JsonObject, config: JsonObject) -> Iterator[int]:
    """Yield the same ports for a pod of that template with that content of bot.json.

    Both may come from another version of the operator, or may have been edited.
    """
    base_url = mapping(config.get("exchange")).get("baseURL")
    env = variables_of(template)
    values = (variable.get("value") for variable in env if variable.get("name") in _PROXY_ENV)
    proxy_url = next(values, None)
    try:
        yield from egress_ports(
            base_url if isinstance(base_url, str) else None,
            proxy_url if isinstance(proxy_url, str) else None,
        )
    except ValueError:
        return


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)
