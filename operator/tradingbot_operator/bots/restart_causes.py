"""What a restart of a bot is for: the parts in which what runs differs from what is declared.

image, resources      of the container
riskManagement.enforcement    with or without a gateway
gateway               the image or the resources of the gateway, which are settings of the operator,
                      or another declaration of it by another version of the operator
parameters, strategy, exchange, mode    of bot.json
credentials           a value in the Secret, or the names of the Secret and its keys
pod.FIELD             a field of spec.pod, or any other of the pod template
exchange.proxyURL, exchange.caBundle    what they add to the pod
"""

from collections.abc import Iterable, Iterator
from functools import partial

from tradingbot_api.gateway_pod import CONTAINER
from tradingbot_api.model import JsonObject
from tradingbot_api.pod_parts import BASE_URL_ENV, CA_ENV, PROXY_ENV

from tradingbot_operator import RESTART_HASH
from tradingbot_operator.bots.children import gateway, manifests
from tradingbot_operator.bots.children.built_in_types import POD_TEMPLATE
from tradingbot_operator.bots.children.differences import (
    MISSING,
    Difference,
    Step,
    differences_of,
)
from tradingbot_operator.bots.children.pod_options import (
    CA_PATH,
    CA_VOLUME,
    CLAIM_VOLUME,
    FILES_VOLUME,
    PLACEMENT,
    variables_of,
)
from tradingbot_operator.bots.children.surroundings import API_SERVER
from tradingbot_operator.bots.observed import Observed, Running
from tradingbot_operator.cluster.reading.untrusted import mapping, mappings

_TEMPLATE: tuple[Step, ...] = ("spec", "template")
_CONTAINER_PARTS = {"image": "image", "resources": "resources"}
_STRATEGY_PARTS = {"image": "image", "parameters": "parameters"}
_CREDENTIALS = "credentials"
_GATEWAY_PARTS = {
    "TRADINGBOT_GATEWAY_PROXY_URL": "exchange.proxyURL",
    "TRADINGBOT_GATEWAY_CA_BUNDLE": "exchange.caBundle",
    "TRADINGBOT_GATEWAY_DIALECT": "exchange.dialect",
    "TRADINGBOT_GATEWAY_HANDOVER": "exchange.dialect",
}
_ONLY_ONE_OF_THEM = frozenset(
    (*manifests.CREDENTIAL_VARIABLES, BASE_URL_ENV, *gateway.HANDOVER_ENV, *PROXY_ENV, *CA_ENV)
)
"""Variables of the bot that it has only with a gateway, or only without one."""
_SETTINGS_OF_THE_GATEWAY = frozenset({"dialect", "quoteCurrency", "paperBalance"})
_VOLUMES = {CLAIM_VOLUME: "pod.storage", CA_VOLUME: "exchange.caBundle"}
_REMOVABLE = frozenset(
    (
        *PLACEMENT,
        *("volumes", "labels", "annotations"),
        *("command", "args", "env", "envFrom", "volumeMounts"),
    )
)
"""The fields of the pod and its container that are declared only if a spec asks for them."""
_WHOLE = 2
"""Steps to an item of such a field: its name, and the key of the item."""


def restart_causes(
    running: Running, declared: Running, observed: Observed, *, secret: str
) -> tuple[str, ...]:
    """Return the names of what differs between what runs and what is declared, each once."""
    (old_template, old_config), (template, config) = running.unpacked(), declared.unpacked()
    found: list[str] = []
    if _has_gateway(old_template) != _has_gateway(template):
        # All else that differs for it is its consequence.
        found.append("riskManagement.enforcement")
        old_template, template = map(_without_gateway, (old_template, template))
        old_config, config = map(_without_gateway_settings, (old_config, config))
    causes = partial(causes_of, proxied=_has_proxy(old_template) or _has_proxy(template))
    found += [
        *_config_causes(old_config.body, config.body),
        *causes(_changed(old_template, template, observed)),
    ]
    if running.is_declared:
        found += causes(_changed(template, old_template, observed))
    credentials = f'{_CREDENTIALS} (Secret "{secret}")'
    if running.revision not in {None, declared.revision}:
        found.append(_CREDENTIALS)
    if not found and not running.is_declared:
        found += causes(_removed(old_template, template))
    if not found and running.revision is None:
        found.append(_CREDENTIALS)  # if nothing else differs, it must be that
    named = (credentials if name == _CREDENTIALS else name for name in found)
    return tuple(dict.fromkeys(named)) or ("pod",)


def causes_of(changes: Iterable[Difference], *, proxied: bool = False) -> Iterator[str]:
    """Yield the names of what these changes of a Deployment change in its pods.

    `proxied` tells whether `exchange.proxyURL` is the source of the variables of a proxy.
    """
    for found in changes:
        if found.steps[:2] != _TEMPLATE:
            continue
        steps = found.steps[2:]
        rest = steps[1:] if steps[0] == "spec" else steps
        if steps[0] == "metadata" and steps[1:]:
            yield "gateway" if _is_of_gateway(found) else f"pod.{steps[1]}"
        elif rest[0] == "initContainers":
            yield _of_gateway(rest[2:], found)
        elif len(rest) < 3 or rest[0] != "containers":  # noqa: PLR2004 - the list, item and field
            yield _of_volume(rest[:2], found) or f"pod.{rest[0]}"
        else:
            yield _of_container(rest[2:4], found, proxied=proxied)


def _of_gateway(steps: tuple[Step, ...], found: Difference) -> str:
    """Return the field that a part of the gateway comes from; `gateway` if it is a setting."""
    names = _names(steps[1]) if steps[:1] == ("env",) and steps[1:] else set()
    if names & manifests.CREDENTIAL_VARIABLES:
        return _CREDENTIALS
    return _GATEWAY_PARTS.get(next(iter(names), ""), "gateway") if steps else f"{found.path}"


def _is_of_gateway(found: Difference) -> bool:
    """Return whether the operator itself has added an annotation, or taken it away."""
    is_new = MISSING in (found.declared, found.live)
    return is_new and found.steps[-1] == gateway.DEFAULT_CONTAINER


def _has_gateway(template: JsonObject) -> bool:
    containers = mappings(mapping(template.get("spec")).get("initContainers"))
    return any(found.get("name") == CONTAINER for found in containers)


def _without_gateway(template: JsonObject) -> JsonObject:
    """Return a template without the gateway, and without what the bot has instead of keys."""
    spec, metadata = mapping(template.get("spec")), mapping(template.get("metadata"))
    annotations = {**mapping(metadata.get("annotations"))}
    annotations.pop(gateway.DEFAULT_CONTAINER, None)
    containers = [
        {
            **{name: value for name, value in found.items() if name != "ports"},
            "volumeMounts": [
                each
                for each in mappings(found.get("volumeMounts"))
                if each.get("name") not in gateway.VOLUMES
            ],
            "env": [
                each
                for each in mappings(found.get("env"))
                if each.get("name") not in _ONLY_ONE_OF_THEM
            ],
        }
        for found in mappings(spec.get("containers"))
    ]
    volumes = [
        found for found in mappings(spec.get("volumes")) if found.get("name") not in gateway.VOLUMES
    ]
    kept = {name: value for name, value in spec.items() if name != "initContainers"}
    return {
        **template,
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**kept, "containers": containers, "volumes": volumes},
    }


def _without_gateway_settings(config: manifests.Config) -> manifests.Config:
    exchange = mapping(config.body.get("exchange"))
    kept = {name: value for name, value in exchange.items() if name not in _SETTINGS_OF_THE_GATEWAY}
    return manifests.Config({**config.body, "exchange": kept})


def _of_container(steps: tuple[Step, ...], found: Difference, *, proxied: bool) -> str:
    field = str(steps[0])
    names = _names(steps[1]) if field == "env" and steps[1:] else set()
    if names & manifests.CREDENTIAL_VARIABLES:
        return _CREDENTIALS
    if proxied and not names.isdisjoint(PROXY_ENV):
        return "exchange.proxyURL"
    values = (mapping(side).get("value", side) for side in (found.declared, found.live))
    if not names.isdisjoint(CA_ENV) and CA_PATH in values:
        return "exchange.caBundle"
    return _of_volume(steps, found) or _CONTAINER_PARTS.get(field, f"pod.{field}")


def _of_volume(steps: tuple[Step, ...], found: Difference) -> str | None:
    """Return the field that a volume, its mount or its group comes from, None if it is another."""
    if steps == ("securityContext", "fsGroupChangePolicy"):
        return _VOLUMES[CLAIM_VOLUME]
    if steps[0] not in {"volumes", "volumeMounts"} or not steps[1:]:
        return None
    sides = (mapping(side).get("name") for side in (found.declared, found.live))
    for name in {*_names(steps[1]), *map(str, sides)}:
        if name.startswith(FILES_VOLUME):
            return "pod.files"
        if name in _VOLUMES:
            return _VOLUMES[name]
    return None


def _has_proxy(template: JsonObject) -> bool:
    """Return whether a template has the variables of `exchange.proxyURL`."""
    env = variables_of(template)
    hosts = (str(found.get("value")) for found in env if found.get("name") == "NO_PROXY")
    return any(value.endswith(API_SERVER) for value in hosts)


def _removed(live: JsonObject, declared: JsonObject) -> Iterator[Difference]:
    """Yield what a live template has and a spec could have declared before.

    Others may have added these too, so this is worth a look only if nothing else differs.
    """
    for found in differences_of(live, declared, POD_TEMPLATE, _TEMPLATE):
        rest = found.steps[3:]  # without spec.template.spec, or spec.template.metadata
        if rest[:1] == ("containers",):
            rest = rest[2:]
        # Deeper in, it is a default that the API server has filled in.
        whole = rest[:1] and rest[0] in _REMOVABLE and len(rest) <= _WHOLE
        if found.live is MISSING and whole and RESTART_HASH not in found.steps:
            yield found


def _names(step: Step) -> set[str]:
    return {str(value) for _, value in step} if isinstance(step, tuple) else set()


def _config_causes(old: JsonObject, new: JsonObject) -> Iterator[str]:
    for part in manifests.RESTART_PARTS:
        before, after = old.get(part), new.get(part)
        if before == after:
            continue
        if part == "strategy" and isinstance(before, dict) and isinstance(after, dict):
            for key in sorted(before.keys() | after.keys()):
                if before.get(key) != after.get(key):
                    yield _STRATEGY_PARTS.get(key, part)
        else:
            yield part


def _changed(live: JsonObject, declared: JsonObject, observed: Observed) -> Iterator[Difference]:
    """Yield what one template lacks and the other has, but for overridden fields."""
    for found in differences_of(declared, live, POD_TEMPLATE, _TEMPLATE):
        excused = observed.overrides.excuses("Deployment", found)
        if not excused and RESTART_HASH not in found.steps:
            yield found
