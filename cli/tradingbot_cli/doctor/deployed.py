"""What stored objects say about how the parts are called and set. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tradingbot_api.model import JsonObject

from tradingbot_cli.doctor.facts import Seen, Trust

_PREFIX = "TRADINGBOT_"
_INJECTED = "cert-manager.io/inject-ca-from"
_HTTPS = 443
_TRUE = {"1", "on", "t", "true", "y", "yes"}
"""What the settings' library takes for true."""


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
    """For every webhook of the stored configurations."""
    return tuple(
        _call(webhook)
        for found in configurations.values()
        if isinstance(found, dict)
        for webhook in found.get("webhooks") or []
    )


def trusts(every: Iterable[Call]) -> tuple[Trust, ...]:
    """What the certificate is checked against, each once."""
    names: dict[tuple[str, bytes], list[str]] = {}
    for call in every:
        names.setdefault((call.host, call.bundle), []).append(call.webhook)
    return tuple(Trust(host, pem, tuple(webhooks)) for (host, pem), webhooks in names.items())


def injected_from(configurations: Mapping[str, Seen]) -> tuple[str, ...]:
    """The Certificates of cert-manager, `namespace/name`, whose CA is put into the caBundle."""
    found = {
        (one.get("metadata", {}).get("annotations") or {}).get(_INJECTED)
        for one in configurations.values()
        if isinstance(one, dict)
    }
    return tuple(sorted(name for name in found if name))


def setting(deployment: Seen, name: str) -> str:
    """A setting of the part that a Deployment runs, by flag or variable; empty if it has none."""
    for container in _containers(deployment):
        value = _flag(_words(container), _flag_of(name))
        if value is None:
            value = _variable(container, name)
        if value is not None:
            return value
    return ""


def switched_on(deployment: Seen, name: str) -> bool | None:
    """Whether a setting that is off by itself is on; None if there is no Deployment to see."""
    if not isinstance(deployment, dict):
        return None
    on, off = _flag_of(name), _flag_of(f"no_{name}")
    for container in _containers(deployment):
        given = [word for word in _words(container) if word in {on, off}]
        if given:
            return given[-1] == on
        if (_variable(container, name) or "").lower() in _TRUE:
            return True
    return False


def pods_behind(slices: Iterable[JsonObject], port_name: str) -> Iterator[tuple[str, int]]:
    """Pods of a Service and their port, ready or not: one with a bad certificate is not ready."""
    for one in slices:
        ports = [port for port in one.get("ports") or [] if port.get("name", "") == port_name]
        for endpoint in one.get("endpoints") or []:
            target = endpoint.get("targetRef") or {}
            if ports and target.get("kind") == "Pod":
                yield target["name"], int(ports[0]["port"])


def port_name(service: Seen, port: int) -> str:
    """The name of a Service's port; empty if it has none."""
    if not isinstance(service, dict):
        return ""
    ports = service.get("spec", {}).get("ports", [])
    return next((str(one.get("name", "")) for one in ports if one["port"] == port), "")


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
        if variable.get("name") == _PREFIX + name.upper():
            return str(variable.get("value", ""))
    return None


def _flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _flag(words: list[str], flag: str) -> str | None:
    """What is given for a flag, as `--flag=value` or in the word after it."""
    for index, word in enumerate(words):
        if word == flag:
            return words[index + 1] if index + 1 < len(words) else ""
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None
