"""What children a bot has: pure functions from its spec to manifests."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from tradingbot_api.contract import CONFIG_SCHEMA_VERSION
from tradingbot_api.model import JsonObject
from tradingbot_api.tradingbot import TradingBotSpec

from tradingbot_operator import BOT_LABEL, CREDENTIALS, MANAGED_BY, RESTART_HASH
from tradingbot_operator.bot import Bot

CONFIG_KEY = "bot.json"
CONFIG_DIRECTORY = "/etc/tradingbot"
PORT = 8080
GRACE_SECONDS = 30
USER_ID = 65532
"""The customary non-root user of minimal images; any user of the image's own may be root."""

RESTART_PARTS = ("strategy", "exchange", "mode")
"""Parts of bot.json that a running bot can't take over without a restart."""


def digest(value: object) -> str:
    """A short hash of a JSON value, the same for equal values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Config:
    """The content of bot.json: every value effective, never a credential."""

    body: JsonObject

    @classmethod
    def declared(cls, bot: Bot, spec: TradingBotSpec) -> "Config":
        """The configuration that the spec asks for."""
        whole = spec.model_dump(by_alias=True, mode="json", exclude_none=True)
        exchange = {
            key: whole["exchange"][key] for key in ("name", "baseURL") if key in whole["exchange"]
        }
        return cls(
            {
                "schemaVersion": CONFIG_SCHEMA_VERSION,
                "namespace": bot.meta.namespace,
                "name": bot.meta.name,
                "strategy": whole["strategy"],
                "exchange": exchange,
                "mode": whole["mode"],
                "risk": whole["riskManagement"],
                "schedule": whole["schedule"],
            }
        )

    @classmethod
    def stored(cls, config_map: Mapping[str, Any] | None) -> "Config | None":
        """The configuration that a ConfigMap holds, or None if it holds none that can be read."""
        try:
            body = json.loads((config_map or {})["data"][CONFIG_KEY])
            return cls({key: value for key, value in body.items() if key != "configHash"})
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def keeping_restart_parts_of(self, other: "Config") -> "Config":
        """This configuration with what needs a restart still as `other` has it.

        A running bot reads bot.json again; it must not find another strategy or mode in it before
        it is restarted for them.
        """
        kept = {part: other.body[part] for part in RESTART_PARTS if other.body.get(part)}
        return Config({**self.body, **kept})

    @property
    def hash(self) -> str:
        """What the bot reports back once it runs with this configuration."""
        return digest(self.body)

    def text(self) -> str:
        """bot.json itself."""
        whole = {**self.body, "configHash": self.hash}
        return to_json(whole, indent=2).decode() + "\n"


def labels(bot: Bot) -> dict[str, str]:
    """The labels of every child."""
    return {
        "app.kubernetes.io/name": "tradingbot",
        "app.kubernetes.io/instance": bot.meta.name,
        **MANAGED_BY,
        "app.kubernetes.io/part-of": "tradingbot-operator",
        "app.kubernetes.io/component": "bot",
        BOT_LABEL: bot.meta.name,
    }


def selector(bot: Bot) -> dict[str, str]:
    """The labels that find the bot's pods; a Deployment's selector can never change."""
    return {"app.kubernetes.io/name": "tradingbot", BOT_LABEL: bot.meta.name}


def _metadata(bot: Bot, name: str) -> JsonObject:
    return {
        "name": name,
        "namespace": bot.meta.namespace,
        "labels": labels(bot),
        "ownerReferences": [bot.owner_reference],
    }


def config_map(bot: Bot, config: Config) -> JsonObject:
    """The ConfigMap that is mounted into the bot."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(bot, f"{bot.meta.name}-config"),
        "data": {CONFIG_KEY: config.text()},
    }


def service(bot: Bot) -> JsonObject:
    """The Service at which the bot reports."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(bot, bot.meta.name),
        "spec": {
            "selector": selector(bot),
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


NO_ROLLING_UPDATE: JsonObject = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
"""Merge patch that takes off what somebody's RollingUpdate has left on a Deployment: Recreate may
not have it, and server-side apply removes only what it owns."""


def deployment(
    bot: Bot, *, template: JsonObject, replicas: int, credentials: str | None = None
) -> JsonObject:
    """The Deployment: one pod or none, and never two at once, since each would spend the limit.

    `credentials` is what it shall say of the bot's Secret; not in the template, so that saying it
    restarts nothing.
    """
    metadata = _metadata(bot, bot.meta.name)
    if credentials is not None:
        metadata["annotations"] = {CREDENTIALS: credentials}
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


def pod_template(bot: Bot, spec: TradingBotSpec, secret_version: str) -> tuple[JsonObject, str]:
    """The bot's pod, and the hash of all that it needs a restart for, which it carries.

    `secret_version` is the Secret's `resourceVersion`. The pod itself is part of the hash, so that
    a version of the operator that writes it in another way waits like any other change.
    """
    pod = {"metadata": {"labels": labels(bot)}, "spec": _pod(bot, spec)}
    whole = spec.model_dump(by_alias=True, mode="json", exclude_none=True)
    parts = {key: whole[key] for key in ("strategy", "exchange", "mode", "resources")}
    hash_ = digest({**parts, "secretVersion": secret_version, "pod": pod})
    metadata = {**pod["metadata"], "annotations": {RESTART_HASH: hash_}}
    return {**pod, "metadata": metadata}, hash_


def _pod(bot: Bot, spec: TradingBotSpec) -> JsonObject:
    """The pod's spec, by the `restricted` pod security standard."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec)],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{bot.meta.name}-config"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }


def _container(spec: TradingBotSpec) -> JsonObject:
    exchange, resources = spec.exchange, spec.resources
    credentials = (
        ("EXCHANGE_API_KEY", exchange.api_key_path),
        ("EXCHANGE_API_SECRET", exchange.api_secret_path),
    )
    return {
        "name": "bot",
        "image": spec.strategy.image,
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "env": [
            *(
                {
                    "name": name,
                    "valueFrom": {"secretKeyRef": {"name": exchange.api_key_secret, "key": key}},
                }
                for name, key in credentials
            ),
            {"name": "TRADINGBOT_CONFIG", "value": f"{CONFIG_DIRECTORY}/{CONFIG_KEY}"},
        ],
        "resources": resources.model_dump(by_alias=True, mode="json", exclude_none=True),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the container,
        ],
    }
