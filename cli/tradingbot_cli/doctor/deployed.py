"""Read settings and webhook calls from stored objects. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tradingbot_api.model import JsonObject

from tradingbot_cli.doctor.facts import Seen, Trust

_OPERATOR = "TRADINGBOT_OPERATOR_"
_INJECTED = "cert-manager.io/inject-ca-from"
_HTTPS = 443
_TRUE = {"1", "on", "t", "true", "y", "yes"}
"""Values that pydantic-settings reads as true."""


@dataclass(frozen=True, slots=True)
class Call:
    """How the API server calls a webhook."""

    webhook: str
    host: str
    port: int
    bundle: bytes
    service: tuple[str, str] | None
    """Namespace and name; None where it is called by URL."""


def calls(configurations: Mapping[str, Seen]) -> tuple[Call, ...]:
    """Return the call of every webhook of the stored configurations."""
    return tuple(
        _call(webhook)
        for found in configurations.values()
        if isinstance(found, dict)
        for webhook in found.get("webhooks") or []
    )


def trusts(every: Iterable[Call]) -> tuple[Trust, ...]:
    """Return what the certificates are checked against, without duplicates."""
    names: dict[tuple[str, bytes], list[str]] = {}
    for call in every:
        names.setdefault((call.host, call.bundle), []).append(call.webhook)
    return tuple(Trust(host, pem, tuple(webhooks)) for (host, pem), webhooks in names.items())


def injected_from(configurations: Mapping[str, Seen]) -> tuple[str, ...]:
    """Return the cert-manager Certificates, `namespace/name`, whose CA is injected."""
    found = {
        (configuration.get("metadata", {}).get("annotations") or {}).get(_INJECTED)
        for configuration in configurations.values()
        if isinstance(configuration, dict)
    }
    return tuple(sorted(name for name in found if name))


def operator_setting(deployment: Seen, name: str) -> str:
    """Return a setting of a deployed operator, from flag or variable; empty if not set."""
    for container in _containers(deployment):
        value = _flag(_words(container), _flag_of(name))
        if value is None:
            value = _variable(container, name)
        if value is not None:
            return value
    return ""


def pods_behind(slices: Iterable[JsonObject], port_name: str) -> Iterator[tuple[str, int]]:
    """Yield the pods of a Service and their ports.

    Also pods that are not ready: a pod with an invalid certificate is not ready.
    """
    for slice_ in slices:
        ports = [port for port in slice_.get("ports") or [] if port.get("name", "") == port_name]
        for endpoint in slice_.get("endpoints") or []:
            target = endpoint.get("targetRef") or {}
            if ports and target.get("kind") == "Pod":
                yield target["name"], int(ports[0]["port"])


def port_name(service: Seen, port: int) -> str:
    """Return the name of a Service's port; empty if it has none."""
    if not isinstance(service, dict):
        return ""
    ports = service.get("spec", {}).get("ports", [])
    return next((str(port_.get("name", "")) for port_ in ports if port_["port"] == port), "")


def _call(webhook: JsonObject) -> Call:
    config = webhook.get("clientConfig", {})
    bundle = _decoded(config.get("caBundle"))
    service = config.get("service")
    if service:
        namespace, name = service["namespace"], service["name"]
        host, port = f"{name}.{namespace}.svc", int(service.get("port", _HTTPS))
        return Call(webhook["name"], host, port, bundle, (namespace, name))
    url = urlsplit(config.get("url", ""))
    return Call(webhook["name"], url.hostname or "", url.port or _HTTPS, bundle, None)


def _decoded(value: str | None) -> bytes:
    try:
        return base64.b64decode(value or "")
    except binascii.Error:
        return b""


def _containers(deployment: Seen) -> list[JsonObject]:
    if not isinstance(deployment, dict):
        return []
    template = deployment.get("spec", {}).get("template", {})
    return list(template.get("spec", {}).get("containers", []))


def _words(container: JsonObject) -> list[str]:
    return [*(container.get("command") or []), *(container.get("args") or [])]


def _variable(container: JsonObject, name: str) -> str | None:
    for variable in container.get("env") or []:
        if variable.get("name") == _OPERATOR + name.upper():
            return str(variable.get("value", ""))
    return None


def _flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _flag(words: list[str], flag: str) -> str | None:
    """Return the value of a flag, from `--flag=value` or the next word."""
    for index, word in enumerate(words):
        if word == flag:
            return words[index + 1] if index + 1 < len(words) else ""
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None
