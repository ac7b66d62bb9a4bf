"""Whether the webhooks are configured as in this version, and have somebody to answer. Pure."""

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
    """One finding for each of the two configurations; both mappings are by kind."""
    for kind, configuration in wanted.items():
        yield _judge(kind, configuration, seen[kind])


def judge_backend(backend: Backend) -> Finding:
    """Whether the Service that webhooks are called through leads to a replica that is ready."""
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
            f"the Service {named} has no port {backend.port}, which the webhooks are called at"
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
    """How many of the endpoints are ready, and how many are not."""
    states = [
        endpoint.get("conditions", {}).get("ready") is not False
        for one in slices
        for endpoint in one.get("endpoints") or []
    ]
    return sum(states), len(states) - sum(states)


def _judge(kind: str, wanted: JsonObject, found: Seen) -> Finding:
    name = wanted["metadata"]["name"]
    check = f"webhooks/{name}"
    if isinstance(found, Unseen):
        return unknown(check, found.why)
    if found is None:
        message = f"the {kind} is not there: bots are admitted that nobody looked at"
        return failed(check, "Missing", message, APPLY)
    stored = {one["name"]: one for one in found.get("webhooks") or []}
    missing = [one["name"] for one in wanted["webhooks"] if one["name"] not in stored]
    if missing:
        message = f"has no webhook {listed(missing)}: what it checks is admitted unseen"
        return failed(check, "Incomplete", message, APPLY)
    unlike = [
        f"{one['name']}: {field}"
        for one in wanted["webhooks"]
        for field in _differences(one, stored[one["name"]])
    ]
    more = sorted(stored.keys() - {one["name"] for one in wanted["webhooks"]})
    unlike += [f"{one} is of another version" for one in more]
    if unlike:
        message = f"is not as this version installs it: {listed(unlike)}"
        return warning(check, "Different", message, unless_meant())
    return ok(check, f"{len(stored)} webhooks, as this version installs them")


def _differences(wanted: JsonObject, found: JsonObject) -> Iterator[str]:
    """The fields that differ. What is empty is what is absent: the API server fills in both."""
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
