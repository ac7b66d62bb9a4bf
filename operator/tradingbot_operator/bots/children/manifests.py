"""The manifests of a bot's children: pure functions of its spec."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json
from tradingbot_api.contract import CONFIG_HASH, HALTED_UNTIL, BotConfig, bot_json
from tradingbot_api.enforcement import has_gateway
from tradingbot_api.exchange import Exchange
from tradingbot_api.gateway_pod import BOT_CONTAINER
from tradingbot_api.model import JsonObject, digest
from tradingbot_api.pod_parts import CONFIG_DIRECTORY, TEMPORARY_DIRECTORY
from tradingbot_api.quantity import one_spelling
from tradingbot_api.tradingbot import Mode, TradingBotSpec

from tradingbot_operator import (
    ADDED_METADATA,
    BOT_LABEL,
    CONFIG_KEY,
    CREDENTIALS,
    MANAGED_BY,
    RESTART_HASH,
)
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children import gateway as gateways
from tradingbot_operator.bots.children import network_policy as policies
from tradingbot_operator.bots.children import pod_options, storage_claim
from tradingbot_operator.bots.children.pod_options import added_annotations, added_labels
from tradingbot_operator.bots.children.surroundings import DEFAULT, Surroundings
from tradingbot_operator.cluster.reading.trimming import child_name
from tradingbot_operator.cluster.timestamps import instant, rfc3339

PORT = 8080
USER_ID = 65532
"""The usual non-root user of minimal images. The user that an image names may be root."""

_VARIABLES = {
    "apiKeyPath": "EXCHANGE_API_KEY",
    "apiSecretPath": "EXCHANGE_API_SECRET",
    "passphrasePath": "EXCHANGE_API_PASSPHRASE",
}
"""The variable for each key of the bot's Secret, by the field of `exchange` that names the key."""
CREDENTIAL_VARIABLES = frozenset(_VARIABLES.values())
"""The variables of the container that have the values of the bot's Secret."""

_BESIDE = frozenset({CONFIG_HASH, HALTED_UNTIL})
"""Keys of bot.json that are not part of its content."""

RESTART_PARTS = ("strategy", "exchange", "mode")
"""Parts of bot.json that take effect only with a restart."""


@dataclass(frozen=True)
class Config:
    """The content of a bot.json as JSON: the declared one, or one that a ConfigMap holds.

    `BotConfig` defines the declared one. A stored one may come from another version of the
    operator, so it is not parsed into that model.
    """

    body: JsonObject

    @classmethod
    def declared(cls, bot: Bot, spec: TradingBotSpec) -> "Config":
        """Return the configuration that the spec declares."""
        return cls(BotConfig.of(spec, bot.meta).content())

    @classmethod
    def stored(cls, config_map: Mapping[str, Any] | None) -> "Config | None":
        """Return the configuration in a ConfigMap, None if there is none that can be parsed."""
        try:
            body = from_json((config_map or {})["data"][CONFIG_KEY])
            return cls({key: value for key, value in body.items() if key not in _BESIDE})
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    @staticmethod
    def stored_halt(config_map: Mapping[str, Any] | None) -> datetime | None:
        """Return the end of the halt that a ConfigMap records, None if it records none."""
        try:
            return instant(from_json((config_map or {})["data"][CONFIG_KEY])[HALTED_UNTIL])
        except (KeyError, TypeError, ValueError):
            return None

    def keeping_restart_parts_of(self, other: "Config") -> "Config":
        """Return this configuration with RESTART_PARTS as in `other`.

        A running bot reads bot.json again when it changes. It must not find another strategy or
        mode there before it is restarted for them.
        """
        kept = {part: other.body[part] for part in RESTART_PARTS if other.body.get(part)}
        return Config({**self.body, **kept})

    @property
    def hash(self) -> str:
        """Return the configHash, which a bot reports when it runs with this configuration."""
        return digest(self.body)

    def text(self, *, halted_until: datetime | None = None) -> str:
        """Return bot.json itself."""
        until = None if halted_until is None else rfc3339(halted_until)
        return bot_json(self.body, halted_until=until)


def declared_kinds(spec: TradingBotSpec | None) -> frozenset[str]:
    """Return the kinds of the children that a spec declares."""
    pod = spec.pod if spec is not None else None
    kinds = {"ConfigMap", "Deployment", "Service"}
    if pod is not None and pod.storage is not None:
        kinds.add("PersistentVolumeClaim")
    if pod is not None and pod.network_policy is not None:
        kinds.add("NetworkPolicy")
    return frozenset(kinds)


def labels(bot: Bot) -> dict[str, str]:
    """Return the labels of each child, with those of spec.pod."""
    return {
        **added_labels(bot.spec),
        "app.kubernetes.io/name": "tradingbot",
        "app.kubernetes.io/instance": bot.meta.name,
        **MANAGED_BY,
        "app.kubernetes.io/part-of": "tradingbot-operator",
        "app.kubernetes.io/component": "bot",
        BOT_LABEL: bot.meta.name,
    }


def selector(bot: Bot) -> dict[str, str]:
    """Return the labels that select the bot's pods. A Deployment's selector is immutable."""
    return {"app.kubernetes.io/name": "tradingbot", BOT_LABEL: bot.meta.name}


def _metadata(bot: Bot, name: str, *, annotations: Mapping[str, str] | None = None) -> JsonObject:
    """Return the metadata of a child.

    An apply removes a label that is no longer declared, but nothing in the manifest would show that
    an apply is needed: so an annotation names what spec.pod adds.
    """
    metadata: JsonObject = {
        "name": name,
        "namespace": bot.meta.namespace,
        "labels": labels(bot),
        "ownerReferences": [bot.owner_reference],
    }
    annotations = dict(annotations or {})
    if added := {*added_labels(bot.spec), *annotations}:
        metadata["annotations"] = {**annotations, ADDED_METADATA: ",".join(sorted(added))}
    return metadata


def config_map(bot: Bot, config: Config, *, halted_until: datetime | None = None) -> JsonObject:
    """Return the ConfigMap with bot.json, which is mounted into the pod."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(bot, child_name("ConfigMap", bot.meta.name)),
        "data": {CONFIG_KEY: config.text(halted_until=halted_until)},
    }


def service(bot: Bot) -> JsonObject:
    """Return the Service for the bot's HTTP port, which is the gateway's if there is one.

    A gateway that is not ready says why at /risk, so its Service has addresses that are not ready.
    """
    with_gateway = bot.spec is not None and has_gateway(bot.spec)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(bot, bot.meta.name),
        "spec": {
            "selector": selector(bot),
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
            **({"publishNotReadyAddresses": True} if with_gateway else {}),
        },
    }


def deployment(
    bot: Bot, *, template: JsonObject, replicas: int, credentials: str | None = None
) -> JsonObject:
    """Return the Deployment: 0 or 1 pods, and never two at once: each would use the whole limit.

    `credentials` is the annotation for the bot's Secret. It is not in the pod template, where a
    change of it would restart the pod.
    """
    metadata = _metadata(bot, bot.meta.name, annotations=added_annotations(bot.spec))
    if credentials is not None:
        metadata["annotations"] = {**metadata.get("annotations", {}), CREDENTIALS: credentials}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector(bot)},
            "template": template,
        },
    }


def claim(bot: Bot, spec: TradingBotSpec, live: JsonObject | None) -> JsonObject | None:
    """Return the PersistentVolumeClaim, None if the bot needs no storage."""
    if spec.pod is None or spec.pod.storage is None:
        return None
    metadata = _metadata(bot, child_name("PersistentVolumeClaim", bot.meta.name))
    return storage_claim.claim(metadata, spec.pod.storage, uid=bot.meta.uid, live=live)


def network_policy(
    bot: Bot, spec: TradingBotSpec, surroundings: Surroundings, *, still: Iterable[int] = ()
) -> JsonObject | None:
    """Return the NetworkPolicy, None if the bot has none.

    `still` are the ports that a pod reaches which waits for its restart.
    """
    if spec.pod is None or spec.pod.network_policy is None:
        return None
    return policies.network_policy(
        _metadata(bot, bot.meta.name),
        (*policies.egress_ports(spec.exchange.base_url, spec.exchange.proxy_url), *still),
        selector=selector(bot),
        port=PORT,
        surroundings=surroundings,
    )


def pod_template(
    bot: Bot,
    spec: TradingBotSpec,
    secret_version: str,
    surroundings: Surroundings = DEFAULT,
    *,
    running: str | None = None,
) -> tuple[JsonObject, str]:
    """Return the pod template, and the restart hash: of all that takes effect only with a restart.

    `secret_version` is the revision of the values in the Secret (see `Record`), which stays while
    no value changes. The hash, an annotation of the template, includes the pod itself. So if
    another version of the operator declares the pod differently, that change waits for
    `updatePolicy` like any other.

    Another spelling of a quantity is not a change. Earlier versions took the spelling of the user,
    so that hash stays if it is `running`.
    """
    metadata: JsonObject = {"labels": labels(bot)}
    of_gateway = gateways.annotations() if has_gateway(spec) else {}
    if added := {**of_gateway, **added_annotations(spec)}:
        metadata["annotations"] = added
    pod = {"metadata": metadata, "spec": _pod(bot, spec, surroundings)}
    whole = spec.model_dump(by_alias=True, mode="json", exclude_none=True)
    parts = {key: whole[key] for key in RESTART_PARTS}
    if spec.mode is Mode.LIVE:
        parts["exchange"].pop("paperBalance", None)  # as in bot.json: Live does not use it
    written = whole["resources"]
    usual = _in_one_spelling(written)

    def hash_of(resources: JsonObject) -> str:
        spelled = {"resources": resources, "pod": _with_resources(pod, resources)}
        return digest({**parts, **spelled, "secretVersion": secret_version})

    hash_ = hash_of(usual)
    if running is not None and written != usual and hash_of(written) == running:
        hash_ = running
    metadata = {**metadata, "annotations": {**added, RESTART_HASH: hash_}}
    return {**pod, "metadata": metadata}, hash_


def _in_one_spelling(resources: JsonObject) -> JsonObject:
    return {
        part: {name: one_spelling(value) for name, value in values.items()}
        for part, values in resources.items()
    }


def _with_resources(pod: JsonObject, resources: JsonObject) -> JsonObject:
    (container,) = pod["spec"]["containers"]
    return {**pod, "spec": {**pod["spec"], "containers": [{**container, "resources": resources}]}}


def _pod(bot: Bot, spec: TradingBotSpec, surroundings: Surroundings) -> JsonObject:
    """Return the pod's spec, which follows the `restricted` Pod Security Standard."""
    with_gateway = has_gateway(spec)
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **pod_options.pod_fields(spec),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
            **pod_options.security_fields(spec),
        },
        **({"initContainers": [_gateway(spec, surroundings)]} if with_gateway else {}),
        "containers": [_container(spec, surroundings)],
        "volumes": [
            {"name": "config", "configMap": {"name": child_name("ConfigMap", bot.meta.name)}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *(gateways.volumes(spec.exchange) if with_gateway else ()),
            *pod_options.volumes(bot.meta.name, spec),
        ],
    }


def _gateway(spec: TradingBotSpec, surroundings: Surroundings) -> JsonObject:
    return gateways.sidecar(
        spec,
        surroundings.gateway,
        keys=credential_keys(spec.exchange),
        ca_file=pod_options.CA_PATH,
        ca_mounts=[*pod_options.ca_mounts(spec.exchange)],
    )


def _credential_variables(exchange: Exchange) -> Iterator[JsonObject]:
    for name, key in credential_keys(exchange).items():
        reference = {"name": exchange.api_key_secret, "key": key}
        yield {"name": name, "valueFrom": {"secretKeyRef": reference}}


def credential_keys(exchange: Exchange) -> dict[str, str]:
    """Return the environment variables with the credentials, and their keys in the Secret."""
    return {_VARIABLES[field]: key for field, key in exchange.key_paths.items()}


def _container(spec: TradingBotSpec, surroundings: Surroundings) -> JsonObject:
    exchange, resources = spec.exchange, spec.resources
    with_gateway = has_gateway(spec)
    seen = spec
    if with_gateway:
        seen = spec.model_copy(update={"exchange": gateways.without_proxy(exchange)})
    port = {"name": "http", "containerPort": PORT, "protocol": "TCP"}
    return {
        "name": BOT_CONTAINER,
        "image": spec.strategy.image,
        **pod_options.container_fields(spec.pod),
        **({} if with_gateway else {"ports": [port]}),
        "env": [
            *(
                gateways.bot_variables(spec, credential_keys(exchange))
                if with_gateway
                else _credential_variables(exchange)
            ),
            {"name": "TRADINGBOT_CONFIG", "value": f"{CONFIG_DIRECTORY}/{CONFIG_KEY}"},
            *pod_options.variables(seen, surroundings),
        ],
        "resources": resources.model_dump(by_alias=True, mode="json", exclude_none=True),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "tmp", "mountPath": TEMPORARY_DIRECTORY},
            *(gateways.handover_mounts(exchange, read_only=True) if with_gateway else ()),
            *pod_options.mounts(seen),
        ],
    }
