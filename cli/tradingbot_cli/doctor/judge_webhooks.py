"""Judge whether the webhooks are configured as in this version and have ready replicas. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tradingbot_api.model import JsonObject

from tradingbot_cli.doctor.facts import Backend, Seen, Unseen
from tradingbot_cli.doctor.findings import Finding, failed, listed, ok, unknown, warning
from tradingbot_cli.doctor.remedies import APPLY, pods, unless_meant

_CALLED = "clientConfig"


def judge_configurations(
    wanted: Mapping[str, JsonObject], seen: Mapping[str, Seen]
) -> Iterator[Finding]:
    """Yield one finding for each configuration; both mappings are by kind."""
    for kind, configuration in wanted.items():
        yield _judge(kind, configuration, seen[kind])


def judge_backend(backend: Backend) -> Finding:
    """Judge whether the webhooks' Service has a ready replica."""
    named = f"{backend.namespace}/{backend.name}"
    check = f"webhooks/service/{backend.name}"
    if isinstance(backend.service, Unseen):
        return unknown(check, backend.service.why)
    if backend.service is None:
        message = f"the Service {named} does not exist, and the webhooks are called through it"
        return failed(check, "Missing", message, APPLY)
    ports = [port["port"] for port in backend.service.get("spec", {}).get("ports", [])]
    if backend.port not in ports:
        message = (
            f"the Service {named} has no port {backend.port}, at which the webhooks are called"
        )
        return failed(check, "Misconfigured", message, APPLY)
    if isinstance(backend.slices, Unseen):
        return unknown(check, backend.slices.why)
    ready, others = ready_endpoints(backend.slices)
    if not ready:
        message = f"no replica behind the Service {named} is ready ({others} are not)"
        return failed(check, "NoEndpoints", message, *pods(backend.namespace, "webhooks"))
    return ok(check, f"{named} leads to {ready} ready, {others} not")


def ready_endpoints(slices: tuple[JsonObject, ...]) -> tuple[int, int]:
    """Count the endpoints that are ready, and those that are not."""
    states = [
        endpoint.get("conditions", {}).get("ready") is not False
        for slice_ in slices
        for endpoint in slice_.get("endpoints") or []
    ]
    return sum(states), len(states) - sum(states)


def _judge(kind: str, wanted: JsonObject, found: Seen) -> Finding:
    name = wanted["metadata"]["name"]
    check = f"webhooks/{name}"
    if isinstance(found, Unseen):
        return unknown(check, found.why)
    if found is None:
        message = f"the {kind} does not exist: bots are admitted without review"
        return failed(check, "Missing", message, APPLY)
    stored = {webhook["name"]: webhook for webhook in found.get("webhooks") or []}
    missing = [webhook["name"] for webhook in wanted["webhooks"] if webhook["name"] not in stored]
    if missing:
        message = f"has no webhook {listed(missing)}: its objects are admitted without review"
        return failed(check, "Incomplete", message, APPLY)
    unlike = [
        f"{webhook['name']}: {field}"
        for webhook in wanted["webhooks"]
        for field in _differences(webhook, stored[webhook["name"]])
    ]
    more = sorted(stored.keys() - {webhook["name"] for webhook in wanted["webhooks"]})
    unlike += [f"{name} is of another version" for name in more]
    if unlike:
        message = f"differs from what this version installs: {listed(unlike)}"
        return warning(check, "Different", message, unless_meant())
    return ok(check, f"{len(stored)} webhooks, as this version installs them")


def _differences(wanted: JsonObject, found: JsonObject) -> Iterator[str]:
    """Return the fields that differ. Empty equals absent: the API server sets defaults."""
    for key in sorted((wanted.keys() | found.keys()) - {_CALLED}):
        if (wanted.get(key) or None) != (found.get(key) or None):
            yield key
    if _path(wanted) != _path(found):
        yield f"{_CALLED} (its path)"


def _path(webhook: JsonObject) -> str:
    called = webhook.get(_CALLED, {})
    if "service" in called:
        return str(called["service"].get("path", ""))
    return "/" + str(called.get("url", "")).partition("://")[2].partition("/")[2]
