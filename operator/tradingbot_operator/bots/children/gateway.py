"""The risk gateway in a bot's pod: a native sidecar between the bot and its exchange.

    start   the gateway's startup probe holds the bot back until its books are those of the exchange
    run     the bot has the gateway's address and placeholders; the keys are the gateway's alone
    end     preStop of the gateway runs at the first moment of a stop: entries end, and entry orders
            are cancelled while the bot still runs. SIGTERM reaches the gateway after the bot's end

An exchange that can't be reached keeps the bot waiting, and no order passes. The gateway asks again
by itself; it is restarted only after STARTUP_SECONDS, which loses nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tradingbot_api.enforcement import dialect_of
from tradingbot_api.entry_grant import ANNOTATION
from tradingbot_api.exchange import Dialect, Exchange
from tradingbot_api.gateway_pod import (
    BOT_CONTAINER,
    BUNDLE_FILE,
    CA_FILE,
    CA_FILE_ENV,
    CONTAINER,
    DRAIN_PORT,
    EXCHANGE_PORT,
    KEY_FILE,
    KEY_FILE_ENV,
    PLACEHOLDER,
    REPORT_PORT,
    SECRET_FILE,
    SECRET_FILE_ENV,
)
from tradingbot_api.model import JsonObject
from tradingbot_api.pod_parts import (
    BASE_URL_ENV,
    CONFIG_DIRECTORY,
    GATEWAY_DIRECTORY,
    TEMPORARY_DIRECTORY,
)
from tradingbot_api.tradingbot import Mode, TradingBotSpec

from tradingbot_operator import CONFIG_KEY

STATE_VOLUME = "gateway-state"
STATE_DIRECTORY = "/var/lib/tradingbot-gateway"
TEMPORARY_VOLUME = "gateway-tmp"
GRANT_VOLUME = "gateway-grant"
GRANT_DIRECTORY = "/etc/tradingbot-grant"
GRANT_FILE = "entries"
HANDOVER_VOLUME = "gateway-handover"
VOLUMES = frozenset({STATE_VOLUME, TEMPORARY_VOLUME, GRANT_VOLUME, HANDOVER_VOLUME})
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
"""Annotation of a pod: the container that `kubectl logs` shows. Without it, kubectl also says which
one it took."""

_HANDED_OVER = {
    CA_FILE_ENV: CA_FILE,
    KEY_FILE_ENV: KEY_FILE,
    SECRET_FILE_ENV: SECRET_FILE,
}
_TRUST = {
    "SSL_CERT_FILE": BUNDLE_FILE,
    "REQUESTS_CA_BUNDLE": BUNDLE_FILE,
    "NODE_EXTRA_CA_CERTS": CA_FILE,
}
"""How HTTP clients find authorities: the last one adds to those of the image, the others replace
them. A bot may set them by itself."""
HANDOVER_ENV = frozenset(_HANDED_OVER)

STARTUP_SECONDS = 600
_PREFIX = "TRADINGBOT_GATEWAY_"


@dataclass(frozen=True)
class GatewayImage:
    """What runs as the gateway of each bot."""

    image: str = ""
    resources: JsonObject = field(default_factory=dict)
    problem: str = ""
    """Why no bot can have a gateway in this cluster; empty if it can."""

    @property
    def refusal(self) -> str:
        """Return why a bot can't have a gateway, empty if it can."""
        if self.problem or self.image:
            return self.problem
        return (
            "The operator does not know the image of the risk gateway: set"
            " TRADINGBOT_OPERATOR_GATEWAY_IMAGE, or spec.riskManagement.enforcement to Bot"
        )


def sidecar(
    spec: TradingBotSpec,
    gateway: GatewayImage,
    *,
    keys: dict[str, str],
    ca_file: str,
    ca_mounts: list[JsonObject],
) -> JsonObject:
    """Return the gateway's container. `keys` are those of the Secret by their variables."""
    return {
        "name": CONTAINER,
        "image": gateway.image,
        # Makes an init container a sidecar: it starts before the bot, and ends after it.
        "restartPolicy": "Always",
        "args": ["gateway"],
        "ports": [
            {"name": "http", "containerPort": REPORT_PORT, "protocol": "TCP"},
            {"name": "exchange", "containerPort": EXCHANGE_PORT, "protocol": "TCP"},
            {"name": "drain", "containerPort": DRAIN_PORT, "protocol": "TCP"},
        ],
        "env": [*_keys(spec, keys), *_settings(spec, ca_file=ca_file), _pod_uid()],
        "resources": gateway.resources,
        "startupProbe": _probe("/readyz", period=1, failures=STARTUP_SECONDS),
        "livenessProbe": _probe("/healthz", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=5, failures=1),
        # The port is a number: a hook by name fails where the kubelet can't resolve it.
        "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": DRAIN_PORT}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": GRANT_VOLUME, "mountPath": GRANT_DIRECTORY, "readOnly": True},
            {"name": STATE_VOLUME, "mountPath": STATE_DIRECTORY},
            {"name": TEMPORARY_VOLUME, "mountPath": TEMPORARY_DIRECTORY},
            *handover_mounts(spec.exchange, read_only=False),
            *ca_mounts,
        ],
    }


def _probe(path: str, *, period: int, failures: int) -> JsonObject:
    return {
        "httpGet": {"path": path, "port": REPORT_PORT},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _keys(spec: TradingBotSpec, keys: dict[str, str]) -> Iterator[JsonObject]:
    """Yield the exchange's keys. In Paper no order leaves the gateway, and it gets none."""
    if spec.mode is Mode.PAPER:
        return
    for name, key in keys.items():
        reference = {"name": spec.exchange.api_key_secret, "key": key}
        yield {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _settings(spec: TradingBotSpec, *, ca_file: str) -> Iterator[JsonObject]:
    """Yield the settings that are not in bot.json, which has the limits."""
    exchange = spec.exchange
    dialect = exchange.dialect.value if exchange.dialect is not None else ""
    found = {
        "CONFIG": f"{CONFIG_DIRECTORY}/{CONFIG_KEY}",
        "DIALECT": dialect.lower(),
        "GRANT_FILE": f"{GRANT_DIRECTORY}/{GRANT_FILE}",
        "STATE": f"{STATE_DIRECTORY}/ledger.jsonl",
    }
    if hands_over(exchange):
        found["HANDOVER"] = GATEWAY_DIRECTORY
    if exchange.proxy_url is not None:
        found["PROXY_URL"] = exchange.proxy_url
    if exchange.ca_bundle is not None:
        found["CA_BUNDLE"] = ca_file
    for name, value in found.items():
        yield {"name": f"{_PREFIX}{name}", "value": value}


def _pod_uid() -> JsonObject:
    """Return the variable by which a gateway knows whether a grant is for its pod."""
    return {
        "name": f"{_PREFIX}POD_UID",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}},
    }


def hands_over(exchange: Exchange) -> bool:
    """Return whether a bot needs files of its gateway: a private key, and an authority for TLS."""
    return dialect_of(exchange) is Dialect.COINBASE


def bot_variables(spec: TradingBotSpec, keys: dict[str, str]) -> Iterator[JsonObject]:
    """Yield what the bot has in place of the exchange's keys, and where it finds the gateway."""
    for name in keys:
        yield {"name": name, "value": PLACEHOLDER}
    if not hands_over(spec.exchange):
        yield {"name": BASE_URL_ENV, "value": f"http://127.0.0.1:{EXCHANGE_PORT}"}
        return
    yield {"name": BASE_URL_ENV, "value": f"https://127.0.0.1:{EXCHANGE_PORT}"}
    own = {each.name for each in (spec.pod and spec.pod.env) or ()}
    for name, file in (_HANDED_OVER | _TRUST).items():
        if name not in own:
            yield {"name": name, "value": f"{GATEWAY_DIRECTORY}/{file}"}


def handover_mounts(exchange: Exchange, *, read_only: bool) -> Iterator[JsonObject]:
    """Yield where the files are that the gateway hands to the bot."""
    if hands_over(exchange):
        mount = {"name": HANDOVER_VOLUME, "mountPath": GATEWAY_DIRECTORY}
        yield {**mount, "readOnly": True} if read_only else mount


def volumes(exchange: Exchange) -> Iterator[JsonObject]:
    """Yield the gateway's volumes. The bot mounts none of them but what is handed over."""
    yield {"name": STATE_VOLUME, "emptyDir": {"sizeLimit": "256Mi"}}
    # The kubelet writes the annotation into the file within a second of its change.
    field = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{ANNOTATION}']"}
    items = [{"path": GRANT_FILE, "fieldRef": field}]
    yield {"name": GRANT_VOLUME, "downwardAPI": {"items": items}}
    yield {"name": TEMPORARY_VOLUME, "emptyDir": {"sizeLimit": "16Mi"}}
    if hands_over(exchange):
        yield {"name": HANDOVER_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}


def annotations() -> dict[str, str]:
    """Return the annotations of a pod that has the gateway beside the bot."""
    return {DEFAULT_CONTAINER: BOT_CONTAINER}


def without_proxy(exchange: Exchange) -> Exchange:
    """Return the exchange as a bot with a gateway reaches it: directly, on the loopback."""
    return exchange.model_copy(update={"proxy_url": None, "ca_bundle": None})
