"""What `spec.pod` and the way to the exchange add to a bot's pod: pure functions of its spec.

Nothing here changes the security context, except for how a volume is handed to the bot's group:
the pod keeps to the `restricted` Pod Security Standard whatever a spec says.
"""

from collections.abc import Iterator

from tradingbot_api.exchange import Exchange
from tradingbot_api.model import JsonObject, Model
from tradingbot_api.pod import DEFAULT_GRACE_SECONDS, Pod
from tradingbot_api.pod_parts import CA_DIRECTORY, CA_ENV, Files
from tradingbot_api.tradingbot import TradingBotSpec

from tradingbot_operator.bots.children.surroundings import API_SERVER, Surroundings
from tradingbot_operator.cluster.reading.trimming import child_name
from tradingbot_operator.cluster.reading.untrusted import mapping, mappings

CLAIM_VOLUME = "storage"
CA_VOLUME = "ca-bundle"
FILES_VOLUME = "files-"
CA_FILE = "ca.crt"
CA_PATH = f"{CA_DIRECTORY}/{CA_FILE}"

PLACEMENT = (
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "serviceAccountName",
)
"""Fields that are those of Kubernetes' own pod, and are passed on as they are."""


def added_labels(spec: TradingBotSpec | None) -> dict[str, str]:
    """Return the labels that a user wants on all objects of the bot."""
    return dict((spec and spec.pod and spec.pod.labels) or {})


def added_annotations(spec: TradingBotSpec | None) -> dict[str, str]:
    """Return the annotations that a user wants on the pod and the Deployment."""
    return dict((spec and spec.pod and spec.pod.annotations) or {})


def grace_seconds(spec: TradingBotSpec) -> int:
    """Return the seconds that the bot has to end."""
    return spec.pod.termination_grace_period_seconds if spec.pod else DEFAULT_GRACE_SECONDS


def pod_fields(spec: TradingBotSpec) -> JsonObject:
    """Return the fields of the pod's spec, beside its containers, volumes and security context."""
    grace = {"terminationGracePeriodSeconds": grace_seconds(spec)}
    return {**grace, **_given(spec.pod, *PLACEMENT)}


def security_fields(spec: TradingBotSpec) -> JsonObject:
    """Return what a volume adds to the pod's security context.

    Without it, the kubelet changes the group of every file in the volume at each start.
    """
    if spec.pod is None or spec.pod.storage is None:
        return {}
    return {"fsGroupChangePolicy": "OnRootMismatch"}


def volumes(bot: str, spec: TradingBotSpec) -> Iterator[JsonObject]:
    """Yield the volumes of files, storage and CA certificates."""
    bundle, pod = spec.exchange.ca_bundle, spec.pod
    if bundle is not None:
        items = [{"key": bundle.key, "path": CA_FILE}]
        yield {"name": CA_VOLUME, "configMap": {"name": bundle.name, "items": items}}
    for index, files in enumerate((pod and pod.files) or ()):
        yield {"name": f"{FILES_VOLUME}{index}", **_source(files)}
    if pod is not None and pod.storage is not None:
        claim = child_name("PersistentVolumeClaim", bot)
        yield {"name": CLAIM_VOLUME, "persistentVolumeClaim": {"claimName": claim}}


def _source(files: Files) -> JsonObject:
    if files.config_map is not None:
        return {"configMap": _json(files.config_map)}
    if files.secret is not None:
        secret = _json(files.secret)
        return {"secret": {"secretName": secret.pop("name"), **secret}}
    token = _json(files.service_account_token) if files.service_account_token is not None else {}
    return {"projected": {"sources": [{"serviceAccountToken": token}]}}


def mounts(spec: TradingBotSpec) -> Iterator[JsonObject]:
    """Yield where the volumes are mounted. Only storage can be written to."""
    pod = spec.pod
    yield from ca_mounts(spec.exchange)
    for index, files in enumerate((pod and pod.files) or ()):
        yield {"name": f"{FILES_VOLUME}{index}", "mountPath": files.mount_path, "readOnly": True}
    if pod is not None and pod.storage is not None:
        yield {"name": CLAIM_VOLUME, "mountPath": pod.storage.mount_path}


def ca_mounts(exchange: Exchange) -> Iterator[JsonObject]:
    """Yield where the CA certificates are mounted, for who reaches the exchange."""
    if exchange.ca_bundle is not None:
        yield {"name": CA_VOLUME, "mountPath": CA_DIRECTORY, "readOnly": True}


def container_fields(pod: Pod | None) -> JsonObject:
    """Return the fields of the bot's container, beside `env`."""
    return _given(pod, "command", "args", "envFrom")


def variables(spec: TradingBotSpec, surroundings: Surroundings) -> Iterator[JsonObject]:
    """Yield the environment variables: the way to the exchange, then those of the user."""
    for name, value in exchange_variables(spec.exchange, surroundings).items():
        yield {"name": name, "value": value}
    yield from _given(spec.pod, "env").get("env", ())


def variables_of(template: JsonObject) -> list[JsonObject]:
    """Return the environment variables in a pod template, which others may have edited."""
    pod = mapping(template.get("spec"))
    containers = (*mappings(pod.get("containers")), *mappings(pod.get("initContainers")))
    return [variable for found in containers for variable in mappings(found.get("env"))]


def exchange_variables(exchange: Exchange, surroundings: Surroundings) -> dict[str, str]:
    """Return the variables by which HTTP clients find the proxy and the CA certificates.

    Some clients read a name in upper case, some in lower case, and some both. For an exchange in
    plain HTTP, which mode Paper allows, HTTP_PROXY is needed as well.
    """
    found: dict[str, str] = {}
    if exchange.proxy_url is not None:
        plain = exchange.base_url is not None and exchange.base_url.startswith("http://")
        for name in ("HTTPS_PROXY", *(["HTTP_PROXY"] if plain else [])):
            found |= dict.fromkeys((name, name.lower()), exchange.proxy_url)
        hosts = f"{surroundings.no_proxy},{API_SERVER}"
        found |= dict.fromkeys(("NO_PROXY", "no_proxy"), hosts)
    if exchange.ca_bundle is not None:
        found |= dict.fromkeys(CA_ENV, CA_PATH)
    return found


def _given(pod: Pod | None, *names: str) -> JsonObject:
    """Return those of these fields that are set, and not to an empty value."""
    whole = _json(pod) if pod is not None else {}
    return {name: whole[name] for name in names if whole.get(name)}


def _json(model: Model) -> JsonObject:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)
